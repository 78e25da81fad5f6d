//! Ways to get at the other half's process.

use std::{fs, io};

use rustix::process::{Pid, Resource, Rlimit, Signal};
use sandbox::raw::call;

use super::{Attack, Ground, Who, attack};

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        attack(Who::All, "kill it", |ground| signal(ground, Signal::KILL)),
        attack(Who::All, "stop it", |ground| signal(ground, Signal::STOP)),
        attack(Who::All, "signal it with data", |ground| {
            let mut info = [0_i32; 32];
            info[0] = libc::SIGURG;
            info[2] = libc::SI_QUEUE;
            let (pid, number) = (ground.place.victim, libc::SIGURG);
            call(libc::SYS_rt_sigqueueinfo, &[&pid, &number, &&mut info]).map(drop)
        }),
        attack(Who::All, "signal it through a pidfd", |ground| {
            let fd = call(libc::SYS_pidfd_open, &[&ground.place.victim, &0])?;
            call(libc::SYS_pidfd_send_signal, &[&fd, &libc::SIGURG, &0, &0]).map(drop)
        }),
        attack(Who::All, "trace it", |ground| {
            let seize = libc::PTRACE_SEIZE as i64;
            call(libc::SYS_ptrace, &[&seize, &ground.place.victim, &0, &0]).map(drop)
        }),
        attack(Who::All, "read its memory", |ground| memory(ground, libc::SYS_process_vm_readv)),
        attack(Who::All, "write its memory", |ground| memory(ground, libc::SYS_process_vm_writev)),
        attack(Who::All, "open its memory in /proc", |ground| {
            fs::File::options().read(true).write(true).open(ground.place.proc("mem")).map(drop)
        }),
        attack(Who::All, "take a descriptor of it", |ground| {
            let fd = call(libc::SYS_pidfd_open, &[&ground.place.victim, &0])?;
            call(libc::SYS_pidfd_getfd, &[&fd, &0, &0]).map(drop)
        }),
        attack(Who::All, "read its environment", |ground| {
            fs::read(ground.place.proc("environ")).map(drop)
        }),
        attack(Who::All, "look at its state in /proc", |ground| {
            fs::read(ground.place.proc("status")).map(drop)
        })
        .reason("it says that the other half runs, and how much memory it has. The second layer is \
                 ProtectProc of the units, which doesn't bind root, as whom that column runs: see the \
                 last one"),
        attack(Who::All, "go through its root directory", |ground| {
            fs::read_dir(ground.place.proc("root")).map(drop)
        }),
        attack(Who::All, "lower its limits", |ground| {
            let pid = Pid::from_raw(ground.place.victim);
            let none = Rlimit { current: Some(0), maximum: Some(0) };
            Ok(rustix::process::prlimit(pid, Resource::Fsize, none).map(drop)?)
        })
        .missing_here("root may lack CAP_SYS_RESOURCE"),
        attack(Who::All, "lower its priority", |ground| {
            call(libc::SYS_setpriority, &[&libc::PRIO_PROCESS, &ground.place.victim, &19]).map(drop)
        }),
        attack(Who::All, "bind it to one CPU", |ground| {
            let mut set = [1_u64; 16];
            let size = size_of_val(&set);
            call(libc::SYS_sched_setaffinity, &[&ground.place.victim, &size, &&mut set]).map(drop)
        }),
        attack(Who::All, "make it the first to be killed for memory", |ground| {
            fs::write(ground.place.proc("oom_score_adj"), "1000")
        }),
        attack(Who::All, "put it into another control group", |ground| {
            let pid = ground.place.victim.to_string();
            let mut last = Err(io::Error::from_raw_os_error(libc::ENOENT));
            // Its own group, where it is anyway.
            for group in ["/sys/fs/cgroup", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified"] {
                last = last.or_else(|_| fs::write(format!("{group}/cgroup.procs"), &pid));
            }
            last
        }),
        attack(Who::All, "measure it (perf events)", |ground| {
            let mut attributes = [0_u32; 32];
            attributes[0] = 1;
            attributes[1] = 128;
            let pid = ground.place.victim;
            call(libc::SYS_perf_event_open, &[&&mut attributes, &pid, &-1, &-1, &0]).map(drop)
        }),
        attack(Who::All, "compare what both have open (kcmp)", |ground| {
            let own = i32::try_from(std::process::id()).unwrap();
            call(libc::SYS_kcmp, &[&own, &ground.place.victim, &1, &0, &0]).map(drop)
        }),
    ]
}

fn signal(ground: &Ground, signal: Signal) -> io::Result<()> {
    let pid = Pid::from_raw(ground.place.victim).unwrap();
    Ok(rustix::process::kill_process(pid, signal)?)
}

/// Where the address comes from doesn't matter to the check: one that is wrong passes it too.
fn memory(ground: &mut Ground, number: libc::c_long) -> io::Result<()> {
    let mut byte = [0_u8; 1];
    let mut local = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut remote = libc::iovec { iov_base: std::ptr::dangling_mut(), iov_len: 1 };
    let pid = ground.place.victim;
    let result = call(number, &[&pid, &&mut local, &1, &&mut remote, &1, &0]);
    super::passes(result, &[libc::EFAULT])
}
