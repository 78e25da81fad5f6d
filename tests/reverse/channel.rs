//! The channels: what the sender does in a slot for a one, and what the receiver measures.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::fs::{Advice, FlockOperation, fadvise, fcntl_lock, flock, fstatvfs};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use rustix::net::{SendFlags, send};

use receive::{Port, Ports};
use sandbox::Role;
use send::Paths;

use crate::monotonic;
use crate::place;

macro_rules! channels {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $slot_ms:literal;)+) => {
        /// A way to signal.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Channel { $($(#[doc = $doc])+ $variant,)+ }

        impl Channel {
            pub(crate) const ALL: &'static [Channel] = &[$(Channel::$variant,)+];

            pub(crate) fn name(self) -> &'static str {
                match self { $(Channel::$variant => $name,)+ }
            }

            pub(crate) fn meaning(self) -> &'static str {
                match self { $(Channel::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }

            pub(crate) fn slot(self) -> Duration {
                match self { $(Channel::$variant => Duration::from_millis($slot_ms),)+ }
            }
        }
    };
}

channels! {
    /// IT reads the growing segment or not; OT looks at its access time.
    AccessTime = "access time", 20;
    /// IT takes a shared `flock` on a segment; OT tries for an exclusive one.
    Flock = "flock", 1;
    /// IT takes a POSIX read lock on a segment; OT asks for a write lock.
    PosixLock = "POSIX lock", 1;
    /// OT throws an old segment out of the page cache, IT reads it or not; OT asks whether it is back.
    PageCache = "page cache, asked", 5;
    /// The same, but OT times a read instead of asking.
    PageCacheTimed = "page cache, timed", 5;
    /// IT fills or empties a file in its state; OT asks for the free blocks of the file system.
    FreeBlocks = "free blocks", 10;
    /// IT syncs its own files; OT times syncs of its journal.
    Disk = "disk", 20;
    /// The same, with each half on a processor of its own: what the processors carry isn't the disk's.
    DiskApart = "disk, apart", 20;
    /// IT computes or sleeps; OT counts how far it gets itself.
    Processor = "processor", 10;
    /// The same, with each half on a processor of its own (`AllowedCPUs=` in the units).
    ProcessorsApart = "processor, apart", 10;
    /// IT takes memory and gives it back; OT asks for free memory.
    Memory = "free memory", 20;
    /// IT logs as fast as it can to the daemon to which OT logs too; OT sees whether its queue is full.
    LogQueue = "log daemon's queue", 5;
    /// IT opens many files; OT reads the kernel's count of open files.
    OpenFiles = "open files", 5;
    /// `receive` reads what comes over the cable or lets its buffer be full; `send` counts what it gets rid of.
    Cable = "cable", 10;
}

/// Bytes by which free blocks are moved.
const FILLER: usize = 4 << 20;
/// Bytes of memory that are taken: enough to move a counter, not to hurt the machine.
const MEMORY: usize = 64 << 20;
const PAGE: usize = 4_096;

/// An end of the cable, as `receive` and `send` have theirs.
pub(crate) enum Cable {
    Receives(Ports),
    Sends(Paths),
}

/// Interfaces of [`two_networks::Network`], and where its receiving end listens.
const CABLE: [&str; 2] = ["a0", "b0"];
const CABLE_TO: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 2), 7_400);
/// Small, so that it is full at once.
const CABLE_BUFFER: usize = 1 << 16;
const DATAGRAMS: usize = 64;

impl Cable {
    pub(crate) fn end(role: Role) -> Cable {
        match role {
            Role::Receive => {
                let (socket, _) = receive::bound(Some(CABLE[1]), CABLE_TO, CABLE_BUFFER).unwrap();
                Cable::Receives(Ports::new(vec![Port::new(socket).unwrap()]))
            }
            _ => {
                let socket = send::bound(Some(CABLE[0]), None, false).unwrap();
                let path = send::Path::new(socket, CABLE_TO.into()).unwrap();
                Cable::Sends(Paths::new(vec![path]))
            }
        }
    }

    /// Reads what came.
    fn read(&mut self) {
        if let Cable::Receives(ports) = self {
            ports.read(DATAGRAMS, |_, datagram| {
                black_box(datagram.len());
            });
        }
    }

    /// Sends, and how many datagrams the system has taken so far less those that it refused.
    fn send(&mut self) -> f64 {
        let Cable::Sends(paths) = self else { return 0.0 };
        paths.send(&[7; 1_400]);
        paths.flush();
        let counts = paths.iter_mut().map(|path| path.counts());
        counts.map(|counts| counts.datagrams as f64 - counts.refused as f64).sum()
    }
}

/// The sender's things.
pub(crate) struct Sender {
    channel: Channel,
    growing: File,
    old: File,
    filler: File,
    spare: File,
    log: UnixDatagram,
    cable: Option<Cable>,
}

impl Sender {
    /// `writes`: it is the one of the link's ends that writes a journal.
    pub(crate) fn open(
        channel: Channel,
        paths: &place::Paths,
        writes: bool,
        cable: Option<Cable>,
    ) -> Sender {
        let own = if writes { "ot" } else { "it" };
        let make = |name: &str| File::create(paths.state(own).join(name)).unwrap();
        Sender {
            channel,
            growing: File::open(paths.growing()).unwrap(),
            old: File::open(paths.old()).unwrap(),
            filler: make("filler"),
            spare: make("spare"),
            log: log_socket(paths),
            cable,
        }
    }

    /// One slot, until `end`.
    pub(crate) fn signal(&mut self, bit: bool, end: Duration) {
        let middle = end.saturating_sub(self.channel.slot() / 2);
        match self.channel {
            Channel::AccessTime if bit => {
                let _ = self.growing.read_at(&mut [0; 1], 0);
            }
            Channel::Flock => {
                let word = if bit { FlockOperation::LockShared } else { FlockOperation::Unlock };
                // Waits at most for as long as OT's attempt takes.
                flock(&self.old, word).unwrap();
            }
            Channel::PosixLock => {
                let word = if bit {
                    FlockOperation::NonBlockingLockShared
                } else {
                    FlockOperation::NonBlockingUnlock
                };
                // Refused at the moment at which OT holds it.
                let _ = fcntl_lock(&self.old, word);
            }
            Channel::PageCache | Channel::PageCacheTimed if bit => {
                // OT empties the cache in the first quarter of the slot.
                sleep_until(middle.saturating_sub(self.channel.slot() / 4));
                let mut page = [0; PAGE];
                let _ = self.old.read_at(&mut page, 0);
            }
            Channel::FreeBlocks => {
                self.filler.set_len(0).unwrap();
                if bit {
                    self.filler.write_all_at(&vec![1; FILLER], 0).unwrap();
                    let _ = self.filler.sync_all();
                }
            }
            Channel::Disk | Channel::DiskApart if bit => {
                while monotonic() < middle {
                    // Appends: the IT half has no call to write at a place.
                    self.spare.write_all(&[1; PAGE]).unwrap();
                    self.spare.sync_all().unwrap();
                }
            }
            Channel::Processor | Channel::ProcessorsApart if bit => {
                while monotonic() < end {
                    black_box(work());
                }
            }
            Channel::Memory if bit => {
                let mut taken = vec![0_u8; MEMORY];
                taken.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
                black_box(&taken);
                sleep_until(end.saturating_sub(self.channel.slot() / 8));
            }
            Channel::LogQueue if bit => {
                let late = end.saturating_sub(self.channel.slot() / 8);
                while monotonic() < late {
                    let _ = send(&self.log, b"a line", SendFlags::DONTWAIT);
                }
            }
            Channel::OpenFiles if bit => {
                let taken: Vec<_> = (0..400).map_while(|_| self.spare.try_clone().ok()).collect();
                black_box(&taken);
                sleep_until(end.saturating_sub(self.channel.slot() / 8));
            }
            Channel::Cable if bit => {
                while monotonic() < end {
                    self.cable.as_mut().unwrap().read();
                }
            }
            _ => {}
        }
    }
}

/// The receiver's things.
pub(crate) struct Receiver {
    channel: Channel,
    growing: File,
    old: File,
    seen: (i64, i64),
    length: u64,
    reads: bool,
    log: UnixDatagram,
    cable: Option<Cable>,
}

impl Receiver {
    /// `reads`: it is the one of the link's ends that only reads a journal, and has files in its state.
    pub(crate) fn open(
        channel: Channel,
        paths: &place::Paths,
        reads: bool,
        cable: Option<Cable>,
    ) -> Receiver {
        let open = |path| OpenOptions::new().read(true).write(true).open(path).unwrap();
        let (growing, old) = match reads {
            false => (open(paths.growing()), open(paths.old())),
            true => {
                let own = ["growing", "old"].map(|name| paths.state("it").join(name));
                own.iter().for_each(|path| std::fs::write(path, [1; PAGE]).unwrap());
                let [growing, old] = own.map(open);
                (growing, old)
            }
        };
        let log = log_socket(paths);
        let mut receiver =
            Receiver { channel, growing, old, seen: (0, 0), length: 1, reads, log, cable };
        receiver.begin();
        receiver
    }

    /// At the beginning of a slot: sets up what the sender is going to move.
    pub(crate) fn begin(&mut self) {
        match self.channel {
            // Appending, as the journal's writer does all the time, lets the next read move
            // the access time on a file system with `relatime`.
            Channel::AccessTime => {
                self.growing.write_all_at(&[1], self.length).unwrap();
                self.length += 1;
                self.seen = access_time(&self.growing);
            }
            Channel::PageCache | Channel::PageCacheTimed => {
                fadvise(&self.old, 0, None, Advice::DontNeed).unwrap();
            }
            _ => {}
        }
    }

    /// What is measured in a slot that ends at `end`.
    pub(crate) fn measure(&mut self, end: Duration) -> f64 {
        let middle = end.saturating_sub(self.channel.slot() / 2);
        let late = end.saturating_sub(self.channel.slot() / 4);
        match self.channel {
            Channel::AccessTime => {
                sleep_until(late);
                f64::from(u8::from(access_time(&self.growing) != self.seen))
            }
            Channel::Flock => {
                sleep_until(middle);
                let free = flock(&self.old, FlockOperation::NonBlockingLockExclusive).is_ok();
                if free {
                    flock(&self.old, FlockOperation::Unlock).unwrap();
                }
                f64::from(u8::from(free))
            }
            Channel::PosixLock => {
                sleep_until(middle);
                let free = fcntl_lock(&self.old, FlockOperation::NonBlockingLockExclusive).is_ok();
                if free {
                    fcntl_lock(&self.old, FlockOperation::NonBlockingUnlock).unwrap();
                }
                f64::from(u8::from(free))
            }
            Channel::PageCache => {
                sleep_until(late);
                let mut page = [0; PAGE];
                let mut into = [std::io::IoSliceMut::new(&mut page)];
                let there = preadv2(&self.old, &mut into, 0, ReadWriteFlags::NOWAIT);
                f64::from(u8::from(there.is_ok()))
            }
            Channel::PageCacheTimed => {
                sleep_until(late);
                let before = monotonic();
                let _ = self.old.read_at(&mut [0; PAGE], 0);
                (monotonic() - before).as_secs_f64()
            }
            Channel::FreeBlocks => {
                sleep_until(late);
                fstatvfs(&self.old).unwrap().f_bfree as f64
            }
            Channel::Disk | Channel::DiskApart => {
                let mut syncs = 0.0;
                while monotonic() < middle {
                    if self.reads {
                        // `send` has no call to write at a place.
                        self.growing.write_all(&[1; PAGE]).unwrap();
                        self.growing.sync_all().unwrap();
                    } else {
                        self.growing.write_all_at(&[1; PAGE], 1).unwrap();
                        self.growing.sync_data().unwrap();
                    }
                    syncs += 1.0;
                }
                syncs
            }
            Channel::Processor | Channel::ProcessorsApart => {
                let mut done = 0.0;
                while monotonic() < late {
                    black_box(work());
                    done += 1.0;
                }
                done
            }
            Channel::Memory => {
                sleep_until(middle);
                rustix::system::sysinfo().freeram as f64
            }
            Channel::LogQueue => {
                sleep_until(late);
                let sent = send(&self.log, b"a line", SendFlags::DONTWAIT);
                f64::from(u8::from(sent == Err(Errno::AGAIN)))
            }
            Channel::Cable => {
                let cable = self.cable.as_mut().unwrap();
                let before = cable.send();
                let mut after = before;
                while monotonic() < late {
                    after = cable.send();
                }
                after - before
            }
            Channel::OpenFiles => {
                sleep_until(middle);
                let mut text = String::new();
                let mut file = File::open("/proc/sys/fs/file-nr").unwrap();
                file.read_to_string(&mut text).unwrap();
                text.split_whitespace().next().unwrap().parse().unwrap()
            }
        }
    }
}

/// As `[[syslog]] to = "journald"` has it.
fn log_socket(paths: &place::Paths) -> UnixDatagram {
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(paths.log()).unwrap();
    socket
}

fn access_time(file: &File) -> (i64, i64) {
    let metadata = file.metadata().unwrap();
    (metadata.atime(), metadata.atime_nsec())
}

/// Some microseconds of computing.
fn work() -> u64 {
    (0..2_000_u64).fold(1, |sum, number| black_box(sum ^ number).wrapping_mul(3))
}

/// Sleeps, and in the last moments spins: slots are short.
pub(crate) fn sleep_until(time: Duration) {
    loop {
        let left = time.saturating_sub(monotonic());
        if left.is_zero() {
            return;
        }
        if left > Duration::from_micros(200) {
            std::thread::sleep(left - Duration::from_micros(150));
        }
    }
}

/// What the receiver measured, as text for the parent.
pub(crate) fn tell(samples: &[f64]) {
    let mut out = std::io::stdout().lock();
    for sample in samples {
        writeln!(out, "{sample}").unwrap();
    }
}
