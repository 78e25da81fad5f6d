//! Signs of life for the service manager: owed by a turn of the driver, and by nothing else.

pub(super) mod planted;

use std::os::unix::net::UnixDatagram;
use std::path::Path;

use broker::BrokerSettings;
use policy::Policy;
use sparkplug::Budget;
use telemetry::Notifier;
use telemetry::status::{StatusEmitter, StatusSettings};
use tls::Certificates;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedSender;

use super::*;
use crate::mirror::{self, MirrorSettings};

const ONE: std::num::NonZeroU32 = std::num::NonZeroU32::MIN;

/// What stands in for the service manager.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> (Manager, Notifier) {
        let socket = UnixDatagram::bind(path).unwrap();
        // Only a driver that hangs makes a test wait for so long.
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let notifier = Notifier::to(path.as_os_str(), Some(Duration::from_secs(1))).unwrap();
        (Manager(socket), notifier)
    }

    /// The next word, for which it waits.
    fn next(&self) -> String {
        let mut bytes = [0; 512];
        let length = self.0.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    /// Nothing was said.
    #[track_caller]
    fn hears_nothing(&self) {
        self.0.set_nonblocking(true).unwrap();
        let nothing = self.0.recv(&mut [0; 512]).unwrap_err();
        assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
        self.0.set_nonblocking(false).unwrap();
    }
}

struct Half {
    driver: Driver,
    events: UnboundedSender<DriverEvent>,
    runtime: Runtime,
}

fn half(dir: &Path, notifier: Notifier, policy_loader: Option<PolicyLoader>) -> Half {
    std::fs::create_dir_all(dir.join("journal")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (events, taken) = tokio::sync::mpsc::unbounded_channel();
    let server = broker::Server {
        host: "127.0.0.1".into(),
        port: 1,
        addresses: std::sync::Arc::new(broker::Addresses::fixed(Vec::new())),
        tls: None,
    };
    let servers = std::sync::Arc::new(broker::Servers::only(server));
    let broker = BrokerSettings {
        servers: std::sync::Arc::clone(&servers),
        client_id: "relay".into(),
        client_id_form: broker::ClientIdForm::Readable,
        credentials: None,
        keep_alive: Duration::from_secs(5),
        connect_within: Duration::from_secs(30),
        answer_within: Duration::from_secs(30),
        max_packet_bytes: 1 << 20,
        protocol: broker::Protocol::Three,
        five: broker::FiveSettings::default(),
        publishes_per_s: None,
        return_after: None,
    };
    let mirror = MirrorSettings {
        max_nodes: 1,
        max_devices_per_node: 1,
        budget: Budget::UNLIMITED,
        backfill: false,
        ..mirror::tests::settings()
    };
    let settings = DriverSettings {
        most_frame_bytes: 1 << 20,
        most_layout_bytes: 1 << 20,
        journal_dir: dir.join("journal"),
        first_start: FirstStart::Newest,
        data_qos: Qos::AtMostOnce,
        connects_per_s: None,
        bytes_per_s: None,
        backfill_per_s: ONE,
        gather: None,
        policy_loader,
        reloads_else: false,
    };
    let status = StatusSettings {
        every: Duration::from_secs(60),
        summary_every: Duration::from_secs(60),
        textfile: None,
        broker_name: telemetry::status::BrokerName::default(),
        certificates: Certificates::default(),
        concern: telemetry::status::Concern::default(),
        any_owner: false,
    };
    let state_dir = dir.join("state");
    let to_driver = events.clone();
    let make_writer = |state| StateWriter::start(state, to_driver);
    let driver = Driver::new(
        settings,
        Mirror::new(mirror, None),
        Sessions::new(broker, None, runtime.handle().clone(), events.clone()),
        (ItState::open(&state_dir).unwrap(), make_writer),
        taken,
        (BrokerWatch::new("b:1".into()), Failover::new(servers)),
        |now| {
            let emitter = StatusEmitter::start(
                "it",
                status,
                state_dir,
                notifier.clone(),
                now.mono,
                now.wall_ms,
            )?;
            Ok(Some(StatusReporter::new(emitter, notifier, None)))
        },
    );
    Half { driver: driver.unwrap(), events, runtime }
}

#[test]
fn a_sign_of_life_is_given_by_a_turn_and_only_where_one_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (manager, notifier) = Manager::at(&dir.path().join("notify"));
    let Half { driver, events, runtime } = half(dir.path(), notifier, None);
    events.send(DriverEvent::WatchdogRequested).unwrap();
    manager.hears_nothing();
    // Both are taken in one turn; the driver's end is the end of what it says.
    events.send(DriverEvent::Stop).unwrap();
    runtime.block_on(driver.run()).unwrap();
    assert_eq!(manager.next(), "WATCHDOG=1\n");
    manager.hears_nothing();
}

#[test]
fn a_driver_that_stands_still_gives_no_sign_of_life_however_often_it_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (manager, notifier) = Manager::at(&dir.path().join("notify"));
    let (entered, is_in) = crossbeam_channel::bounded(0);
    let (go, may_go) = crossbeam_channel::bounded::<()>(0);
    // The driver reads the policy itself: here it hangs, as on a file system that went away.
    let hangs: PolicyLoader = Box::new(move || {
        entered.send(()).unwrap();
        may_go.recv().unwrap();
        Ok(Policy::parse(&[]).unwrap().0.into())
    });
    let Half { driver, events, runtime } = half(dir.path(), notifier, Some(hangs));
    let driver = std::thread::spawn(move || runtime.block_on(driver.run()).unwrap());
    events.send(DriverEvent::WatchdogRequested).unwrap();
    assert_eq!(manager.next(), "WATCHDOG=1\n", "it lives");
    events.send(DriverEvent::Reload).unwrap();
    is_in.recv().unwrap();
    for _ in 0..10 {
        events.send(DriverEvent::WatchdogRequested).unwrap();
    }
    manager.hears_nothing();
    go.send(()).unwrap();
    assert_eq!(manager.next(), "READY=1\n", "the reload is over");
    assert_eq!(manager.next(), "WATCHDOG=1\n", "it lives again");
    events.send(DriverEvent::Stop).unwrap();
    driver.join().unwrap();
}
