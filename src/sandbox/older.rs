//! A program as an older kernel would run it: whatever it asks about Landlock is answered as that
//! kernel answers, so that what the product does there is seen and not assumed.
//!
//! The program gets a filter that hands `landlock_create_ruleset` to a thread here (seccomp's user
//! notification). The version is answered with the older one, and what that one doesn't know is
//! refused; all else the kernel does. Only in builds with the feature `raw`, for tests; needs root.
#![allow(clippy::unwrap_used, reason = "for a test: a failure is a panic")]

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use super::raw::call;

/// `struct seccomp_notif`
#[repr(C)]
#[derive(Default)]
struct Asked {
    id: u64,
    pid: u32,
    flags: u32,
    number: i32,
    arch: u32,
    instruction: u64,
    arguments: [u64; 6],
}

/// `struct seccomp_notif_resp`
#[repr(C)]
struct Answered {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// Has `command`, and what it starts, find Landlock in the version `abi`.
pub fn on_kernel_with_landlock(command: &mut Command, abi: i32) {
    let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
    let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, kind, flags, None).unwrap();
    std::thread::spawn(move || {
        if let Some(listener) = receive(&ours) {
            answer(&listener, abi);
        }
    });
    // SAFETY: between fork and exec it makes system calls and allocates nothing.
    #[allow(unsafe_code, reason = "see above")]
    unsafe {
        command.pre_exec(move || send(&theirs, &listen()?));
    }
}

/// Puts the filter on this process.
fn listen() -> io::Result<OwnedFd> {
    /// Load; jump if equal; return.
    const LOAD: u16 = 0x20;
    const IF: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let number = u32::try_from(libc::SYS_landlock_create_ruleset).unwrap_or_default();
    let mut steps = [
        step(LOAD, 0, 0, 0),
        step(IF, 0, 1, number),
        step(RETURN, 0, 0, libc::SECCOMP_RET_USER_NOTIF),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let mut program = libc::sock_fprog { len: 4, filter: steps.as_mut_ptr() };
    let (set, new) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
    let number = call(libc::SYS_seccomp, &[&set, &new, &&mut program])?;
    // SAFETY: the kernel has just made it.
    #[allow(unsafe_code, reason = "see above")]
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(number).unwrap_or(-1)) })
}

fn send(channel: &OwnedFd, listener: &OwnedFd) -> io::Result<()> {
    let handed = [listener.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let _ = control.push(SendAncillaryMessage::ScmRights(&handed));
    rustix::net::sendmsg(channel, &[IoSlice::new(b"!")], &mut control, SendFlags::empty())?;
    Ok(())
}

/// `None`: the program was never started.
fn receive(channel: &OwnedFd) -> Option<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut said = [0];
    let flags = RecvFlags::CMSG_CLOEXEC;
    rustix::net::recvmsg(channel, &mut [IoSliceMut::new(&mut said)], &mut control, flags).ok()?;
    control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
        _ => None,
    })
}

/// Answers until nobody is left who could ask.
fn answer(listener: &OwnedFd, abi: i32) {
    loop {
        let mut waits = [PollFd::new(listener, PollFlags::IN)];
        let _ = poll(&mut waits, None);
        if !waits.iter().any(|waits| waits.revents().contains(PollFlags::IN)) {
            return;
        }
        let mut asked = Asked::default();
        let fd = listener.as_raw_fd();
        if call(libc::SYS_ioctl, &[&fd, &libc::SECCOMP_IOCTL_NOTIF_RECV, &&mut asked]).is_err() {
            // Whoever asked is gone.
            continue;
        }
        let mut answered = judge(&asked, abi);
        let _ = call(libc::SYS_ioctl, &[&fd, &libc::SECCOMP_IOCTL_NOTIF_SEND, &&mut answered]);
    }
}

fn judge(asked: &Asked, abi: i32) -> Answered {
    /// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`
    const GO_ON: u32 = 1;
    let answer = |value, error, flags| Answered { id: asked.id, value, error, flags };
    let [attributes, size, flags, ..] = asked.arguments;
    if flags == 1 {
        return answer(i64::from(abi), 0, 0);
    }
    let (mut words, size) = ([0_u64; 3], usize::try_from(size).unwrap_or(0).min(24));
    let mut local = libc::iovec { iov_base: words.as_mut_ptr().cast(), iov_len: size };
    let there = std::ptr::with_exposed_provenance_mut(usize::try_from(attributes).unwrap_or(0));
    let mut remote = libc::iovec { iov_base: there, iov_len: size };
    let pid = asked.pid;
    let read = call(libc::SYS_process_vm_readv, &[&pid, &&mut local, &1, &&mut remote, &1, &0]);
    if read.is_err() {
        return answer(0, -libc::EFAULT, 0);
    }
    let [files, ports, scopes] = words;
    let known_files = match abi {
        1 => 13,
        2 => 14,
        3 | 4 => 15,
        _ => 16,
    };
    if (abi < 4 && ports != 0) || (abi < 6 && scopes != 0) {
        return answer(0, -libc::E2BIG, 0);
    }
    if files >> known_files != 0 {
        return answer(0, -libc::EINVAL, 0);
    }
    answer(0, 0, GO_ON)
}
