//! What hosts of the plant say of themselves (STATE): an edge node with a primary host id is silent
//! while that host is offline, and nobody would know why. It is read and told, and never crosses.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use telemetry::event;

/// Hosts that are told apart; a plant has a few.
const MOST: usize = 64;
/// Longest host id.
const ID_BYTES: usize = 256;
/// A host that restarts is away for less; after the relay's own start, births have come by then.
const GRACE: Duration = Duration::from_secs(10);

/// What one STATE says; read from JSON as Sparkplug 3.0 has it, or from the words of 2.x.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
struct State {
    online: bool,
    /// Milliseconds since the epoch; that of the host's birth and of its will are the same.
    #[serde(default)]
    timestamp: u64,
}

/// How edge nodes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quiet {
    /// Known, and dead, or never seen alive.
    pub(crate) silent: usize,
    pub(crate) live: usize,
}

/// A host, by one of the topics that it may have.
#[derive(Debug)]
struct Host {
    id: Box<str>,
    state: State,
    /// Since when it is as it is.
    since: Duration,
    /// The broker has said so in this session.
    confirmed: bool,
    /// It was told that it is offline.
    told: bool,
}

/// By topic: a host may have both spellings, of which one is left over.
#[derive(Debug, Default)]
pub(super) struct Hosts(BTreeMap<Box<str>, Host>);

impl Quiet {
    /// Something is missing that a host could be the cause of.
    pub(crate) fn is_quiet(self) -> bool {
        self.silent > 0 || self.live == 0
    }
}

/// Whether `payload` is a STATE that can be read, or clears one.
pub(super) fn is_readable(payload: &[u8]) -> bool {
    payload.is_empty() || read(payload).is_some()
}

fn read(payload: &[u8]) -> Option<State> {
    let words = payload.trim_ascii();
    for (word, online) in [(&b"ONLINE"[..], true), (b"OFFLINE", false)] {
        if words.eq_ignore_ascii_case(word) {
            return Some(State { online, timestamp: 0 });
        }
    }
    serde_json::from_slice(payload).ok()
}

impl Hosts {
    /// A STATE came. What can't be read is ignored, and so is what is older than what was accepted
    /// (Sparkplug 3.0, operational-behavior-edge-node-termination-host-offline-timestamp).
    pub(super) fn heard(
        &mut self,
        (topic, id): (&str, &str),
        payload: &[u8],
        (now, wall_ms): (Duration, u64),
    ) {
        if payload.is_empty() {
            self.forget(topic);
            return;
        }
        let Some(mut state) = read(payload) else { return };
        // A time that is still to come would keep everything out that follows.
        state.timestamp = state.timestamp.min(wall_ms);
        if let Some(host) = self.0.get_mut(topic) {
            if state.timestamp < host.state.timestamp {
                return;
            }
            if host.state.online != state.online {
                host.since = now;
                if state.online && std::mem::take(&mut host.told) {
                    event!(HostOnline, host = &*host.id, topic);
                }
            }
            (host.state, host.confirmed) = (state, true);
        } else if self.0.len() < MOST && id.len() <= ID_BYTES {
            let host = Host { id: id.into(), state, since: now, confirmed: true, told: false };
            self.0.insert(topic.into(), host);
        }
    }

    /// Its STATE was cleared.
    fn forget(&mut self, topic: &str) {
        if let Some(host) = self.0.remove(topic)
            && host.told
        {
            event!(HostOnline, host = &*host.id, topic);
        }
    }

    /// A session begins: the broker says anew what it has.
    pub(super) fn connected(&mut self, now: Duration) {
        for host in self.0.values_mut() {
            (host.since, host.confirmed) = (now, false);
        }
    }

    /// While there is a session: tells which hosts are offline while edge nodes are silent.
    pub(super) fn tick(&mut self, now: Duration, quiet: impl FnOnce() -> Quiet) {
        let is_lost = |host: &Host| !host.confirmed && now.saturating_sub(host.since) >= GRACE;
        let lost = self.0.iter().filter(|(_, host)| is_lost(host));
        let lost: Vec<Box<str>> = lost.map(|(topic, _)| topic.clone()).collect();
        lost.iter().for_each(|topic| self.forget(topic));
        let is_due = |host: &Host| !host.told && host.is_away(now);
        if !self.0.values().any(is_due) {
            return;
        }
        let quiet = quiet();
        if !quiet.is_quiet() {
            return;
        }
        let Quiet { silent, live } = quiet;
        for (topic, host) in self.0.iter_mut().filter(|(_, host)| is_due(host)) {
            host.told = true;
            event!(HostOffline, host = &*host.id, topic = &**topic, silent, live);
        }
    }

    /// The hosts that are offline, each once.
    pub(super) fn offline(&self, now: Duration) -> Vec<&str> {
        let away = self.0.values().filter(|host| host.is_away(now));
        let mut ids: Vec<&str> = away.map(|host| &*host.id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

impl Host {
    fn is_away(&self, now: Duration) -> bool {
        self.confirmed && !self.state.online && now.saturating_sub(self.since) >= GRACE
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests {
    use telemetry::capture::{capture, triggered};
    use telemetry::{Event, Record};

    use super::*;

    const TOPIC: (&str, &str) = ("spBv1.0/STATE/scada", "scada");
    const SOME: Quiet = Quiet { silent: 2, live: 5 };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(100 + seconds)
    }

    fn hear(hosts: &mut Hosts, seconds: u64, payload: &str) {
        hosts.heard(TOPIC, payload.as_bytes(), (at(seconds), 1_000_000));
    }

    fn ticked(hosts: &mut Hosts, seconds: u64, quiet: Quiet) -> Vec<Record> {
        capture(|| hosts.tick(at(seconds), || quiet))
    }

    #[test]
    fn both_kinds_of_state_are_read_and_nothing_else() {
        let state = |online, timestamp| Some(State { online, timestamp });
        assert_eq!(read(br#"{"online":false,"timestamp":7,"more":[]}"#), state(false, 7));
        assert_eq!(read(br#"{"online":true}"#), state(true, 0));
        assert_eq!(read(b"OFFLINE"), state(false, 0));
        assert_eq!(read(b" online\n"), state(true, 0));
        for payload in [&b"{}"[..], b"\x08\x01", b"OFF", b"\"OFFLINE\"", b"[1]"] {
            assert_eq!(read(payload), None, "{payload:?}");
            assert!(!is_readable(payload));
        }
    }

    #[test]
    fn a_host_that_is_offline_while_nodes_are_silent_is_told_once_and_when_it_is_back() {
        let mut hosts = Hosts::default();
        hear(&mut hosts, 0, r#"{"online":false,"timestamp":500}"#);
        assert!(ticked(&mut hosts, 9, SOME).is_empty(), "it may restart");
        assert!(ticked(&mut hosts, 10, Quiet { silent: 0, live: 5 }).is_empty(), "all is well");
        let told = ticked(&mut hosts, 11, SOME);
        triggered(&told, Event::HostOffline);
        let line = told[0].message();
        let wanted = "host=scada topic=spBv1.0/STATE/scada silent=2 live=5";
        assert!(line.contains(wanted), "{line}");
        assert!(ticked(&mut hosts, 1_000, SOME).is_empty());
        assert_eq!(hosts.offline(at(11)), ["scada"]);
        let told = capture(|| hear(&mut hosts, 12, r#"{"online":true,"timestamp":400}"#));
        assert!(told.is_empty(), "that is older");
        let told = capture(|| hear(&mut hosts, 12, r#"{"online":true,"timestamp":600}"#));
        triggered(&told, Event::HostOnline);
        assert!(hosts.offline(at(100)).is_empty());
        hear(&mut hosts, 20, r#"{"online":false,"timestamp":600}"#);
        let none = Quiet { silent: 0, live: 0 };
        triggered(&ticked(&mut hosts, 30, none), Event::HostOffline);
    }

    #[test]
    fn what_the_broker_does_not_say_anew_is_not_believed() {
        let mut hosts = Hosts::default();
        hear(&mut hosts, 0, "OFFLINE");
        triggered(&ticked(&mut hosts, 10, SOME), Event::HostOffline);
        hosts.connected(at(20));
        assert!(hosts.offline(at(29)).is_empty());
        triggered(&ticked(&mut hosts, 30, SOME), Event::HostOnline);
        hear(&mut hosts, 40, "OFFLINE");
        triggered(&ticked(&mut hosts, 50, SOME), Event::HostOffline);
        hosts.connected(at(60));
        hear(&mut hosts, 61, "OFFLINE");
        assert!(ticked(&mut hosts, 100, SOME).is_empty(), "it is known already");
        triggered(&capture(|| hear(&mut hosts, 101, "")), Event::HostOnline);
    }

    #[test]
    fn a_time_to_come_keeps_nothing_out_and_memory_is_bounded() {
        let mut hosts = Hosts::default();
        hear(&mut hosts, 0, r#"{"online":true,"timestamp":18446744073709551615}"#);
        hear(&mut hosts, 1, r#"{"online":false,"timestamp":1000000}"#);
        assert_eq!(hosts.offline(at(20)), ["scada"]);
        for number in 0..200 {
            let id = format!("h{number}");
            hosts.heard((&format!("STATE/{id}"), &id), b"OFFLINE", (at(0), 0));
        }
        let long = "h".repeat(60_000);
        hosts.heard((&format!("STATE/{long}"), &long), b"OFFLINE", (at(0), 0));
        assert_eq!(hosts.0.len(), MOST);
    }
}
