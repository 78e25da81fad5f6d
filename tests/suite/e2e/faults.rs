//! What fails around a half: disks, clocks, descriptors, memory, and a half that stands still.
//! The other one goes on, and what was acknowledged arrives.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_remount, unmount};
use rustix::process::Signal;

use crate::broker::skipped;
use crate::checker::{Excuse, errors};
use crate::metrics::{int, string, untyped};
use crate::packet::Packet;
use crate::peers::raw_edge::RawEdge;
use crate::relay::{BINARY, Half, is_root};
use crate::rig::{EVERYTHING, Rig, Variation};
use crate::waiting::wait_until;
use crate::wire::ot_guard;

const COUNT: &str = "count";
/// Messages that take more than a page of the journal.
const MANY: u32 = 300;
/// Enough for the IT half and some nodes.
const MEMORY_BYTES: u64 = 48 << 20;
const DISK_BYTES: u64 = 1 << 20;

/// A small file system over a directory of the relay.
struct Disk(PathBuf);

impl Disk {
    /// `None` without root.
    fn over(path: PathBuf, half: Half, mode: &str) -> Option<Disk> {
        if !is_root() {
            skipped("mounting needs root");
            return None;
        }
        let (user, group) = (half.user(), Half::It.user());
        let options = format!("size={DISK_BYTES},mode={mode},uid={user},gid={group}");
        let options = std::ffi::CString::new(options).unwrap();
        mount("tmpfs", &path, "tmpfs", MountFlags::NOSUID, options.as_c_str()).unwrap();
        Some(Disk(path))
    }

    /// Leaves no room at all.
    fn fill(&self) {
        use std::io::Write;
        let mut file = fs::File::create(self.0.join("filler")).unwrap();
        for size in [4_096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// Values that the relay has acknowledged to the OT broker.
fn acknowledged(rig: &Rig) -> usize {
    rig.ot_proxy.count(|record| matches!(record.sent(), Some(Packet::PubAck(_))))
}

fn edge(rig: &Rig, name: &str) -> RawEdge {
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", name);
    edge.qos = 1;
    edge.nbirth(&[int(COUNT, 0)]).unwrap();
    edge
}

/// The same, shown on IT and acknowledged: a birth is shown before the plant with it is stored, and
/// acknowledged only then.
fn born(rig: &Rig, name: &str) -> RawEdge {
    let before = acknowledged(rig);
    let edge = edge(rig, name);
    rig.wait_for(&format!("spBv1.0/Plant/NBIRTH/{name}"), 1);
    wait_until("the birth is acknowledged", || acknowledged(rig) == before + 1);
    edge
}

#[test]
fn a_full_journal_stops_acknowledgements_and_loses_nothing() {
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    let Some(disk) = Disk::over(rig.relay.path("journal"), Half::Ot, "2750") else { return };
    rig.start_both();
    let mut edge = born(&rig, "E");
    disk.fill();
    let before = acknowledged(&rig);
    for value in 1..=MANY {
        edge.ndata(&[untyped(int(COUNT, value))]).unwrap();
    }
    rig.relay.wait_for_log(Half::Ot, &["DISK_ERROR", "no space left"]);
    // What still fitted behind the last frame is in the journal, and may be acknowledged.
    let acknowledged_now = acknowledged(&rig);
    let cat = rig.relay.run(&["journal", "cat", "journal"]);
    let journalled = String::from_utf8_lossy(&cat.stdout).matches(" message ").count();
    assert!(acknowledged_now <= journalled, "{acknowledged_now} of {journalled}");
    assert!(journalled < before + MANY as usize, "the disk isn't full: {journalled}");
    disk.make_room();
    rig.relay.wait_for_log(Half::Ot, &["DISK_OK"]);
    rig.wait_for_value("Plant/E", COUNT, MANY.into());
    wait_until("everything is acknowledged", || acknowledged(&rig) == before + MANY as usize);
    rig.judge(Excuse::default());
}

#[test]
fn a_full_disk_of_the_it_half_stops_neither_half() {
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    let Some(disk) = Disk::over(rig.relay.path("it-state"), Half::It, "0700") else { return };
    rig.start_both();
    let mut first = edge(&rig, "E");
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
    disk.fill();
    first.ndata(&[untyped(int(COUNT, 1))]).unwrap();
    rig.wait_for_value("Plant/E", COUNT, 1);
    // A new session needs its bdSeq on disk first.
    let _second = edge(&rig, "F");
    rig.relay.wait_for_log(Half::It, &["DISK_ERROR", "what=state"]);
    first.ndata(&[untyped(int(COUNT, 2))]).unwrap();
    rig.wait_for_value("Plant/E", COUNT, 2);
    disk.make_room();
    rig.wait_for("spBv1.0/Plant/NBIRTH/F", 1);
    rig.judge(Excuse::default());
}

#[test]
fn a_read_only_file_system_is_said_by_the_writer_and_enough_for_the_reader() {
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    if !is_root() {
        return skipped("mounting needs root");
    }
    rig.start_both();
    let mut edge = edge(&rig, "E");
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
    for half in [Half::It, Half::Ot] {
        rig.relay.kill(half);
    }
    let journal = rig.relay.path("journal");
    mount_bind(&journal, &journal).unwrap();
    let disk = Disk(journal.clone());
    mount_remount(&journal, MountFlags::BIND | MountFlags::RDONLY, c"").unwrap();
    rig.relay.start(Half::Ot);
    assert_eq!(rig.relay.wait(Half::Ot).code(), Some(74));
    assert!(
        rig.relay.log(Half::Ot).contains("read-only file system (30)"),
        "{}",
        rig.relay.log(Half::Ot)
    );
    rig.relay.start(Half::It);
    wait_until("the IT half runs again", || {
        rig.relay.log(Half::It).matches("STARTED").count() == 2
    });
    drop(disk);
    // What was mounted over it is gone: the directory is the one that the IT half knew.
    rig.start_ot();
    edge.ndata(&[untyped(int(COUNT, 7))]).unwrap();
    rig.wait_for_value("Plant/E", COUNT, 7);
    rig.judge(Excuse { kills: true });
}

#[test]
fn a_half_that_stands_still_holds_nobody_up() {
    let Some(mut rig) = Rig::start(EVERYTHING) else { return };
    let mut edge = born(&rig, "E");
    rig.relay.signal(Half::It, Signal::STOP);
    let before = acknowledged(&rig);
    for value in 1..=300 {
        edge.ndata(&[untyped(int(COUNT, value))]).unwrap();
    }
    wait_until("all of it is acknowledged while IT stands still", || {
        acknowledged(&rig) == before + 300
    });
    rig.relay.signal(Half::It, Signal::CONT);
    rig.wait_for_value("Plant/E", COUNT, 300);
    rig.judge(Excuse::default());
}

#[test]
fn descriptors_that_run_out_in_the_it_half_touch_nothing_else() {
    const NODES: usize = 30;
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    rig.start_ot();
    let mut limited = Command::new("prlimit");
    limited.args(["--nofile=24", BINARY]);
    rig.relay.start_by(Half::It, limited);
    rig.relay.wait_for_log(Half::It, &["DESCRIPTORS_FEW", "limit=24"]);
    let mut edges: Vec<RawEdge> = (0..NODES).map(|node| edge(&rig, &format!("E{node}"))).collect();
    rig.relay.wait_for_log(Half::It, &["JOURNAL_UNREADABLE", "too many open files"]);
    let before = acknowledged(&rig);
    for edge in &mut edges {
        edge.ndata(&[untyped(int(COUNT, 1))]).unwrap();
    }
    wait_until("the OT half takes everything", || acknowledged(&rig) >= before + NODES);
    assert!(!rig.relay.has_ended(Half::It), "it ended");
    rig.relay.kill(Half::It);
    rig.relay.start(Half::It);
    for node in 0..NODES {
        rig.wait_for_value(&format!("Plant/E{node}"), COUNT, 1);
    }
    rig.judge(Excuse { kills: true });
}

#[test]
fn memory_that_runs_out_in_the_it_half_touches_nothing_else() {
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    rig.start_ot();
    let mut limited = Command::new("prlimit");
    limited.args([format!("--data={MEMORY_BYTES}").as_str(), BINARY]);
    rig.relay.start_by(Half::It, limited);
    let first = edge(&rig, "E0");
    rig.wait_for("spBv1.0/Plant/NBIRTH/E0", 1);
    // Every node is remembered, with its values: with enough of them there is no memory for more.
    let text = "x".repeat(60_000);
    let mut edges = vec![first];
    while !rig.relay.has_ended(Half::It) {
        assert!(edges.len() < 300, "it does without memory");
        let mut edge = RawEdge::connect(rig.ot_address(), "Plant", &format!("E{}", edges.len()));
        edge.qos = 1;
        let mut metrics: Vec<_> =
            (0..10).map(|index| string(&format!("text{index}"), &text)).collect();
        metrics.push(int(COUNT, 0));
        edge.nbirth(&metrics).unwrap();
        edges.push(edge);
    }
    let status = rig.relay.wait(Half::It);
    assert!(!status.success(), "{status}");
    let before = acknowledged(&rig);
    for edge in &mut edges {
        edge.ndata(&[untyped(int(COUNT, 1))]).unwrap();
    }
    wait_until("the OT half takes everything", || acknowledged(&rig) >= before + edges.len());
    rig.relay.start(Half::It);
    for node in 0..edges.len() {
        rig.wait_for_value(&format!("Plant/E{node}"), COUNT, 1);
    }
    rig.judge(Excuse { kills: true });
}

/// The clocks of both halves go back an hour, and then forward a year, while data flows.
#[test]
fn jumps_of_the_clock_are_neither_deaths_nor_losses() {
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    let Some(clock) = FakeClock::make(&rig.relay.path("")) else { return };
    for half in [Half::Ot, Half::It] {
        let mut command = Command::new(BINARY);
        command.env("LD_PRELOAD", &clock.library).env("TEST_CLOCK_OFFSET", &clock.offset);
        rig.relay.start_by(half, command);
        rig.relay.wait_for_log(half, &["STARTED"]);
    }
    let mut edge = edge(&rig, "E");
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
    let heartbeats = |rig: &Rig| {
        let cat = rig.relay.run(&["journal", "cat", "journal"]);
        String::from_utf8_lossy(&cat.stdout).matches(" heartbeat ").count()
    };
    for (value, offset_s) in [(10, -3_600), (20, 365 * 86_400), (30, 0)] {
        clock.set(offset_s);
        // Heartbeats and timers of the new time, more than one.
        let before = heartbeats(&rig);
        wait_until("time goes on", || heartbeats(&rig) >= before + 3);
        for value in value..value + 5 {
            edge.ndata(&[untyped(int(COUNT, value))]).unwrap();
        }
        rig.wait_for_value("Plant/E", COUNT, u64::from(value) + 4);
    }
    let log = rig.relay.run(&["journal", "cat", "journal"]);
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    assert!(log.contains(&format!(" {}-", year() + 1)), "the clock didn't jump:\n{log}");
    assert_eq!(rig.it.count("spBv1.0/Plant/NDEATH/E"), 0, "a jump of the clock is no death");
    let verified = rig.relay.run(&["journal", "verify", "journal"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    assert_eq!(ot_guard(&rig.ot_proxy.records()), [""; 0]);
    let mut found = errors(&rig.it_proxy.records(), Excuse::default());
    // Times of a clock that is wrong are wrong.
    found.retain(|finding| finding.rule != "payloads-timestamp-in-UTC");
    assert!(found.is_empty(), "on the IT link: {found:#?}");
}

/// The wall clock of a process, shifted by a number in a file that it has mapped since its start.
struct FakeClock {
    library: PathBuf,
    offset: PathBuf,
}

impl FakeClock {
    /// Compiles it; `None` without a C compiler.
    fn make(dir: &Path) -> Option<FakeClock> {
        let (source, library, offset) =
            (dir.join("clock.c"), dir.join("clock.so"), dir.join("offset"));
        fs::write(&offset, 0_i64.to_ne_bytes()).unwrap();
        fs::write(&source, SHIM).unwrap();
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(&source)
            .status();
        if !built.is_ok_and(|built| built.success()) {
            skipped("a clock of one's own needs a C compiler");
            return None;
        }
        Some(FakeClock { library, offset })
    }

    fn set(&self, offset_s: i64) {
        use std::os::unix::fs::FileExt;
        let file = fs::File::options().write(true).open(&self.offset).unwrap();
        file.write_all_at(&offset_s.to_ne_bytes(), 0).unwrap();
    }
}

/// Asks the kernel, and adds what is in the file to the wall clock. Mapped before the process is
/// sealed, so that no call of the profile is used for it.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static volatile int64_t *offset;
__attribute__((constructor)) static void map(void) {
    const char *path = getenv("TEST_CLOCK_OFFSET");
    int fd = path ? open(path, O_RDONLY) : -1;
    if (fd < 0) return;
    void *page = mmap(0, 8, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (page != MAP_FAILED) offset = page;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    long failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && offset && clock == CLOCK_REALTIME) now->tv_sec += *offset;
    return failed;
}
"#;

/// This year, by the days since 1970; exact enough for a year's jump in any month.
fn year() -> u64 {
    1970 + crate::waiting::now_ms() / 1_000 / 31_556_952
}
