//! The halves on kernels whose Landlock is older: they start, work, and say at which level they are
//! sealed. With `SPARKDIODE_TEST_LANDLOCK=2` every other end-to-end test runs there too.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::broker::skipped;
use crate::relay::{Half, is_root};
use crate::rig::{EVERYTHING, Rig, Variation};
use crate::waiting::wait_until;

const HALVES: [Half; 2] = [Half::Ot, Half::It];

/// The dialling process of a half.
fn dialler(rig: &mut Rig, half: Half) -> Option<i32> {
    let pid = rig.relay.pid(half);
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let mut children = children.split_whitespace().map(|child| child.parse::<i32>().unwrap());
    children.find(|child| {
        let name = fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
        name.trim() == "sparkdiode-dial"
    })
}

/// What `status` prints of a half.
fn status(rig: &Rig, half: Half) -> String {
    let state = rig.relay.path(&format!("{}-state", half.name()));
    let shown = rig.relay.run(&["status", state.to_str().unwrap()]);
    String::from_utf8(shown.stdout).unwrap()
}

#[test]
fn on_older_kernels_the_relay_works_at_a_level_that_log_and_status_name() {
    if !is_root() {
        return skipped("only root can have a program find another kernel");
    }
    for abi in [2, 4] {
        let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
        rig.relay.landlock = Some(abi);
        rig.start_both();
        rig.relay.wait_for_log(Half::It, &["it: STARTED"]);
        for half in HALVES {
            let level = format!("landlock={abi}");
            rig.relay.wait_for_log(half, &["SEALED", "level=dialled", &level, "waived=0"]);
            assert!(!rig.relay.log(half).contains("SANDBOX_WAIVED"));
            let wanted =
                format!("dialled (Landlock ABI {abi}; a dialling process makes its sockets)");
            wait_until("status names the level", || status(&rig, half).contains(&wanted));
            // It makes sockets for its half, and is sealed as well.
            let dialler = dialler(&mut rig, half).expect("a dialling process");
            let proc = format!("/proc/{dialler}");
            let facts = fs::read_to_string(format!("{proc}/status")).unwrap();
            for wanted in
                ["NoNewPrivs:\t1", "Seccomp:\t2", "Threads:\t1", "CapEff:\t0000000000000000"]
            {
                assert!(facts.contains(wanted), "{wanted}: {facts}");
            }
            let open = fs::read_dir(format!("{proc}/fd")).unwrap().count();
            assert_eq!(open, 2, "its half's, and a pipe");
        }
        // Connections that end are made again, through it.
        let before = rig.subscriptions();
        rig.ot_proxy.cut();
        wait_until("the OT half is back", || rig.subscriptions() > before);
        for half in HALVES {
            assert!(rig.relay.terminate(half).success(), "{half:?}");
        }
    }
}

#[test]
fn a_half_whose_dialling_process_ends_says_so_and_ends() {
    if !is_root() {
        return skipped("only root can have a program find another kernel");
    }
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    rig.relay.landlock = Some(2);
    rig.start_both();
    for half in HALVES {
        let dialler = dialler(&mut rig, half).expect("a dialling process");
        kill_process(Pid::from_raw(dialler).unwrap(), Signal::KILL).unwrap();
        assert_eq!(rig.relay.wait(half).code(), Some(74));
        rig.relay.wait_for_log(half, &["FAILED", "the dialling process has ended"]);
    }
}

/// Every kind of log target has its socket from there.
#[test]
fn every_kind_of_log_target_is_reached_on_an_older_kernel() {
    if !is_root() {
        return skipped("only root can have a program find another kernel");
    }
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let local = UnixDatagram::bind(&path).unwrap();
    for place in [directory.path(), &path] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(place, mode).unwrap();
    }
    let targets = format!(
        "[[syslog]]\nto = \"udp\"\naddress = \"{}\"\n[[syslog]]\nto = \"tcp\"\naddress = \"{}\"\n\
         [[syslog]]\nto = \"local\"\npath = \"{}\"\n",
        udp.local_addr().unwrap(),
        tcp.local_addr().unwrap(),
        path.display()
    );
    let variation = Variation { ot_extra: targets, ..Variation::default() };
    let Some(mut rig) = Rig::prepare(EVERYTHING, &variation) else { return };
    rig.relay.landlock = Some(2);
    rig.start_ot();
    let within = Some(Duration::from_secs(20));
    udp.set_read_timeout(within).unwrap();
    local.set_read_timeout(within).unwrap();
    let mut line = [0; 2_048];
    let bytes = udp.recv(&mut line).unwrap();
    assert!(String::from_utf8_lossy(&line[..bytes]).contains("sparkdiode"));
    let bytes = local.recv(&mut line).unwrap();
    assert!(String::from_utf8_lossy(&line[..bytes]).contains("sparkdiode"));
    let (mut stream, _) = tcp.accept().unwrap();
    stream.set_read_timeout(within).unwrap();
    let bytes = std::io::Read::read(&mut stream, &mut line).unwrap();
    assert!(String::from_utf8_lossy(&line[..bytes]).contains("sparkdiode"));
    assert!(rig.relay.terminate(Half::Ot).success());
}
