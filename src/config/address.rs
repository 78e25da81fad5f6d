//! Where somebody is: a host and a port.

use std::fmt;
use std::net::IpAddr;

/// `host:port`; the host is a name or an IP address (IPv6 in brackets in the file, without
/// them here).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

/// Parses `host:port`.
///
/// # Errors
/// What was wanted.
pub fn parse_address(text: &str) -> Result<Address, &'static str> {
    if text.contains("://") {
        return Err("wanted `host:port`, without a scheme");
    }
    if text.starts_with('[') {
        let (_, port) = text.rsplit_once(']').ok_or("wanted `]` after the IPv6 address")?;
        if !port.starts_with(':') {
            return Err("wanted a port of 1 to 65535 after the brackets: `[fd00::5]:8883`");
        }
    }
    let (host, port) = text.rsplit_once(':').ok_or("wanted `host:port`: the port is missing")?;
    let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => match inner.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => address.to_string(),
            _ if inner.contains('%') => return Err("wanted an IPv6 address without a zone"),
            _ => return Err("wanted an IPv6 address in the brackets"),
        },
        None if host.contains(':') => return Err("wanted an IPv6 address in brackets"),
        None if is_host_name(host) => host.to_owned(),
        None => return Err("wanted a host name or an IP address before the colon"),
    };
    match port.parse::<u16>() {
        Ok(number) if number > 0 && port.starts_with(|first: char| first.is_ascii_digit()) => {
            Ok(Address { host, port: number })
        }
        _ => Err("wanted a port of 1 to 65535 after the colon"),
    }
}

/// Letters, digits, hyphens and underscores in labels of 1 to 63, at most 253 in all (RFC 1123,
/// and the underscore that networks use anyway).
fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter))
    };
    host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port_and_nothing_else() {
        for (text, host, port) in [
            ("10.10.0.5:8883", "10.10.0.5", 8883),
            ("broker.plant-a.example:1883", "broker.plant-a.example", 1883),
            ("[fd00::5]:8883", "fd00::5", 8883),
        ] {
            let address = parse_address(text).unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port));
            assert_eq!(address.to_string(), text);
        }
        for text in [
            "",
            ":",
            "broker",
            "broker:",
            ":1883",
            "broker:0",
            "broker:65536",
            "broker:-1",
            "mqtt://broker:1883",
            "fd00::5:8883",
            "[fd00::5]",
            "[10.0.0.1]:1",
            "a b:1",
            "a..b:1",
            "broker:1883/path",
            "broker:+1883",
        ] {
            assert!(parse_address(text).is_err(), "{text}");
        }
    }
}
