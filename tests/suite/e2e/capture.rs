//! `sparkdiode capture` beside a relay that runs: what it sends, what it records, and what is
//! left of it with `--redact`.

use std::fs;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tools::capture::{Reader, Record};

use super::commands::contains;
use crate::metrics::{int, string, untyped};
use crate::packet::Packet;
use crate::peers::raw_edge::RawEdge;
use crate::rig::{EVERYTHING, Rig};
use crate::waiting::wait_until;
use crate::wire::{Proxy, ot_guard};

/// Requests in which it subscribes: for its filters, and then for the births that the broker stores.
pub(super) const SUBSCRIPTIONS: usize = 2;

/// A recorder behind a proxy of its own.
struct Recorder {
    proxy: Proxy,
    child: Child,
}

impl Recorder {
    /// Runs `capture` into `file`, and waits until the broker has granted its subscriptions.
    fn start(rig: &Rig, file: &str, more: &[&str]) -> Recorder {
        let proxy = Proxy::start(rig.ot_address());
        let config = fs::read_to_string(rig.relay.path("ot.toml")).unwrap();
        let config = config.replace(&rig.ot_proxy.address.to_string(), &proxy.address.to_string());
        let name = format!("{file}.toml");
        fs::write(rig.relay.path(&name), config).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_sparkdiode"))
            .args(["capture", "--config", &name, "-o", file])
            .args(more)
            .current_dir(rig.relay.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let recorder = Recorder { proxy, child };
        wait_until("the recorder has subscribed", || {
            recorder.count(|packet| matches!(packet, Packet::SubAck { .. })) == SUBSCRIPTIONS
        });
        recorder
    }

    fn count(&self, wanted: impl Fn(&Packet) -> bool) -> usize {
        self.proxy.count(|record| record.received().is_some_and(&wanted))
    }

    fn publishes(&self) -> usize {
        self.count(|packet| matches!(packet, Packet::Publish(_)))
    }

    /// Ctrl-C.
    fn interrupt(mut self) -> (Output, Proxy) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        wait_until("the recorder ends", || self.child.try_wait().unwrap().is_some());
        (self.child.wait_with_output().unwrap(), self.proxy)
    }
}

fn records(rig: &Rig, file: &str) -> Vec<Record> {
    Reader::open(&rig.relay.path(file)).unwrap().map(Result::unwrap).collect()
}

/// In the plant's network a recorder stands as the OT half does; it parses what comes from there.
#[test]
fn a_recorder_is_sealed_and_its_file_is_the_readers_alone() {
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let recorder = Recorder::start(&rig, "sealed.capture", &[]);
    let status = fs::read_to_string(format!("/proc/{}/status", recorder.child.id())).unwrap();
    for wanted in ["NoNewPrivs:\t1", "Seccomp:\t2", "Seccomp_filters:\t2"] {
        assert!(status.contains(wanted), "{status}");
    }
    if crate::relay::is_root() {
        // The half's user, in its group alone, who can neither read nor write the file's directory.
        let user = crate::relay::Half::Ot.user();
        assert!(status.contains(&format!("Uid:\t{user}\t{user}\t{user}\t{user}")), "{status}");
    }
    let (output, _) = recorder.interrupt();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(rig.relay.path("sealed.capture").exists());
}

#[test]
fn a_recording_that_nothing_came_of_leaves_no_file() {
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let config = fs::read_to_string(rig.relay.path("ot.toml")).unwrap();
    // A port at which nobody is.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = config.replace(&rig.ot_proxy.address.to_string(), &nobody.to_string());
    fs::write(rig.relay.path("nobody.toml"), config).unwrap();
    let capture = &["capture", "--config", "nobody.toml", "-o", "none.capture"][..];
    let learn = &["policy", "learn", "--config", "nobody.toml", "-o", "none.capture"][..];
    let unknown = &["capture", "--config", "no-such.toml", "-o", "none.capture"][..];
    for (arguments, code) in [(capture, 74), (learn, 74), (unknown, 78)] {
        let output = rig.relay.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let left: Vec<_> = fs::read_dir(rig.relay.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains("none.capture"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_recording_holds_what_the_plant_said_and_disturbs_nobody() {
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let plain = Recorder::start(&rig, "plain.capture", &[]);
    let redacted = Recorder::start(&rig, "redacted.capture", &["--redact"]);
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1), string("label", "needle in the plant")]).unwrap();
    edge.qos = 1;
    edge.dbirth("D", &[string("recipe", "needle of the device")]).unwrap();
    edge.ndata(&[untyped(int("count", 2))]).unwrap();
    // Not for the policy tools, unless somebody asks for it.
    edge.publish("spBv1.0/Plant/NCMD/E", b"x".to_vec(), false);
    edge.publish("spBv1.0/STATE/host", b"{}".to_vec(), false);
    edge.ndata(&[untyped(int("count", 3))]).unwrap();
    for recorder in [&plain, &redacted] {
        wait_until("four messages have come", || recorder.publishes() == 4);
    }
    rig.wait_for_value("Plant/E", "count", 3);

    for (recorder, file) in [(plain, "plain.capture"), (redacted, "redacted.capture")] {
        let (output, proxy) = recorder.interrupt();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.starts_with("recorded 4 messages of 1 edge node with 1 device in "), "{said}");
        assert!(said.contains("2 births, 2 data, 0 deaths\n"), "{said}");
        let topics: Vec<(String, u8)> =
            records(&rig, file).into_iter().map(|one| (one.topic, one.qos)).collect();
        assert_eq!(
            topics,
            [
                ("spBv1.0/Plant/NBIRTH/E".to_owned(), 0),
                ("spBv1.0/Plant/DBIRTH/E/D".to_owned(), 1),
                ("spBv1.0/Plant/NDATA/E".to_owned(), 1),
                ("spBv1.0/Plant/NDATA/E".to_owned(), 1),
            ]
        );
        // It sent what the relay may send, but from a session that leaves nothing behind.
        let sent = proxy.records();
        let own = |packet: &Packet| match packet {
            Packet::Connect(connect) => {
                connect.clean_session
                    && connect.client_id.starts_with("sparkdiode-ot-relay-capture-")
            }
            _ => true,
        };
        assert!(sent.iter().filter_map(|record| record.sent()).all(own));
        let findings = ot_guard(&sent);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].ends_with("CONNECT with a clean session"), "{findings:?}");
    }
    // The relay's connection is its first.
    let connects = |packet: &Packet| matches!(packet, Packet::Connect(_));
    assert_eq!(rig.ot_proxy.count(|record| record.sent().is_some_and(connects)), 1);

    let has = |file: &str, needle: &[u8]| {
        records(&rig, file).iter().any(|record| contains(&record.payload, needle))
    };
    for (needle, remains) in
        [(&b"needle"[..], false), (b"count", true), (b"label", true), (b"recipe", true)]
    {
        assert!(has("plain.capture", needle));
        assert_eq!(has("redacted.capture", needle), remains);
    }
}

#[test]
fn a_recording_is_bounded_and_never_written_over() {
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let mut recorder = Recorder::start(&rig, "a.capture", &["--max-bytes", "4KiB"]);
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1)]).unwrap();
    for value in 0..50 {
        edge.ndata(&[untyped(int("count", value))]).unwrap();
    }
    wait_until("it ends by itself", || recorder.child.try_wait().unwrap().is_some());
    let output = recorder.child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("at the largest size, 4,096 bytes"), "{said}");
    let before = fs::read(rig.relay.path("a.capture")).unwrap();
    assert!(before.len() <= 4_096 && before.ends_with(b"\n"));
    assert!(records(&rig, "a.capture").len() > 3);

    let again = rig.relay.run(&["capture", "--config", "ot.toml", "-o", "a.capture"]);
    assert_eq!(again.status.code(), Some(74), "{again:?}");
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(said.contains("cannot create `a.capture`: file exists (17)"), "{said}");
    assert_eq!(fs::read(rig.relay.path("a.capture")).unwrap(), before);
}

#[test]
fn a_broker_that_is_not_there_is_an_error_and_leaves_no_file() {
    let Some(mut rig) = Rig::start(EVERYTHING) else { return };
    rig.ot_broker.kill();
    let output = rig.relay.run(&["capture", "--config", "ot.toml", "-o", "a.capture"]);
    assert_eq!(output.status.code(), Some(74), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no connection to the OT broker `127.0.0.1:"), "{said}");
    assert!(!rig.relay.path("a.capture").exists());
}
