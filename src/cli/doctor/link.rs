//! What the ends of a link need of the interfaces of this machine: that nobody is asked for an address,
//! that datagrams fit, that the pace is one that the interface has, that the buffer is there.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::{Path, PathBuf};

use config::{ReceiveConfig, SendConfig};
use text::rough_size;

use super::finding::Finding;
use crate::cli::check::scaled;

/// Headers of IPv4 and UDP.
const HEADER_BYTES: u64 = 28;
/// What a datagram of UDP takes on Ethernet besides its payload: headers, checksum, preamble, gap.
const AROUND_BYTES: u64 = 66;
/// Flag of an interface without address resolution (`linux/if.h`).
const NOARP: u64 = 0x80;
/// Flag of a neighbour entry that stays (`linux/if_arp.h`).
const PERMANENT: u64 = 0x4;

/// What the system says of itself: the files below `/`, or those of a test.
pub(super) struct Machine {
    root: PathBuf,
}

/// One end's view of a path.
struct Way<'a> {
    name: &'a str,
    interface: Option<&'a str>,
    /// Where it leads, or where it is listened at.
    address: SocketAddrV4,
}

impl Machine {
    /// This one.
    pub(super) fn this() -> Machine {
        Machine { root: PathBuf::from("/") }
    }

    /// What a sending end needs.
    pub(super) fn send(&self, config: &SendConfig) -> Vec<Finding> {
        let mut findings = Vec::new();
        let options = &config.options;
        for path in &config.paths {
            let way =
                Way { name: &path.name, interface: path.interface.as_deref(), address: path.to };
            let Some(interface) = self.interface(&way, "send", &mut findings) else { continue };
            let before = findings.len();
            findings.extend(path.from.and_then(|from| owned(&way, "from", from)));
            findings.extend(self.carries(&way, &interface, options.datagram_bytes));
            findings.extend(self.pace(&way, &interface, config));
            if !path.broadcast {
                findings.extend(self.neighbour(&way, &interface));
            }
            findings.extend(
                self.ipv6(&way, &interface)
                    .map(|(words, remedy)| Finding::odd("path", words, remedy)),
            );
            if findings.len() == before {
                let words = format!("`{}` leaves by {interface}, and nobody is asked", path.name);
                findings.push(Finding::good("path", words));
            }
        }
        findings
    }

    /// What a receiving end needs.
    pub(super) fn receive(&self, config: &ReceiveConfig) -> Vec<Finding> {
        let mut findings = Vec::new();
        for path in &config.paths {
            let way = Way {
                name: &path.name,
                interface: path.interface.as_deref(),
                address: path.listen,
            };
            let Some(interface) = self.interface(&way, "receive", &mut findings) else { continue };
            let before = findings.len();
            findings.extend(owned(&way, "listen", *path.listen.ip()));
            findings.extend(self.carries(&way, &interface, config.options.datagram_bytes));
            findings.extend(self.arp(&way, &interface));
            findings.extend(
                self.ipv6(&way, &interface)
                    .map(|(words, remedy)| Finding::bad("path", words, remedy)),
            );
            if findings.len() == before {
                let words = format!("`{}` comes by {interface}, which says nothing", path.name);
                findings.push(Finding::good("path", words));
            }
        }
        findings.push(self.buffer(config.buffer_bytes));
        findings
    }

    /// Which interface a path has. `None`: it is within this machine, or there is none, which is told.
    fn interface(&self, way: &Way<'_>, end: &str, findings: &mut Vec<Finding>) -> Option<String> {
        if way.address.ip().is_loopback() {
            let words = format!("`{}` stays within this machine", way.name);
            findings.push(Finding::good("path", words));
            return None;
        }
        let elsewhere = format!(
            "where /usr/lib/sparkdiode/netns has moved it: sparkdiode-tool {end} doctor \
             /etc/sparkdiode/{end}.toml; else plug it in, or correct `interface`"
        );
        let found = way.interface.map(str::to_owned).or_else(|| self.route(*way.address.ip()));
        let Some(interface) = found else {
            let words = format!("`{}`: no interface leads to {}", way.name, way.address.ip());
            findings.push(Finding::bad("path", words, elsewhere));
            return None;
        };
        if !self.at(&format!("sys/class/net/{interface}")).exists() {
            let words = format!("`{}`: no interface {interface} here", way.name);
            findings.push(Finding::bad("path", words, elsewhere));
            return None;
        }
        Some(interface)
    }

    /// Link state, and whether datagrams fit.
    fn carries(&self, way: &Way<'_>, interface: &str, datagram_bytes: usize) -> Vec<Finding> {
        let mut findings = Vec::new();
        let name = way.name;
        // An interface that is down refuses to say.
        if self.number(interface, "carrier") != Some(1) {
            findings.push(Finding::bad(
                "path",
                format!("`{name}`: {interface} has no carrier"),
                format!("ip link set {interface} up; a fibre without a way back needs a media converter whose link state is forced: sparkdiode-link(7)"),
            ));
        }
        let datagram = u64::try_from(datagram_bytes).unwrap_or(u64::MAX);
        let wanted = datagram.saturating_add(HEADER_BYTES);
        match self.number(interface, "mtu") {
            Some(mtu) if mtu < wanted => findings.push(Finding::bad(
                "path",
                format!("`{name}`: the MTU of {interface} is {mtu}, datagrams of {datagram} bytes take {wanted}"),
                format!("ip link set {interface} mtu {wanted}, or `datagram-bytes = {}` at both ends", mtu.saturating_sub(HEADER_BYTES)),
            )),
            _ => {}
        }
        findings
    }

    /// Whether the interface is as fast as it is fed.
    fn pace(&self, way: &Way<'_>, interface: &str, config: &SendConfig) -> Option<Finding> {
        let options = &config.options;
        // Virtual interfaces don't say, or say -1.
        let speed = self.number(interface, "speed").filter(|speed| *speed > 0)?;
        let datagram = u64::try_from(options.datagram_bytes).unwrap_or(u64::MAX).max(1);
        let around = datagram.saturating_add(AROUND_BYTES);
        let bits = scaled(options.rates.bytes_per_s, around.saturating_mul(8), datagram);
        let has = speed.saturating_mul(1_000_000);
        let most = scaled(has, datagram, around.saturating_mul(8));
        (bits > has).then(|| {
            Finding::bad(
                "pace",
                format!(
                    "`{}`: `bytes-per-s` of {} takes {} Mb/s with headers, and {interface} has {speed}",
                    way.name,
                    options.rates.bytes_per_s,
                    bits.div_ceil(1_000_000)
                ),
                format!("`[pacing] bytes-per-s` of at most {}", scaled(most, 95, 100)),
            )
        })
    }

    /// A neighbour entry that nobody has to be asked for.
    fn neighbour(&self, way: &Way<'_>, interface: &str) -> Option<Finding> {
        let to = way.address.ip();
        let text = self.text("proc/net/arp");
        let entry = text.lines().skip(1).find_map(|line| {
            let mut words = line.split_whitespace();
            let (address, _, flags) = (words.next()?, words.next()?, words.next()?);
            let device = words.nth(2)?;
            (address == to.to_string() && device == interface).then(|| hexadecimal(flags))
        });
        let is_static = entry.flatten().is_some_and(|flags| flags & PERMANENT != 0);
        (!is_static).then(|| {
            let found = if entry.is_some() { "one that was asked for" } else { "none" };
            Finding::bad(
                "neighbour",
                format!("`{}`: no static entry of {to} at {interface} ({found}): it would be asked for, and nobody may answer", way.name),
                format!("ip neigh replace {to} lladdr MAC dev {interface} nud permanent, MAC being the receiving end's (LINKS in send.net does it)"),
            )
        })
    }

    /// That the receiving end answers nobody who asks for its address.
    fn arp(&self, way: &Way<'_>, interface: &str) -> Option<Finding> {
        let flags = self.text(&format!("sys/class/net/{interface}/flags"));
        let is_off = hexadecimal(flags.trim()).is_some_and(|flags| flags & NOARP != 0);
        (!is_off).then(|| {
            Finding::bad(
                "path",
                format!("`{}`: {interface} answers ARP, so this end speaks", way.name),
                format!("ip link set {interface} arp off (LINKS in receive.net does it)"),
            )
        })
    }

    /// Words about IPv6 that is on, and the remedy.
    fn ipv6(&self, way: &Way<'_>, interface: &str) -> Option<(String, String)> {
        let file = format!("proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
        // Without the directory the system has no IPv6.
        let is_on = fs::read_to_string(self.at(&file)).is_ok_and(|text| text.trim() == "0");
        is_on.then(|| {
            let words = format!("`{}`: IPv6 is on at {interface}, and speaks by itself", way.name);
            (words, format!("sysctl -w net.ipv6.conf.{interface}.disable_ipv6=1"))
        })
    }

    /// Whether a socket of who isn't root gets the buffer.
    fn buffer(&self, wanted: usize) -> Finding {
        let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
        let shown = rough_size(wanted);
        match self.text("proc/sys/net/core/rmem_max").trim().parse::<u64>() {
            Ok(max) if max < wanted => Finding::odd(
                "buffer",
                format!(
                    "a socket of who isn't root gets {} of the {shown} of `receive-buffer-bytes`: net.core.rmem_max",
                    rough_size(max)
                ),
                format!(
                    "sysctl -w net.core.rmem_max={wanted}, and a line in /etc/sysctl.d (BUFFER in receive.net does it); or root starts it"
                ),
            ),
            Ok(_) => Finding::good("buffer", format!("a socket may hold {shown}")),
            Err(_) => Finding::odd("buffer", "net.core.rmem_max can't be read", "look at it"),
        }
    }

    /// The interface that an address is reached by, as IPv4's routes have it.
    fn route(&self, to: Ipv4Addr) -> Option<String> {
        let text = self.text("proc/net/route");
        // Numbers are as they stand in memory, the first byte of an address first.
        let number = |hex: &str| {
            let number = u32::from_str_radix(hex, 16).ok()?;
            Some(u32::from_be_bytes(number.to_ne_bytes()))
        };
        let routes = text.lines().skip(1).filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name, destination, _, _, _, _, _, mask, ..] = words[..] else { return None };
            let (destination, mask) = (number(destination)?, number(mask)?);
            (u32::from(to) & mask == destination).then(|| (mask, name.to_owned()))
        });
        routes.max_by_key(|(mask, _)| *mask).map(|(_, name)| name)
    }

    /// A number that an interface says of itself.
    fn number(&self, interface: &str, what: &str) -> Option<u64> {
        self.text(&format!("sys/class/net/{interface}/{what}")).trim().parse().ok()
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_default()
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(Path::new(path))
    }
}

/// An address that has to be this machine's. Nothing is sent by asking.
fn owned(way: &Way<'_>, key: &str, address: Ipv4Addr) -> Option<Finding> {
    match UdpSocket::bind((address, 0)) {
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Some(Finding::bad(
            "path",
            format!("`{}`: {address} (`{key}`) is no address of this machine", way.name),
            format!("ip address add {address}/30 dev INTERFACE, or correct `{key}`"),
        )),
        _ => None,
    }
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests;
