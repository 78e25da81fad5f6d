//! What the halves say of themselves: to the service manager, in the status file, in the textfile
//! for Prometheus.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use account::Reason;
use rustix::process::Signal;
use sparkplug::{Property, Value};
use telemetry::Event;
use telemetry::status::{Level, Status};

use crate::broker::skipped;
use crate::checker::Excuse;
use crate::client::Client;
use crate::metrics::{command, int, untyped};
use crate::peers::raw_edge::RawEdge;
use crate::peers::srad_host::SradHost;
use crate::relay::Half;
use crate::rig::{Rig, Variation};
use crate::waiting::{holds_within, wait_until};

const POLICY: &str = r#"
[[rule]]
name = "counters"
action = "forward"
group = "Plant"
allow-metrics = ["Counter"]

[[rule]]
name = "no-secrets"
action = "deny"
group = "Plant"
deny-metrics = ["Secret"]

[[rule]]
name = "no-counters-tried"
action = "deny"
group = "Plant"
deny-metrics = ["Counter"]
mode = "observe"
"#;

/// What stands in for systemd.
struct Manager {
    said: Arc<Mutex<Vec<String>>>,
}

impl Manager {
    /// Listens at `path`, and has the halves believe that they are watched.
    fn of(rig: &mut Rig, watchdog: Duration) -> Manager {
        let path = rig.relay.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            // Ends with the test's process.
            while let Ok(length) = socket.recv(&mut bytes) {
                let words = String::from_utf8_lossy(&bytes[..length]).into_owned();
                heard.lock().unwrap().push(words);
            }
        });
        rig.relay.environment = vec![
            ("NOTIFY_SOCKET", path.display().to_string()),
            ("WATCHDOG_USEC", watchdog.as_micros().to_string()),
        ];
        Manager { said }
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    fn count(&self, start: &str) -> usize {
        self.said().iter().filter(|words| words.starts_with(start)).count()
    }

    /// Waits until it was told `count` times what starts like this.
    #[track_caller]
    fn wait_for(&self, start: &str, count: usize) {
        wait_until(&format!("{count} times `{start}`"), || self.count(start) >= count);
    }
}

/// The status file as it is now; `None` before the first one.
pub(super) fn status(rig: &Rig, half: Half) -> Option<Status> {
    let text = fs::read(rig.relay.path(&format!("{}-state/status.json", half.name()))).ok()?;
    Some(serde_json::from_slice(&text).unwrap())
}

/// Waits until the status of the half is as wanted.
#[track_caller]
fn wait_for_status(rig: &Rig, half: Half, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
    let mut last = None;
    wait_until(&format!("{half:?}: {what}"), || {
        last = status(rig, half).filter(|status| wanted(status));
        last.is_some()
    });
    last.unwrap()
}

#[test]
fn the_service_manager_hears_of_readiness_reloads_life_and_the_end() {
    for half in [Half::Ot, Half::It] {
        let variation = Variation {
            mirror: "[policies]\npaths = [\"policies\"]\n".to_owned(),
            ..Variation::default()
        };
        let Some(mut rig) = Rig::prepare(POLICY, &variation) else { return };
        // Fed four times within this.
        let manager = Manager::of(&mut rig, Duration::from_millis(800));
        rig.relay.start(half);
        manager.wait_for("READY=1\n", 1);
        manager.wait_for("STATUS=", 1);
        manager.wait_for("WATCHDOG=1\n", 3);
        assert_eq!(manager.said()[0], "READY=1\n", "ready before anything else: {half:?}");
        rig.relay.signal(half, Signal::HUP);
        manager.wait_for("RELOADING=1\nMONOTONIC_USEC=", 1);
        manager.wait_for("READY=1\n", 2);
        // A policy that is refused ends the reload as well.
        rig.relay.write_policy("[[rule]]\nname = 1\n");
        rig.relay.signal(half, Signal::HUP);
        manager.wait_for("READY=1\n", 3);
        assert!(rig.relay.terminate(half).success());
        manager.wait_for("STOPPING=1\n", 1);
        let said = manager.said();
        let reloading = said.iter().position(|words| words.starts_with("RELOADING")).unwrap();
        let after = &said[reloading..];
        assert!(after.iter().any(|words| words == "READY=1\n"), "{said:?}");
    }
}

/// Stops one thread of another process, and no more: what SIGSTOP can't do. It takes ptrace, which
/// safe Rust doesn't have.
const STOP_THREAD: &str = r#"
import ctypes, os, sys
SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000
thread = int(sys.argv[1])
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
def call(request):
    if ptrace(request, thread, None, None) != 0:
        print(os.strerror(ctypes.get_errno()), flush=True)
        sys.exit(1)
call(SEIZE)
call(INTERRUPT)
os.waitpid(thread, WALL)
print("stopped", flush=True)
sys.stdin.readline()
call(DETACH)
print("detached", flush=True)
"#;

#[test]
fn a_half_whose_thread_of_messages_stands_still_feeds_no_watchdog_though_the_rest_of_it_lives() {
    // On OT messages have a thread of their own beside the network's; on IT one thread does both.
    for half in [Half::Ot, Half::It] {
        let variation = Variation {
            mirror: "[policies]\npaths = [\"policies\"]\n".to_owned(),
            ..Variation::default()
        };
        let Some(mut rig) = Rig::prepare(POLICY, &variation) else { return };
        let watchdog = Duration::from_millis(800);
        let manager = Manager::of(&mut rig, watchdog);
        rig.relay.start(half);
        manager.wait_for("WATCHDOG=1\n", 2);
        let process = rig.relay.pid(half);
        let thread = match half {
            Half::Ot => thread_of(process, "worker"),
            Half::It => process,
        };
        let mut tracer = Command::new("python3")
            .args(["-c", STOP_THREAD, &thread.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(tracer.stdout.take().unwrap()).lines();
        let first = said.next().and_then(Result::ok).unwrap_or_default();
        if first != "stopped" {
            tracer.wait().unwrap();
            return skipped(&format!("no thread can be stopped by ptrace: {first}"));
        }
        // What it said last may still be on its way; from then on there is nothing, for longer
        // than systemd would wait.
        let fed = manager.count("WATCHDOG=1\n");
        let feeds = || manager.count("WATCHDOG=1\n") > fed + 1;
        assert!(
            !holds_within(watchdog * 2, feeds),
            "{half:?} feeds the watchdog, but stands still"
        );
        let fed = manager.count("WATCHDOG=1\n");
        let ready = manager.count("READY=1\n");
        assert_eq!(stopped_threads(process), [thread], "the rest of {half:?} lives");
        rig.relay.signal(half, Signal::HUP);
        if half == Half::Ot {
            // The network's thread hears signals.
            manager.wait_for("RELOADING=1\n", 1);
            assert_eq!(manager.count("READY=1\n"), ready, "a reload without the worker");
        }
        assert_eq!(manager.count("WATCHDOG=1\n"), fed);
        drop(tracer.stdin.take());
        assert_eq!(said.next().and_then(Result::ok).as_deref(), Some("detached"));
        assert!(tracer.wait().unwrap().success());
        manager.wait_for("READY=1\n", ready + 1);
        manager.wait_for("WATCHDOG=1\n", fed + 2);
        assert!(rig.relay.terminate(half).success());
    }
}

/// The thread of this name.
fn thread_of(process: u32, name: &str) -> u32 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let mut paths = threads.map(|thread| thread.unwrap().path());
    let called = |path: &Path| fs::read_to_string(path.join("comm")).unwrap().trim() == name;
    let path = paths.find(|path| called(path)).unwrap_or_else(|| panic!("no thread `{name}`"));
    path.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

/// The threads of a process that a tracer or a signal has stopped.
fn stopped_threads(process: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let mut stopped = Vec::new();
    for path in threads.map(|thread| thread.unwrap().path()) {
        let stat = fs::read_to_string(path.join("stat")).unwrap();
        // After the name, in brackets: `t` or `T`.
        let state = stat.rsplit_once(") ").unwrap().1.chars().next().unwrap();
        if state.eq_ignore_ascii_case(&'t') {
            stopped.push(path.file_name().unwrap().to_str().unwrap().parse().unwrap());
        }
    }
    stopped
}

#[test]
fn a_manager_that_is_not_there_keeps_the_half_from_starting() {
    let Some(mut rig) = Rig::prepare(POLICY, &Variation::default()) else { return };
    rig.relay.environment = vec![("NOTIFY_SOCKET", "/nonexistent/notify".to_owned())];
    rig.relay.start(Half::Ot);
    assert_eq!(rig.relay.wait(Half::Ot).code(), Some(74));
    rig.relay.wait_for_log(Half::Ot, &["cannot reach the service manager at NOTIFY_SOCKET"]);
}

#[test]
fn status_and_textfile_tell_the_account_by_node_and_rule() {
    let variation = Variation {
        ot_extra: "[status]\nevery-s = 1\n[metrics]\ntextfile = \"ot-state/ot.prom\"\n".to_owned(),
        mirror: "[status]\nevery-s = 1\n[metrics]\ntextfile = \"it-state/it.prom\"\n".to_owned(),
        ..Variation::default()
    };
    let Some(mut rig) = Rig::prepare(POLICY, &variation) else { return };
    rig.start_both();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("Counter", 1), int("Secret", 7)]).unwrap();
    for value in 2..12 {
        edge.ndata(&[untyped(int("Counter", value))]).unwrap();
    }
    for value in 0..5 {
        edge.ndata(&[untyped(int("Secret", value))]).unwrap();
    }
    let mut other = RawEdge::connect(rig.ot_address(), "Plant", "F");
    other.ndata(&[untyped(int("Counter", 1))]).unwrap();
    rig.wait_for_value("Plant/E", "Counter", 11);

    // 1 birth + 10 + 5 of E, 1 of F.
    let ot = wait_for_status(&rig, Half::Ot, "17 received", |status| {
        // What comes without a birth waits for it, for a while.
        status.account.received == 17 && status.account.waiting == 0
    });
    let account = &ot.account;
    assert!(account.balances, "{account:?}");
    assert_eq!((account.forwarded, account.dropped, account.waiting), (11, 6, 0));
    let drops: Vec<_> = account
        .drops
        .iter()
        .map(|drops| (drops.reason.as_str(), drops.rule.as_deref(), drops.messages, drops.metrics))
        .collect();
    assert_eq!(
        drops[..2],
        [("denied", Some("no-secrets"), 5, 6), ("data_before_birth", None, 1, 0)],
        "{drops:?}"
    );
    let talker = &ot.nodes.talkers[0];
    assert_eq!((talker.node.as_str(), talker.received, talker.forwarded), ("Plant/E", 16, 11));
    assert_eq!((talker.dropped, talker.top_reason.as_deref()), (5, Some("denied")));
    assert_eq!(ot.health.level, Level::Ok, "{:?}", ot.health);
    assert_eq!((ot.relay.as_str(), ot.broker.connected), ("relay", true));

    let it = wait_for_status(&rig, Half::It, "the OT half's word", |status| {
        let ot = status.it.as_ref().and_then(|it| it.ot.as_ref());
        let alive = status.it.as_ref().is_some_and(|it| it.link == "alive");
        ot.is_some_and(|ot| ot.received == 17) && status.account.received == 11 && alive
    });
    assert!(it.account.balances);
    assert_eq!((it.account.forwarded, it.account.dropped), (11, 0));
    assert_eq!((it.relay.as_str(), it.broker.sessions), ("relay", 1));
    assert_eq!(it.it.unwrap().ot.unwrap().policy_digest, ot.policy.unwrap().digest);
    // The births that are read again as history lack nothing that has a place.
    assert!(!rig.relay.log(Half::It).contains(" VALUES_UNPLACEABLE "));

    for name in ["ot-state/status.json", "ot-state/ot.prom", "it-state/it.prom"] {
        let mode = fs::metadata(rig.relay.path(name)).unwrap().mode() & 0o7777;
        assert_eq!(mode & !0o640, 0, "{name}: {mode:o}");
    }
    // The textfile is written after the status file: what the status told may not be in it yet.
    let mut text = String::new();
    wait_until("the textfile has the message that waited for a birth", || {
        text = fs::read_to_string(rig.relay.path("ot-state/ot.prom")).unwrap();
        text.lines().any(|line| {
            line.starts_with("sparkdiode_dropped_messages_total{")
                && line.contains("reason=\"data_before_birth\"")
                && line.ends_with(" 1")
        })
    });
    let sample = |name: &str, labels: &str| {
        let start = format!("{name}{{half=\"ot\",relay=\"relay\"{labels}}} ");
        text.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned)
    };
    assert_eq!(sample("sparkdiode_received_messages_total", "").as_deref(), Some("17"));
    let of_rule = ",rule=\"no-secrets\",reason=\"denied\"";
    let by_rule = sample("sparkdiode_rule_dropped_metrics_total", of_rule);
    assert_eq!(by_rule.as_deref(), Some("6"));
    let dropped: u64 = Reason::ALL
        .iter()
        .map(|reason| {
            let labels = format!(",reason=\"{reason}\"");
            sample("sparkdiode_dropped_messages_total", &labels).unwrap().parse::<u64>().unwrap()
        })
        .sum();
    assert_eq!(dropped, 6);
    // What a rule that only observes would have taken out: the birth's and those of the data.
    let tried = ot.ot.unwrap();
    assert_eq!((tried.observed[0].action.as_str(), tried.observed[0].metrics), ("deny", 11));
    assert!(tried.policy_since_ms >= ot.started_ms, "{tried:?}");
    let of_tried = ",rule=\"no-counters-tried\",action=\"deny\"";
    let by_tried = sample("sparkdiode_rule_observed_metrics_total", of_tried);
    assert_eq!(by_tried.as_deref(), Some("11"));
    let shown = rig.relay.run(&["status", "ot.toml", "it-state"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    for wanted in [
        " OT HALF  relay",
        " account      17 received = 11 forwarded + 6 dropped + 0 waiting  (balances)",
        " link         alive",
        " IT HALF  relay",
        "── ONLY OBSERVED  since 20",
        &format!(" {:<20} {:<62} {:>13}", "denied", "no-counters-tried", 11),
    ] {
        assert!(text.contains(wanted), "no `{wanted}`:\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let json = rig.relay.run(&["status", "--json", "ot-state"]).stdout;
    let json: Status = serde_json::from_slice(&json).unwrap();
    assert_eq!(json.account.received, 17);
    assert!(rig.relay.terminate(Half::Ot).success());
    rig.relay.wait_for_event(Half::Ot, Event::Summary, &["observed=\"no-counters-tried=11\""]);
    promtool_takes(&rig.relay.path("ot-state/ot.prom"));
    promtool_takes(&rig.relay.path("it-state/it.prom"));
}

#[test]
fn a_status_that_is_not_there_and_a_file_that_is_none_are_named() {
    let Some(rig) = Rig::prepare(POLICY, &Variation::default()) else { return };
    let absent = rig.relay.run(&["status", "ot.toml"]);
    assert_eq!(absent.status.code(), Some(74));
    let said = String::from_utf8(absent.stderr).unwrap();
    assert!(said.contains("status.json`: No such file") && said.contains("hint: "), "{said}");
    let file = rig.relay.path("ot-state/status.json");
    fs::write(&file, "{}").unwrap();
    // As the half would have written it: a file of somebody else isn't read.
    let owner = fs::metadata(rig.relay.path("ot-state")).unwrap();
    std::os::unix::fs::chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
    let broken = rig.relay.run(&["status", "ot-state"]);
    assert_eq!(broken.status.code(), Some(65));
    assert!(String::from_utf8(broken.stderr).unwrap().contains("not a status file: `ot-state/"));
    let policy = rig.relay.run(&["status", "policies/policy.toml"]);
    assert_eq!(policy.status.code(), Some(78));
}

#[test]
fn a_half_refuses_a_metrics_directory_that_others_may_write() {
    let variation = Variation {
        ot_extra: "[metrics]\ntextfile = \"shared/ot.prom\"\n".to_owned(),
        ..Variation::default()
    };
    let Some(mut rig) = Rig::prepare(POLICY, &variation) else { return };
    let shared = rig.relay.path("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
    rig.relay.start(Half::Ot);
    assert_eq!(rig.relay.wait(Half::Ot).code(), Some(78));
    rig.relay.wait_for_log(Half::Ot, &["/shared` may be written by others (mode 1777)"]);
    assert!(!shared.join("ot.prom").exists());
}

#[test]
fn the_relay_is_an_edge_node_of_its_own_for_a_strict_host() {
    let variation = Variation {
        mirror: "stale-after-s = 3\n[status]\nevery-s = 1\n[health]\npublish-every-s = 1\n".into(),
        ..Variation::default()
    };
    let Some(mut rig) = Rig::prepare(POLICY, &variation) else { return };
    rig.start_both();
    let host = SradHost::start(rig.it_address(), "enterprise");
    let (own, birth) = ("sparkdiode/relay", "spBv1.0/sparkdiode/NBIRTH/relay");
    rig.wait_for(birth, 1);
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("Counter", 1), int("Secret", 7)]).unwrap();
    edge.ndata(&[untyped(int("Secret", 8))]).unwrap();
    host.wait_for(own, "OT/Received", 2);
    host.wait_for(own, "OT/Dropped/denied", 1);
    host.wait_for(own, "IT/Received", 1);
    host.wait_for(own, "IT/Edge Nodes Alive", 1);

    let payload = rig.it.payloads(birth).remove(0);
    let of = |name: &str| {
        let found = payload.metrics.iter().find(|metric| metric.name.as_deref() == Some(name));
        found.unwrap_or_else(|| panic!("no metric {name}"))
    };
    for reason in Reason::ALL {
        assert!(of(&format!("OT/Dropped/{reason}")).datatype.is_some());
    }
    let properties = of("OT/Journal Size").properties.as_ref().unwrap();
    assert_eq!(properties.keys, ["engUnit", "description"]);
    assert_eq!(properties.values[0].value, Some(Property::String("B".into())));
    assert_eq!(of("Policy/IT Digest").is_null, Some(true), "there is no copy");

    // A rebirth is answered, anything else refused.
    let births = rig.it.count(birth);
    host.ask_rebirth("sparkdiode", "relay");
    rig.wait_for(birth, births + 1);
    host.wait_for(own, "OT/Received", 2);
    let mut attacker = Client::plain(rig.it_address(), "attacker");
    let write = command("Health/Level", Value::Int(0));
    attacker.publish("spBv1.0/sparkdiode/NCMD/relay", write, 1, false).unwrap();
    rig.relay.wait_for_log(Half::It, &["refused", "spBv1.0/sparkdiode/NCMD/relay", "Health/Level"]);
    host.wait_for(own, "IT/Commands Refused", 1);

    // The plant is silent: its nodes die, the relay says so and lives.
    rig.relay.kill(Half::Ot);
    rig.wait_for("spBv1.0/Plant/NDEATH/E", 1);
    host.wait_for(own, "Health/Level", 2);
    host.wait_for(own, "IT/Edge Nodes Alive", 0);
    assert_eq!(rig.it.count("spBv1.0/sparkdiode/NDEATH/relay"), 0);
    assert!(rig.relay.terminate(Half::It).success());
    rig.wait_for("spBv1.0/sparkdiode/NDEATH/relay", 1);
    assert_eq!(host.unknown(), Vec::<String>::new());
    rig.judge(Excuse::default());
}

#[test]
fn a_node_of_the_plant_cannot_pass_for_the_relay() {
    let variation = Variation {
        mirror: "[status]\nevery-s = 1\n[health]\nedge-node = \"own\"\npublish-every-s = 1\n"
            .into(),
        ..Variation::default()
    };
    let policy = "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"*\"\n";
    let Some(mut rig) = Rig::prepare(policy, &variation) else { return };
    rig.relay.start(Half::It);
    rig.wait_for("spBv1.0/sparkdiode/NBIRTH/own", 1);
    rig.start_ot();
    let mut edge = RawEdge::connect(rig.ot_address(), "sparkdiode", "own");
    edge.nbirth(&[int("Health/Level", 0)]).unwrap();
    edge.ndata(&[untyped(int("Health/Level", 1))]).unwrap();
    rig.relay.wait_for_event(Half::It, Event::NodeNameTaken, &["node=sparkdiode/own"]);
    let it = wait_for_status(&rig, Half::It, "both refused", |it| it.account.dropped == 2);
    assert_eq!(it.account.reasons[0].reason, "name_taken");
    assert!(it.account.balances);
    assert_eq!(rig.it.count("spBv1.0/sparkdiode/NBIRTH/own"), 1);
    rig.judge(Excuse::default());
}

/// Debian's `promtool` (package `prometheus`) finds nothing wrong with a textfile.
fn promtool_takes(path: &Path) {
    let file = fs::File::open(path).unwrap();
    let output =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::from(file)).output();
    let Ok(output) = output else {
        skipped("no promtool; install `prometheus`");
        return;
    };
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    assert_eq!(String::from_utf8_lossy(&said), "");
}
