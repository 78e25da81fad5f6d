//! Ways to use up what both halves share.

use std::fs::{self, File};
use std::io;
use std::time::{Duration, Instant};

use sandbox::raw::call;

use super::{Attack, Who, attack};

const SHARED: &str = "each user has its own share of it, and it carries no data; the units bound it \
                      by control groups as well (TasksMax, MemoryMax, LimitNOFILE)";

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        attack(Who::All, "fill the disk with its own state", |ground| {
            fs::write(ground.place.own("large"), vec![0; 4 << 20])
        })
        .bounded_outside("a file system or quota of its own per half (hardening guide, storage)"),
        attack(Who::All, "use up inodes in its own state", |ground| {
            (0..500).try_for_each(|number| fs::write(ground.place.own(&number.to_string()), ""))
        })
        .bounded_outside("a file system or quota of its own per half (hardening guide, storage)"),
        attack(Who::All, "use memory", |ground| {
            ground.scratch.resize(128 << 20, 1);
            Ok(())
        })
        .bounded_outside("MemoryMax= of the units"),
        attack(Who::All, "use a processor", |_| {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(2) {}
            Ok(())
        })
        .bounded_outside(
            "CPUWeight= and AllowedCPUs= of the units; both halves go on, more slowly",
        ),
        attack(Who::All, "open files without end", |ground| {
            let files: io::Result<Vec<File>> =
                (0..2_000).map(|_| File::open(ground.place.journal())).collect();
            files.map(drop)
        })
        .reason(SHARED),
        attack(Who::All, "start processes", |_| {
            let child = call(libc::SYS_clone, &[&libc::SIGCHLD, &0, &0, &0, &0])?;
            if child == 0 {
                std::process::exit(0);
            }
            Ok(())
        })
        .reason(SHARED),
        attack(Who::All, "lock memory", |_| {
            call(libc::SYS_mlockall, &[&(libc::MCL_CURRENT | libc::MCL_FUTURE)]).map(drop)
        }),
        attack(Who::All, "make shared memory (SysV)", |_| {
            let mode = libc::IPC_CREAT | 0o666;
            let id = call(libc::SYS_shmget, &[&libc::IPC_PRIVATE, &4_096, &mode])?;
            call(libc::SYS_shmctl, &[&id, &libc::IPC_RMID, &0])?;
            Ok(())
        })
        .reason(
            "in the units it is in an IPC namespace of its own, where nobody else sees it: only \
                 that it can be made is tried here",
        ),
        attack(Who::All, "make a message queue (POSIX)", |ground| {
            let name = std::ffi::CString::new(format!("attack-{}", ground.place.victim)).unwrap();
            let flags = libc::O_CREAT | libc::O_RDWR;
            call(libc::SYS_mq_open, &[&&name, &flags, &0o666, &0])?;
            call(libc::SYS_mq_unlink, &[&&name]).map(drop)
        }),
        attack(Who::All, "make anonymous files (memfd)", |_| {
            let name = c"attack".to_owned();
            call(libc::SYS_memfd_create, &[&&name, &0]).map(drop)
        })
        .reason(SHARED),
        attack(Who::All, "make large pipes", |_| {
            let mut ends = [0_i32; 2];
            call(libc::SYS_pipe2, &[&&mut ends, &0])?;
            call(libc::SYS_fcntl, &[&ends[0], &libc::F_SETPIPE_SZ, &(1 << 20)]).map(drop)
        })
        .reason(SHARED),
        attack(Who::All, "make timers", |_| {
            let mut id = 0_i32;
            call(libc::SYS_timer_create, &[&libc::CLOCK_MONOTONIC, &0, &&mut id]).map(drop)
        })
        .reason(SHARED),
        attack(Who::All, "run before everybody else (real time)", |_| {
            let mut priority = 1_i32;
            call(libc::SYS_sched_setscheduler, &[&0, &libc::SCHED_FIFO, &&mut priority]).map(drop)
        }),
        attack(Who::All, "use up the quota of keys", |_| {
            let (kind, name) = (c"user".to_owned(), c"attack".to_owned());
            // -2: this process's own ring.
            call(libc::SYS_add_key, &[&&kind, &&name, &b"x".as_slice(), &1, &-2]).map(drop)
        })
        .reason(
            "the kernel's own: no user needs a privilege for it; KeyringMode=private and \
                 SystemCallFilter in the units are the second layer",
        ),
    ]
}
