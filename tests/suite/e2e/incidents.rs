//! Six incidents as somebody in a SOC sees them at night, by the log alone: each test has the
//! lines that must be there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use sparkplug::{Metric, Value};
use telemetry::Event;

use super::commands::contains;
use super::tls::{Authority, settings};
use crate::broker::{Broker, skipped};
use crate::client::Client;
use crate::metrics::{command, int, string, untyped};
use crate::peers::raw_edge::RawEdge;
use crate::relay::{Half, Link, Relay, is_root};
use crate::rig::{EVERYTHING, Rig, Variation};
use crate::waiting::wait_until;

/// What comes after `EVENT ` in a line.
fn said(line: &str, event: Event) -> &str {
    line.split_once(&format!(": {} ", event.msgid())).unwrap().1
}

/// The numbers of all `repeated=` in lines of this event, and the number of its other lines.
fn total(log: &str, event: Event) -> (u64, u64) {
    let msgid = format!(": {} ", event.msgid());
    let (mut repeated, mut lines) = (0, 0);
    for line in log.lines().filter(|line| line.contains(&msgid)) {
        let number = line.split(' ').find_map(|word| word.strip_prefix("repeated="));
        match number {
            Some(number) => repeated += number.parse::<u64>().unwrap(),
            None => lines += 1,
        }
    }
    (repeated, lines)
}

#[test]
fn a_node_that_floods_is_named_in_few_lines_with_the_right_total() {
    const MESSAGES: u64 = 5_000;
    const RATED: &str = "[[rule]]\nname = \"slow\"\naction = \"forward\"\ngroup = \"Plant\"\n\
                         [rule.rate]\nmessages-per-s = 1\nburst-messages = 1\n";
    let Some(mut rig) = Rig::start(RATED) else { return };
    let mut flood = RawEdge::connect(rig.ot_address(), "Plant", "Flood");
    flood.qos = 1;
    flood.nbirth(&[int("count", 0)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/Flood", 1);
    // Refused ones, of which each is an event, and values that a rate keeps back.
    for value in 0..MESSAGES {
        flood.publish("spBv1.0/Plant/NDATA/Flood", b"\xff\xff\xff".to_vec(), false);
        if value < 100 {
            let value = i32::try_from(value).unwrap();
            flood.ndata(&[untyped(int("count", value.unsigned_abs()))]).unwrap();
        }
    }
    let line = rig.relay.wait_for_event(Half::Ot, Event::PayloadRefused, &["node=Plant/Flood"]);
    assert_eq!(
        said(&line, Event::PayloadRefused),
        "payload refused node=Plant/Flood topic=spBv1.0/Plant/NDATA/Flood \
         reason=malformed_payload bytes=3 \
         problem=\"malformed payload: a field cut short at byte 3 of a message\""
    );
    let line = rig.relay.wait_for_event(Half::Ot, Event::RateExceeded, &["node=Plant/Flood"]);
    assert!(line.contains("over the rate limit") && line.contains("rule=slow"), "{line}");
    // A quiet node is heard meanwhile.
    let mut quiet = RawEdge::connect(rig.ot_address(), "Plant", "Quiet");
    quiet.publish("spBv1.0/Plant/NDATA/Quiet", b"\xff".to_vec(), false);
    rig.relay.wait_for_event(Half::Ot, Event::PayloadRefused, &["node=Plant/Quiet"]);
    assert!(rig.relay.terminate(Half::Ot).success());
    let log = rig.relay.log(Half::Ot);
    let (repeated, lines) = total(&log, Event::PayloadRefused);
    assert_eq!(repeated + lines, MESSAGES + 1, "{log}");
    // Ten of each source in each window of a minute; the test may see the end of one.
    assert!(lines <= 2 * 10 + 1, "{lines} lines");
    assert!(log.contains("PAYLOAD_REFUSED repeated "), "{log}");
}

#[test]
fn a_broker_whose_certificate_has_expired_is_named_with_the_date() {
    let ot_side = Authority::with_broker_until("ot", (2024, 2, 29));
    let Some(broker) = ot_side.broker() else { return };
    let link = ot_side.link(&broker, &ot_side);
    let mut relay = Relay::new(&settings(link.clone(), link));
    relay.start(Half::Ot);
    let line = relay.wait_for_event(Half::Ot, Event::CertExpired, &["of the server"]);
    assert_eq!(
        said(&line, Event::CertExpired),
        "certificate has expired certificate=\"of the server `localhost`\" expires=2024-02-29"
    );
    let line = relay.wait_for_event(Half::Ot, Event::TlsRefused, &["certificate"]);
    assert!(
        line.contains("ERROR ot: TLS_REFUSED not connected: no TLS broker=localhost:"),
        "{line}"
    );
    assert!(
        line.contains(
            "the broker's certificate expired on 2024-02-29; by this machine's clock it is 20"
        ),
        "{line}"
    );
}

#[test]
fn a_silent_link_is_told_at_once_with_every_node_that_dies_of_it() {
    let variation = Variation { mirror: "stale-after-s = 3".into(), ..Variation::default() };
    let Some(mut rig) = Rig::prepare(EVERYTHING, &variation) else { return };
    rig.start_both();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
    rig.relay.kill(Half::Ot);
    let line = rig.relay.wait_for_event(Half::It, Event::LinkStale, &["away_ms="]);
    assert!(
        line.contains("ERROR it: LINK_STALE link stale: every node is declared dead away_ms=")
            && line.contains(" why=\"no sign of life from the OT half\""),
        "{line}"
    );
    rig.relay.wait_for_event(Half::It, Event::NodeDead, &["node=Plant/E"]);
    rig.start_ot();
    rig.relay.wait_for_event(Half::It, Event::LinkAlive, &["link alive"]);
}

#[test]
fn a_policy_that_is_refused_on_reload_is_told_with_file_line_and_what_is_wrong() {
    let Some(mut rig) = Rig::start(EVERYTHING) else { return };
    rig.relay.write_policy("[[rule]]\nname = \"x\"\naction = \"foward\"\ngroup = \"Plant\"\n");
    rig.relay.signal(Half::Ot, Signal::HUP);
    let line = rig.relay.wait_for_event(Half::Ot, Event::PolicyRefused, &["policy.toml:3:10"]);
    assert!(
        line.contains(
            "ERROR ot: POLICY_REFUSED policy not reloaded; the earlier one stays in force error="
        ) && line.contains("unknown action: `foward`"),
        "{line}"
    );
    // What was allowed stays allowed.
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
}

#[test]
fn a_command_from_it_is_told_with_its_topic_and_what_it_would_have_written() {
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1)]).unwrap();
    edge.dbirth("D", &[int("setpoint", 1)]).unwrap();
    rig.wait_for("spBv1.0/Plant/DBIRTH/E/D", 1);
    let mut attacker = Client::plain(rig.it_address(), "attacker");
    let forged = "set\npoint\" reason=\"none";
    let payload = command(forged, Value::Int(9_000));
    attacker.publish("spBv1.0/Plant/DCMD/E/D", payload, 1, false).unwrap();
    let line = rig.relay.wait_for_event(Half::It, Event::CommandRefused, &["DCMD"]);
    let said = said(&line, Event::CommandRefused);
    assert!(line.contains(" WARN it: COMMAND_REFUSED "), "{line}");
    assert!(
        said.starts_with(
            "command refused topic=spBv1.0/Plant/DCMD/E/D \
             metrics=\"set\\npoint\\\" reason=\\\"none\" reason="
        ),
        "{said}"
    );
    rig.no_command_on_ot();
}

/// A file system of its own for the journal, so small that it fills.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, kib: u32, owner: u32, group: u32) -> Option<SmallDisk> {
        let options = format!("size={kib}k,uid={owner},gid={group},mode=2750");
        let mounted = run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs"], at);
        mounted.then(|| SmallDisk(at.to_owned()))
    }

    fn grow(&self, kib: u32) {
        assert!(run("mount", &["-o", &format!("remount,size={kib}k")], &self.0));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Even where a file in it is still open.
        run("umount", &["-l"], &self.0);
    }
}

fn run(program: &str, arguments: &[&str], last: &Path) -> bool {
    Command::new(program).args(arguments).arg(last).status().is_ok_and(|status| status.success())
}

/// Metrics whose values take something in the journal.
fn padding() -> Vec<Metric> {
    let value = "x".repeat(200);
    (0..40).map(|number| string(&format!("padding {number}"), &value)).collect()
}

#[test]
fn a_full_disk_is_told_once_and_so_is_its_end_and_nothing_acknowledged_is_lost() {
    if !is_root() {
        return skipped("a small disk needs root");
    }
    let journal = "segment-bytes = 65536\nretain-bytes = 16777216".to_owned();
    let variation = Variation { journal, ..Variation::default() };
    let Some(mut rig) = Rig::prepare(EVERYTHING, &variation) else { return };
    let at = rig.relay.path("journal");
    let disk = SmallDisk::mount(&at, 192, Half::Ot.user(), Half::It.user());
    let Some(disk) = disk else { return skipped("mount of a tmpfs is not permitted") };
    rig.start_both();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.qos = 1;
    edge.nbirth(&[int("count", 0)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
    let padding = padding();
    edge.dbirth("D", &padding).unwrap();
    for value in 1..=200 {
        let mut metrics: Vec<_> = padding.iter().cloned().map(untyped).collect();
        metrics.truncate(20);
        edge.ddata("D", &metrics).unwrap();
        edge.ndata(&[untyped(int("count", value))]).unwrap();
    }
    let line = rig.relay.wait_for_event(Half::Ot, Event::DiskError, &["what=journal"]);
    assert!(
        line.contains(
            "ERROR ot: DISK_ERROR the disk refuses; nothing is acknowledged until it takes data \
             what=journal error="
        ) && line.to_lowercase().contains("no space left"),
        "{line}"
    );
    disk.grow(32 * 1_024);
    rig.relay.wait_for_event(Half::Ot, Event::DiskOk, &["what=journal"]);
    rig.wait_for_value("Plant/E", "count", 200);
    rig.relay.terminate(Half::It);
    rig.relay.terminate(Half::Ot);
    drop(disk);
}

#[test]
fn the_life_of_a_half_is_told_from_its_start_to_its_end() {
    let Some(mut rig) = Rig::start(EVERYTHING) else { return };
    for half in [Half::Ot, Half::It] {
        rig.relay.wait_for_event(half, Event::Started, &["version="]);
        rig.relay.wait_for_event(half, Event::ConfigWarning, &["neither encrypted"]);
        rig.relay.wait_for_event(half, Event::Sealed, &["user="]);
    }
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
    rig.relay.wait_for_event(Half::Ot, Event::PolicyLoaded, &["rules=1"]);
    rig.relay.wait_for_event(Half::Ot, Event::BrokerUp, &["session_present=false"]);
    rig.relay.wait_for_event(Half::It, Event::BrokerUp, &["broker=127.0.0.1:"]);
    rig.relay.signal(Half::It, Signal::HUP);
    rig.relay.wait_for_event(Half::It, Event::ReloadIgnored, &[]);
    rig.ot_broker.kill();
    rig.relay.wait_for_event(Half::Ot, Event::BrokerDown, &["pause_ms="]);
    assert!(rig.relay.terminate(Half::It).success());
    assert!(rig.relay.terminate(Half::Ot).success());
    // A half that was stopped has no session, and nothing is wrong with that.
    let line = rig.relay.wait_for_event(Half::It, Event::Summary, &["nodes_known=1", "forwarded="]);
    assert!(!line.contains("no session with the IT broker"), "{line}");
    for half in [Half::Ot, Half::It] {
        rig.relay.wait_for_event(half, Event::Stopped, &[]);
    }
}

#[test]
fn a_half_that_cannot_run_tells_why() {
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    fs::remove_dir(rig.relay.path("journal")).unwrap();
    fs::write(rig.relay.path("journal"), "not a directory").unwrap();
    rig.relay.start(Half::Ot);
    assert!(!rig.relay.wait(Half::Ot).success());
    rig.relay.wait_for_event(Half::Ot, Event::Failed, &["exit="]);
}

#[test]
fn stored_state_that_is_damaged_is_told_and_kept() {
    let Some(mut rig) = Rig::start(EVERYTHING) else { return };
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
    assert!(rig.relay.terminate(Half::It).success());
    let path = rig.relay.path("it-state/mirror.state");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 0xff;
    fs::write(&path, bytes).unwrap();
    rig.relay.start(Half::It);
    let line = rig.relay.wait_for_event(Half::It, Event::StateDamaged, &["what=mirror"]);
    let moved = line.rsplit_once("moved_to=").unwrap().1;
    assert!(Path::new(moved.trim_matches('"')).exists(), "{line}");
}

#[test]
fn a_journal_that_runs_against_its_limit_is_told_once_and_what_it_deletes() {
    let journal = "segment-bytes = 65536\nretain-bytes = 262144".to_owned();
    let variation = Variation { journal, ..Variation::default() };
    let Some(mut rig) = Rig::prepare(EVERYTHING, &variation) else { return };
    rig.start_ot();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    let padding = padding();
    edge.nbirth(&padding).unwrap();
    for _ in 0..200 {
        edge.ndata(&padding.iter().cloned().map(untyped).collect::<Vec<_>>()).unwrap();
    }
    rig.relay.wait_for_event(Half::Ot, Event::JournalNearLimit, &["limit=262144"]);
    rig.relay.wait_for_event(Half::Ot, Event::JournalTrimmed, &["segments="]);
}

#[test]
fn a_journal_that_cannot_be_read_is_told_and_tried_again() {
    use std::os::unix::fs::PermissionsExt;
    let journal = "segment-bytes = 65536\nretain-bytes = 16777216".to_owned();
    let variation = Variation { journal, ..Variation::default() };
    let Some(mut rig) = Rig::prepare(EVERYTHING, &variation) else { return };
    rig.start_both();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
    let at = rig.relay.path("journal");
    let mode = |mode| fs::set_permissions(&at, fs::Permissions::from_mode(mode)).unwrap();
    let before = fs::metadata(&at).unwrap().permissions().mode();
    // The owner, who is the OT half, may go on; its readers may not.
    // New segments go on to belong to the readers' group.
    mode(0o2700);
    let padding = padding();
    edge.dbirth("D", &padding).unwrap();
    for value in 2..=100 {
        edge.ddata("D", &padding.iter().cloned().map(untyped).collect::<Vec<_>>()).unwrap();
        edge.ndata(&[untyped(int("count", value))]).unwrap();
    }
    if is_root() {
        rig.relay.wait_for_event(Half::It, Event::JournalUnreadable, &["error="]);
    } else {
        skipped("both halves are one user here");
    }
    mode(before);
    rig.wait_for_value("Plant/E", "count", 100);
}

#[test]
fn a_stop_that_the_broker_does_not_confirm_is_told() {
    let Some(mut rig) = Rig::start(EVERYTHING) else { return };
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
    rig.it_broker.freeze();
    rig.relay.terminate(Half::It);
    rig.relay.wait_for_event(Half::It, Event::DeathsUnconfirmed, &[]);
}

#[test]
fn what_the_sandbox_goes_without_is_told() {
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    let path = rig.relay.path("it.toml");
    let text = fs::read_to_string(&path).unwrap();
    // More nodes than descriptors can be had for, whatever this machine allows.
    let text = text
        .replace("[sandbox]\n", "[sandbox]\nwaive = [\"landlock-scopes\"]\n")
        .replace(
            "waive = [\"landlock-scopes\"]\nwaive = [\"user\"]",
            "waive = [\"landlock-scopes\", \"user\"]",
        )
        .replace("[mirror]\n", "[mirror]\nmax-nodes = 100000\n");
    fs::write(&path, text).unwrap();
    rig.start_ot();
    rig.relay.start_with_descriptors(Half::It, 500);
    rig.relay.wait_for_event(Half::It, Event::SandboxWaived, &["layer=landlock-scopes"]);
    rig.relay.wait_for_event(Half::It, Event::DescriptorsFew, &["limit=500"]);
}

/// The other side of [`a_broker_whose_certificate_has_expired_is_named_with_the_date`].
#[test]
fn a_password_that_cannot_be_read_any_more_is_told() {
    let user = Some(("relay".to_owned(), "right".to_owned()));
    let options = crate::broker::Options { user, ..crate::broker::Options::default() };
    let Some(mut broker) = Broker::start(options) else { return };
    let link = Link::Plain(broker.address);
    let mut settings = settings(link.clone(), link);
    settings.ot_broker = "user = \"relay\"\npassword-file = \"password\"".into();
    let mut relay = Relay::new(&settings);
    relay.write_secret(Half::Ot, "password", "right\n");
    relay.start(Half::Ot);
    relay.wait_for_event(Half::Ot, Event::BrokerUp, &[]);
    fs::remove_file(relay.path("password")).unwrap();
    broker.kill();
    let line = relay.wait_for_event(Half::Ot, Event::SecretUnreadable, &["password"]);
    assert!(!line.contains("right"), "{line}");
}

#[test]
fn a_plant_that_has_the_name_of_the_relays_own_node_is_told() {
    let variation =
        Variation { mirror: "[health]\npublish-every-s = 1\n".into(), ..Variation::default() };
    let policy = "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"*\"\n";
    let Some(mut rig) = Rig::prepare(policy, &variation) else { return };
    rig.start_ot();
    // The relay is called `relay`, and without a key its own node is called after it.
    let mut edge = RawEdge::connect(rig.ot_address(), "sparkdiode", "relay");
    edge.nbirth(&[int("count", 1)]).unwrap();
    wait_until("the birth is in the journal", || {
        let journal = rig.relay.journal();
        journal.iter().any(|(_, bytes)| contains(bytes, b"spBv1.0/sparkdiode/NBIRTH/relay"))
    });
    rig.relay.start(Half::It);
    let line = rig.relay.wait_for_event(Half::It, Event::HealthNameTaken, &[]);
    assert!(line.contains("node=sparkdiode/relay"), "{line}");
}
