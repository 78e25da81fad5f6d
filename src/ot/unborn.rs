//! Edge nodes that send and aren't born yet, as after a first start beside a plant that runs: what is said
//! of them, with the command that has them born. It is for the plant's side; the relay sends nothing there.

use telemetry::event;

/// What a host writes to an edge node that is to be born again (Sparkplug 3.0 §6.4.26): a payload with
/// `Node Control/Rebirth` = true, in letters that no log and no shell changes (base64).
const REBIRTH: &str = "EhoKFE5vZGUgQ29udHJvbC9SZWJpcnRoIAtwAQ==";

/// Says it once, and again after somebody was born.
#[derive(Debug, Default)]
pub(crate) struct Unborn {
    told: bool,
}

impl Unborn {
    /// For health; tells the event where nobody is born at all. `node` is one of them, as
    /// `group/edge_node`; `broker` its address, as `host:port`.
    pub(crate) fn words(&mut self, unborn: usize, node: &str, born: u64, broker: &str) -> String {
        let command = command(node, broker);
        let how = match &command {
            Some(command) => format!(" To have it born now, on the plant's side: {command}"),
            None => " To have it born now, let a host on the plant's side ask it for a rebirth"
                .to_owned(),
        };
        if born > 0 {
            self.told = false;
            return format!(
                "{} with data and without a known birth, such as {node}: not shown until the next \
                 birth.{how}",
                if unborn == 1 {
                    "1 edge node or device".to_owned()
                } else {
                    format!("{unborn} edge nodes or devices")
                }
            );
        }
        if !std::mem::replace(&mut self.told, true) {
            event!(NodesUnborn, nodes = unborn, node, command = command.as_deref());
        }
        let (nodes, verb) = if unborn == 1 { ("node sends", "it") } else { ("nodes send", "each") };
        format!(
            "{unborn} {nodes}, none is born yet, such as {node}: nothing crosses until {verb} is born.{how}"
        )
    }

    /// There are none.
    pub(crate) fn none(&mut self) {
        self.told = false;
    }
}

/// The command, where names can stand in it as they are.
fn command(node: &str, broker: &str) -> Option<String> {
    let (group, node) = node.split_once('/')?;
    let plain = |name: &str| {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_. ".contains(letter);
        !name.is_empty() && name.chars().all(fits)
    };
    // Of a device it is its edge node that is asked.
    let node = node.split('/').next()?;
    let (host, port) = broker.rsplit_once(':')?;
    let host = host.trim_matches(['[', ']']);
    (plain(group) && plain(node)).then(|| {
        format!(
            "echo {REBIRTH} | base64 -d | mosquitto_pub -h {host} -p {port} -t 'spBv1.0/{group}/NCMD/{node}' -s"
        )
    })
}

#[cfg(test)]
mod tests {
    use sparkplug::{Caps, Value, decode};
    use telemetry::Event;
    use telemetry::capture::{capture, triggered};

    use super::*;

    /// As `base64 -d` reads it.
    fn base64(text: &str) -> Vec<u8> {
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bits: String = text
            .trim_end_matches('=')
            .chars()
            .map(|letter| format!("{:06b}", letters.find(letter).unwrap()))
            .collect();
        let bytes = bits.as_bytes().chunks_exact(8);
        bytes
            .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap())
            .collect()
    }

    #[test]
    fn the_command_writes_what_a_host_would() {
        let bytes = base64(REBIRTH);
        let payload = decode(&bytes, &Caps::default()).unwrap().payload;
        let [metric] = payload.metrics.as_slice() else { panic!("{payload:?}") };
        assert_eq!(metric.name.as_deref(), Some("Node Control/Rebirth"));
        assert_eq!((metric.datatype, &metric.value), (Some(11), &Some(Value::Boolean(true))));
        let command = command("Plant1/Line4/Oven", "[fd00::5]:8883").unwrap();
        let end = "| mosquitto_pub -h fd00::5 -p 8883 -t 'spBv1.0/Plant1/NCMD/Line4' -s";
        assert!(command.ends_with(end), "{command}");
    }

    #[test]
    fn names_that_a_shell_would_read_otherwise_are_in_no_command() {
        for node in ["a'b/c", "a/$(x)", "a/", "/b", "a", "a/b\"c"] {
            assert_eq!(command(node, "b:1"), None, "{node}");
        }
    }

    #[test]
    fn it_is_told_once_until_somebody_is_born() {
        let mut unborn = Unborn::default();
        let emitted = capture(|| {
            let words = unborn.words(3, "G/N", 0, "b:1");
            assert!(words.starts_with("3 nodes send, none is born yet, such as G/N: "), "{words}");
            assert!(words.contains("mosquitto_pub -h b -p 1 -t 'spBv1.0/G/NCMD/N'"), "{words}");
            let words = unborn.words(1, "G/N", 0, "b:1");
            assert!(words.starts_with("1 node sends, none is born yet"), "{words}");
        });
        triggered(&emitted, Event::NodesUnborn);
        assert_eq!(emitted.len(), 1);
        let emitted = capture(|| {
            assert!(
                unborn.words(1, "G/N", 2, "b:1").starts_with("1 edge node or device with data")
            );
            unborn.words(1, "G/N", 0, "b:1");
        });
        assert_eq!(emitted.len(), 1);
    }
}
