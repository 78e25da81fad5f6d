//! Servers that die, stall and stay away: nobody waits for them, and the number that is told is
//! the number that is lost.

use std::collections::BTreeSet;
use std::io::{BufReader, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;

use telemetry::Event;

use super::daemon::{Daemon, Kind, Ports, rsyslog, syslog_ng};
use super::record::Line;
use super::sender::{Sender, configuration, plain, tls};
use crate::checker::Excuse;
use crate::events::assert_triggered;
use crate::metrics::{int, untyped};
use crate::peers::raw_edge::RawEdge;
use crate::relay::Half;
use crate::rig::{EVERYTHING, Rig, Variation};

/// A syslog server of the test's own: it takes connections, and reads when it is told to.
struct Server {
    listener: TcpListener,
}

impl Server {
    fn new() -> Server {
        Server { listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap() }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    fn accept(&self) -> Connection {
        Connection { socket: BufReader::new(self.listener.accept().unwrap().0) }
    }
}

struct Connection {
    socket: BufReader<TcpStream>,
}

impl Connection {
    /// The next line by octet counting; `None` at the end of the connection.
    fn next(&mut self) -> Option<Line> {
        let mut length = 0_usize;
        loop {
            let mut byte = [0];
            match self.socket.read(&mut byte).unwrap() {
                0 if length == 0 => return None,
                0 => panic!("the connection ends within a length"),
                _ => {}
            }
            match byte[0] {
                b' ' => break,
                digit => length = length * 10 + usize::from(digit - b'0'),
            }
        }
        let mut line = vec![0; length];
        self.socket.read_exact(&mut line).unwrap();
        Some(Line::parse(std::str::from_utf8(&line).unwrap()))
    }
}

/// Of the lines that arrived at the target `name`: how many different ones, and how many it is
/// told to have lost. (It is told what the others lose too.)
fn account(name: &str, lines: &[Line]) -> (u64, u64) {
    let mut seen = BTreeSet::new();
    let mut told = 0;
    for line in lines {
        let new = seen.insert(line.sequence());
        assert!(new || line.is_resent(), "a line twice without a mark: {line:?}");
        let own = line.field("test").is_none() && line.field("target") == Some(name);
        if new && line.msgid == "LOG_LOST" && own {
            told += line.field("lost").unwrap().parse::<u64>().unwrap();
        }
    }
    (seen.len() as u64, told)
}

/// Lines about a loss may come before lines that waited all the while.
fn in_order(lines: &[Line]) -> bool {
    let others =
        lines.iter().filter(|line| line.msgid != "LOG_LOST" || line.field("test").is_some());
    others.map(Line::sequence).is_sorted()
}

#[test]
fn a_stalled_server_holds_nobody_up_and_gets_the_exact_number_of_lost_lines() {
    let server = Server::new();
    let dir = tempfile::tempdir().unwrap();
    configuration(dir.path(), &plain("tcp", server.port(), "queue-lines = 64"));
    // Far more than queue and socket buffers hold.
    let rounds = 400;
    let mut sender = Sender::start(dir.path(), rounds);
    let mut connection = server.accept();
    // Nothing is read, and all the same everything was offered: offering doesn't wait.
    let offered = sender.offered();
    assert_eq!(offered, u64::from(rounds) * Event::ALL.len() as u64);
    let mut lines = Vec::new();
    while let Some(line) = connection.next() {
        lines.push(line);
    }
    // That is what tells the sender that everything is read.
    drop(connection);
    let (said, complete) = sender.end();
    assert!(complete, "after it read on, everything else was sent: {said}");
    let (arrived, told) = account("tcp", &lines);
    assert!(told > 0, "the queue was too large for this test");
    // Besides the test's events there are lines about the target itself, in both numbers.
    let own = lines.iter().filter(|line| line.field("test").is_none()).count() as u64;
    let last = lines.iter().map(Line::sequence).max().unwrap();
    assert_eq!(arrived + told, last, "every number is there, or told");
    assert!(arrived + told - own >= offered && own < 10, "{arrived} {told} {own} {offered}");
    assert!(in_order(&lines), "in order");
}

#[test]
fn a_server_that_dies_with_unread_lines_gets_them_again() {
    let server = Server::new();
    let dir = tempfile::tempdir().unwrap();
    configuration(dir.path(), &plain("tcp", server.port(), "queue-lines = 64"));
    let mut sender = Sender::start(dir.path(), 100);
    let mut first = server.accept();
    let mut lines: Vec<Line> = (0..5).map(|_| first.next().unwrap()).collect();
    sender.offered();
    // With most of what was sent unread in its socket.
    drop(first);
    let mut second = server.accept();
    while let Some(line) = second.next() {
        lines.push(line);
    }
    drop(second);
    let (said, complete) = sender.end();
    assert!(complete, "{said}");
    let (arrived, told) = account("tcp", &lines);
    let last = lines.iter().map(Line::sequence).max().unwrap();
    assert_eq!(arrived + told, last, "every number is there, or told");
    assert!(lines.iter().any(Line::is_resent));
    assert!(in_order(&lines[5..]), "in order");
}

#[test]
fn a_server_that_does_not_say_that_it_has_read_everything_is_not_said_to_have() {
    let server = Server::new();
    let dir = tempfile::tempdir().unwrap();
    configuration(dir.path(), &plain("tcp", server.port(), ""));
    let mut sender = Sender::start(dir.path(), 1);
    let mut connection = server.accept();
    let offered = sender.offered();
    while connection.next().is_some() {}
    // The sender has ended its side; the server keeps its own.
    let (said, complete) = sender.end();
    assert!(!complete, "{said}");
    let wanted = format!(
        "  tcp: everything was sent, but the server didn't say whether it has read {} lines\n",
        offered + 1
    );
    assert_eq!(said, wanted, "the events, and LOG_TARGET_UP");
    drop(connection);
}

/// A daemon hangs in the midst of lines, until its sockets and the sender's queue have
/// overflowed; then it is killed with all that it hadn't read, and started again.
fn hang_overflow_and_die(kind: Kind, make: fn(&Ports, &Path) -> String) {
    let Some(mut daemon) = Daemon::start(kind, make) else { return };
    let Ports { tcp, tls: tls_port, .. } = daemon.ports;
    let more = "queue-lines = 128";
    let targets = [plain("tcp", tcp, more), tls(tls_port, more)].concat();
    configuration(daemon.dir.path(), &targets);
    // Not faster than the daemon writes: what it has read and not written dies with it, and
    // only the last few thousand lines of that come again.
    let rounds = 150;
    let mut sender = Sender::patient(daemon.dir.path(), rounds, 1_500);
    for name in ["tcp", "tls"] {
        daemon.wait_for(name, "lines", |text| text.lines().count() > 100);
    }
    daemon.hang();
    let offered = sender.offered();
    assert_eq!(offered, u64::from(rounds) * Event::ALL.len() as u64);
    daemon.kill();
    daemon.restart();
    let (said, complete) = sender.end();
    assert!(complete, "{said}");
    for name in ["tcp", "tls"] {
        // Every number is there, or told. Where a line about a loss comes before lines that
        // waited, that is so only when these are there too.
        let all = |text: &str| {
            let lines = lines(text);
            let (arrived, told) = account(name, &lines);
            let last = lines.iter().map(Line::sequence).max().unwrap_or(0);
            last >= offered && arrived + told == last
        };
        daemon.wait_for(name, "every number, or told", all);
        let lines = lines(&daemon.read(name));
        let (arrived, told) = account(name, &lines);
        let last = lines.iter().map(Line::sequence).max().unwrap();
        assert_eq!(arrived + told, last, "{name}: every number is there, or told");
        assert!(told > 0, "{name}: nothing overflowed");
        assert!(lines.iter().any(Line::is_resent), "{name}");
        println!("{kind:?} {name}: {offered} offered, {arrived} arrived, {told} told as lost");
    }
}

#[test]
fn rsyslog_that_hangs_until_lines_are_lost_and_is_killed_gets_the_exact_number() {
    hang_overflow_and_die(Kind::Rsyslog, rsyslog);
}

#[test]
fn syslog_ng_that_hangs_until_lines_are_lost_and_is_killed_gets_the_exact_number() {
    hang_overflow_and_die(Kind::SyslogNg, syslog_ng);
}

/// The lines of a file that are complete.
fn lines(text: &str) -> Vec<Line> {
    let end = text.rfind('\n').map_or(0, |at| at + 1);
    text[..end].lines().filter(|line| !line.is_empty()).map(Line::parse).collect()
}

#[test]
fn rsyslog_killed_and_restarted_in_the_middle_misses_nothing_that_is_not_told() {
    let Some(mut daemon) = Daemon::start(Kind::Rsyslog, rsyslog) else { return };
    let ports = daemon.ports;
    let more = "queue-lines = 256";
    let targets = [plain("tcp", ports.tcp, more), tls(ports.tls, more)].concat();
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    rig.relay.add_syslog(Half::Ot, &targets, &daemon.path("certs"));
    rig.start_both();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 0)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
    for name in ["tcp", "tls"] {
        daemon.wait_for(name, "the start", |text| text.contains(" STARTED "));
    }
    // Traffic with events in it goes on while the server is away.
    let mut value = 0;
    let mut traffic = |rig: &Rig, edge: &mut RawEdge| {
        for _ in 0..10 {
            value += 1;
            edge.ndata(&[untyped(int("count", value))]).unwrap();
            edge.publish("spBv1.0/Plant/NDATA/E", b"\xff\xff".to_vec(), false);
            edge.publish(&format!("spBv1.0/Plant/NDATA/Ghost{value}"), b"\x08\x01".to_vec(), false);
        }
        rig.wait_for_value("Plant/E", "count", u64::from(value));
    };
    traffic(&rig, &mut edge);
    daemon.kill();
    traffic(&rig, &mut edge);
    rig.relay.wait_for_log(Half::Ot, &["LOG_TARGET_DOWN", "target=tcp"]);
    rig.relay.wait_for_log(Half::Ot, &["LOG_TARGET_DOWN", "target=tls"]);
    assert_triggered(&rig.relay.log(Half::Ot), Event::LogTargetDown);
    daemon.restart();
    traffic(&rig, &mut edge);
    for name in ["tcp", "tls"] {
        daemon.wait_for(name, "it is back", |text| text.contains(" LOG_TARGET_UP "));
    }
    assert!(rig.relay.terminate(Half::Ot).success());
    assert_triggered(&rig.relay.log(Half::Ot), Event::LogTargetUp);
    for name in ["tcp", "tls"] {
        daemon.wait_for(name, "the end", |text| text.contains(" STOPPED "));
        let lines = lines(&daemon.read(name));
        let (arrived, told) = account(name, &lines);
        let last = lines.iter().map(Line::sequence).max().unwrap();
        assert_eq!(arrived + told, last, "{name}: every number is there, or told");
    }
    rig.judge(Excuse::default());
}

#[test]
fn a_stalled_server_does_not_slow_the_relay() {
    let server = Server::new();
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    let target = plain("tcp", server.port(), "queue-lines = 16");
    rig.relay.add_syslog(Half::Ot, &target, rig.relay.path("").as_path());
    rig.start_both();
    // Accepted, and never read.
    let stalled = server.accept();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 0)]).unwrap();
    for value in 1..=500 {
        edge.ndata(&[untyped(int("count", value))]).unwrap();
        edge.publish(&format!("spBv1.0/Plant/NDATA/Ghost{value}"), b"\xff".to_vec(), false);
        edge.publish("spBv1.0/Plant/NDATA/E", b"\xff".to_vec(), false);
    }
    // What is before these lines in the relay's queue has passed, so it waited for nothing.
    rig.wait_for_value("Plant/E", "count", 500);
    drop(stalled);
    rig.judge(Excuse::default());
}

#[test]
fn a_half_that_ends_tells_what_a_server_that_hangs_may_not_have_read() {
    let server = Server::new();
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    let target = plain("tcp", server.port(), "events = [\"STARTED\"]");
    rig.relay.add_syslog(Half::Ot, &target, rig.relay.path("").as_path());
    rig.start_both();
    // Accepted, and never read.
    let hanging = server.accept();
    assert!(rig.relay.terminate(Half::Ot).success());
    let log = rig.relay.log(Half::Ot);
    assert_triggered(&log, Event::LogUnconfirmed);
    assert!(log.contains(" target=tcp lines=1"), "{log}");
    drop(hanging);
}
