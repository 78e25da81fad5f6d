//! The reviewed data: every system call that a sealed half may make, on which arguments, and
//! why. What isn't here ends the process.
//!
//! The lists are for Linux on x86-64 and arm64, with glibc and musl. A call that nobody needs any
//! more is taken out: `e2e::sealed` in the test suite runs every feature under the seal.

use libc::{
    AF_INET, AF_INET6, AF_UNIX, AT_FDCWD, CLONE_CHILD_CLEARTID, CLONE_FILES, CLONE_FS,
    CLONE_PARENT_SETTID, CLONE_SETTLS, CLONE_SIGHAND, CLONE_SYSVSEM, CLONE_THREAD, CLONE_VM,
    FUTEX_CLOCK_REALTIME, FUTEX_PRIVATE_FLAG, FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_WAKE,
    IPPROTO_TCP, MADV_DONTNEED, MADV_FREE, MAP_ANONYMOUS, MAP_NORESERVE, MAP_PRIVATE, MAP_STACK,
    O_ASYNC, O_DIRECT, O_PATH, O_TRUNC, O_WRONLY, PR_SET_NAME, PROT_EXEC, SIGABRT, SO_ERROR,
    SO_KEEPALIVE, SO_MEMINFO, SO_RCVTIMEO, SO_SNDBUF, SO_SNDTIMEO, SOCK_CLOEXEC, SOCK_DGRAM,
    SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET, TCP_KEEPIDLE, TCP_NODELAY, TCP_NOTSENT_LOWAT,
};

use super::Role;
use super::one_way::LINK_DESCRIPTORS;
use super::profile::{Argument, Call, Form, Need};

/// The bit of `O_TMPFILE` that is not `O_DIRECTORY`.
const O_TMPFILE_BIT: libc::c_int = libc::O_TMPFILE & !libc::O_DIRECTORY;
/// What must be as it is where a file is truncated when it is opened.
const WRITING: libc::c_int =
    libc::O_ACCMODE | O_TRUNC | O_TMPFILE_BIT | O_PATH | O_DIRECT | O_ASYNC;
/// musl still passes it; the kernel ignores it.
const CLONE_DETACHED: u64 = 0x0040_0000;
/// Guard pages of a thread's stack (Linux 6.13, glibc 2.42).
const MADV_GUARD_INSTALL: libc::c_int = 102;
/// What a new thread of this process is made with, and a new process is not.
const THREAD: u64 = (CLONE_VM
    | CLONE_FS
    | CLONE_FILES
    | CLONE_SIGHAND
    | CLONE_THREAD
    | CLONE_SYSVSEM
    | CLONE_SETTLS
    | CLONE_PARENT_SETTID
    | CLONE_CHILD_CLEARTID) as u64;
/// May come with a socket's type.
const SOCKET_FLAGS: libc::c_int = SOCK_NONBLOCK | SOCK_CLOEXEC;
/// May come with a futex operation.
const FUTEX_FLAGS: libc::c_int = FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME;

macro_rules! any {
    ($constant:ident, $because:literal) => {
        Call::any(stringify!($constant), libc::$constant, $because)
    };
}
macro_rules! with {
    ($constant:ident, [$($form:expr),+ $(,)?], $because:literal) => {
        Call::with(stringify!($constant), libc::$constant, &[$($form),+], $because)
    };
}
macro_rules! form {
    ($says:literal, $($argument:expr),+ $(,)?) => {
        Form::of($says, &[$($argument),+])
    };
}

/// All profiles, by what the calls are for.
pub static CALLS: &[(&str, &[Call])] = &[
    ("memory", MEMORY),
    ("threads, time and signals", PROCESS),
    ("network", NETWORK),
    ("sockets of the link, made before the seal", LINK),
    ("sockets that a half makes (level \"full\")", OWN_SOCKETS),
    ("sockets that are handed to it (level \"dialled\")", DIALLED_SOCKETS),
    ("files", FILES),
];

static MEMORY: &[Call] = &[
    any!(SYS_brk, "the allocator"),
    with!(
        SYS_mmap,
        [form!(
            "anonymous and private, not executable",
            Argument::without(2, PROT_EXEC),
            Argument::is_but(3, MAP_ANONYMOUS | MAP_PRIVATE, MAP_NORESERVE | MAP_STACK),
        )],
        "the allocator, and stacks of threads"
    ),
    any!(SYS_munmap, "the allocator, and stacks of threads"),
    any!(SYS_mremap, "the allocator, for large buffers that grow"),
    with!(
        SYS_mprotect,
        [form!("not executable", Argument::without(2, PROT_EXEC))],
        "the allocator, and guard pages of stacks"
    ),
    with!(
        SYS_madvise,
        [
            form!("MADV_DONTNEED", Argument::is(2, MADV_DONTNEED)),
            form!("MADV_FREE", Argument::is(2, MADV_FREE)),
            form!("MADV_GUARD_INSTALL", Argument::is(2, MADV_GUARD_INSTALL)),
        ],
        "the allocator gives memory back; guard pages of stacks"
    ),
];

static PROCESS: &[Call] = &[
    with!(
        SYS_clone,
        [form!("a thread of this process", Argument::is_long_but(0, THREAD, CLONE_DETACHED))],
        "worker, state and log threads"
    ),
    any!(SYS_set_robust_list, "the C library, for a new thread"),
    any!(SYS_rseq, "the C library, for a new thread"),
    any!(SYS_gettid, "the C library, for a new thread; panics"),
    any!(SYS_getpid, "panics"),
    any!(SYS_sched_getaffinity, "the C library looks at a new thread's stack"),
    with!(SYS_prctl, [form!("PR_SET_NAME", Argument::is(0, PR_SET_NAME))], "names of threads"),
    any!(SYS_exit, "the end of a thread"),
    any!(SYS_exit_group, "the end of the process"),
    with!(
        SYS_futex,
        [
            form!("FUTEX_WAIT", Argument::is_but(1, FUTEX_WAIT, FUTEX_FLAGS)),
            form!("FUTEX_WAKE", Argument::is_but(1, FUTEX_WAKE, FUTEX_FLAGS)),
            form!("FUTEX_WAIT_BITSET", Argument::is_but(1, FUTEX_WAIT_BITSET, FUTEX_FLAGS)),
        ],
        "locks and channels between threads"
    ),
    any!(SYS_sched_yield, "channels between threads"),
    any!(SYS_clock_gettime, "time, where the kernel's page for it isn't mapped"),
    any!(SYS_clock_nanosleep, "pauses of the worker and the driver"),
    any!(SYS_nanosleep, "the same with musl"),
    any!(SYS_restart_syscall, "the kernel goes on with a pause after SIGCONT"),
    any!(SYS_getrandom, "TLS, seeds of hash tables, jitter of pauses"),
    any!(SYS_rt_sigaction, "handlers of SIGTERM, SIGINT and SIGHUP"),
    any!(SYS_rt_sigprocmask, "the C library, for a new thread"),
    any!(SYS_rt_sigreturn, "return from a signal handler"),
    any!(SYS_sigaltstack, "a new thread's stack for overflow messages"),
    with!(
        SYS_tgkill,
        [form!("SIGABRT to this process", Argument::is_own_pid(0), Argument::is(2, SIGABRT))],
        "a panic aborts the process"
    ),
];

/// Whatever isn't a socket of the link.
const NO_LINK: Form = form!("no socket of the link", Argument::is_below(0, LINK_DESCRIPTORS));
/// A socket of the link, and nothing else.
const LINK_SOCKET: Form = form!("a socket of the link", Argument::is_from(0, LINK_DESCRIPTORS));

/// The ends of the link have these instead of what is in `NETWORK`: one has no call that receives from
/// a network, the other none that sends.
static LINK: &[Call] = &[
    with!(SYS_sendmsg, [LINK_SOCKET], "datagrams of the link, many at a time").only(Role::Send),
    with!(SYS_recvmmsg, [LINK_SOCKET], "datagrams of the link, many at a time").only(Role::Receive),
    with!(
        SYS_getsockopt,
        [form!(
            "SO_MEMINFO of a socket of the link",
            Argument::is_from(0, LINK_DESCRIPTORS),
            Argument::is(1, SOL_SOCKET),
            Argument::is(2, SO_MEMINFO),
        )],
        "datagrams that a full buffer dropped"
    )
    .only(Role::Receive),
    any!(SYS_ppoll, "waiting for datagrams, or for what is due").link(),
    with!(SYS_read, [NO_LINK], "files; wake-ups").link(),
    with!(SYS_write, [NO_LINK], "own state; stderr; wake-ups; logs of this machine").link(),
    with!(SYS_writev, [NO_LINK], "stderr").link(),
    with!(
        SYS_setsockopt,
        [form!(
            "SO_SNDTIMEO of no socket of the link",
            Argument::is_below(0, LINK_DESCRIPTORS),
            Argument::is(1, SOL_SOCKET),
            Argument::is(2, SO_SNDTIMEO),
        )],
        "a limit in time for logs of this machine"
    )
    .only_for(Need::UnixDatagrams)
    .link(),
    with!(
        SYS_recvmsg,
        [NO_LINK],
        "a socket from the dialling process; none that it has can be answered"
    )
    .only_for(Need::UnixDatagrams)
    .link(),
];

static NETWORK: &[Call] = &[
    with!(
        SYS_getsockopt,
        [form!("SO_ERROR", Argument::is(1, SOL_SOCKET), Argument::is(2, SO_ERROR))],
        "whether a connection was made"
    )
    .halves(),
    with!(
        SYS_setsockopt,
        [
            form!("TCP_NODELAY", Argument::is(1, IPPROTO_TCP), Argument::is(2, TCP_NODELAY)),
            form!(
                "TCP_NOTSENT_LOWAT",
                Argument::is(1, IPPROTO_TCP),
                Argument::is(2, TCP_NOTSENT_LOWAT)
            ),
            form!("TCP_KEEPIDLE", Argument::is(1, IPPROTO_TCP), Argument::is(2, TCP_KEEPIDLE)),
            form!("SO_KEEPALIVE", Argument::is(1, SOL_SOCKET), Argument::is(2, SO_KEEPALIVE)),
            form!("SO_SNDBUF", Argument::is(1, SOL_SOCKET), Argument::is(2, SO_SNDBUF)),
            form!("SO_SNDTIMEO", Argument::is(1, SOL_SOCKET), Argument::is(2, SO_SNDTIMEO)),
            form!("SO_RCVTIMEO", Argument::is(1, SOL_SOCKET), Argument::is(2, SO_RCVTIMEO)),
        ],
        "small packets go out at once, behind few others; limits in time for syslog servers"
    )
    .halves(),
    any!(SYS_recvfrom, "reading from connections").halves(),
    with!(
        SYS_sendto,
        [form!("without an address", Argument::is_long(4, 0))],
        "writing to connections"
    )
    .halves(),
    any!(SYS_writev, "writing to connections; stderr").halves(),
    any!(SYS_shutdown, "ending connections").halves(),
    any!(SYS_epoll_ctl, "waiting for the network").halves(),
    #[cfg(target_arch = "x86_64")]
    any!(SYS_epoll_wait, "waiting for the network").halves(),
    any!(SYS_epoll_pwait, "the same on arm64 and with musl").halves(),
];

/// How TCP sockets are made, by the half or by its dialling process.
const TCP_SOCKETS: Call = with!(
    SYS_socket,
    [
        form!(
            "AF_INET, SOCK_STREAM",
            Argument::is(0, AF_INET),
            Argument::is_but(1, SOCK_STREAM, SOCKET_FLAGS),
            Argument::is(2, 0),
        ),
        form!(
            "AF_INET6, SOCK_STREAM",
            Argument::is(0, AF_INET6),
            Argument::is_but(1, SOCK_STREAM, SOCKET_FLAGS),
            Argument::is(2, 0),
        ),
    ],
    "TCP connections to the broker and to syslog servers"
)
.halves();

/// The same over UDP.
const UDP_SOCKETS: Call = with!(
    SYS_socket,
    [
        form!(
            "AF_INET, SOCK_DGRAM",
            Argument::is(0, AF_INET),
            Argument::is_but(1, SOCK_DGRAM, SOCKET_FLAGS),
        ),
        form!(
            "AF_INET6, SOCK_DGRAM",
            Argument::is(0, AF_INET6),
            Argument::is_but(1, SOCK_DGRAM, SOCKET_FLAGS),
        ),
    ],
    "syslog over UDP"
)
.only_for(Need::SyslogUdp)
.halves();

/// The same on this machine.
const LOCAL_SOCKETS: Call = with!(
    SYS_socket,
    [
        // No stream and no SOCK_SEQPACKET: over one of these a third process (a message bus, the
        // service manager, a name service) answers, and both halves could meet at it. A
        // datagram socket without a name, which no call here can give it, can't be answered.
        form!(
            "AF_UNIX, SOCK_DGRAM",
            Argument::is(0, AF_UNIX),
            Argument::is_but(1, SOCK_DGRAM, SOCKET_FLAGS),
            Argument::is(2, 0),
        ),
    ],
    "the local syslog daemon comes back with another socket after a restart"
)
.only_for(Need::UnixDatagrams);

/// Where the kernel's Landlock bounds which ports and sockets they reach.
static OWN_SOCKETS: &[Call] = &[
    TCP_SOCKETS.own(),
    any!(SYS_connect, "the same; Landlock bounds the ports").own().halves(),
    UDP_SOCKETS.own(),
    LOCAL_SOCKETS.own().halves(),
];

/// Where it can't: the dialling process makes them.
static DIALLED_SOCKETS: &[Call] = &[any!(
    SYS_recvmsg,
    "a socket from the dialling process; neither `socket` nor `connect` is in this profile"
)
.dialled()
.halves()];

/// The dialling process, which has nothing else to do. It reads requests of one length, and nothing of
/// what comes from a network.
pub static DIALLER: &[Call] = &[
    any!(SYS_recvfrom, "a request of its half"),
    TCP_SOCKETS,
    any!(SYS_connect, "to the ports and sockets of the configuration, which it compares itself"),
    UDP_SOCKETS,
    LOCAL_SOCKETS,
    with!(
        SYS_fcntl,
        [
            form!("F_SETFL", Argument::is(1, libc::F_SETFL)),
            form!("F_GETFD", Argument::is(1, libc::F_GETFD)),
        ],
        "whether the half's calls on a socket wait; debug builds check a descriptor before closing it"
    ),
    any!(SYS_sendmsg, "hands the socket over"),
    any!(SYS_write, "says that it is sealed"),
    any!(SYS_close, "the socket that was handed over"),
    any!(SYS_exit_group, "its half has ended"),
    any!(SYS_rt_sigreturn, "return from a signal handler of its half's"),
    any!(SYS_restart_syscall, "the kernel goes on after SIGCONT"),
];

static FILES: &[Call] = &[
    with!(
        SYS_openat,
        [
            form!(
                "by path; no O_TRUNC, O_TMPFILE, O_PATH, O_DIRECT, O_ASYNC",
                Argument::is(0, AT_FDCWD),
                Argument::without(2, O_TRUNC | O_TMPFILE_BIT | O_PATH | O_DIRECT | O_ASYNC),
            ),
            form!(
                "O_TRUNC with O_WRONLY alone, which Landlock before ABI 3 sees",
                Argument::is(0, AT_FDCWD),
                Argument::only(2, O_WRONLY | O_TRUNC, WRITING),
            ),
        ],
        "journal, own state, policies and passwords; Landlock bounds the paths"
    ),
    #[cfg(target_arch = "x86_64")]
    with!(
        SYS_open,
        [
            form!(
                "no O_TRUNC, O_TMPFILE, O_PATH, O_DIRECT, O_ASYNC",
                Argument::without(1, O_TRUNC | O_TMPFILE_BIT | O_PATH | O_DIRECT | O_ASYNC),
            ),
            form!("O_TRUNC with O_WRONLY alone", Argument::only(1, O_WRONLY | O_TRUNC, WRITING)),
        ],
        "the same with musl"
    ),
    any!(SYS_close, "files and connections"),
    any!(SYS_read, "files; wake-ups").halves(),
    any!(SYS_pread64, "segments of the journal"),
    any!(SYS_write, "own state; stderr; wake-ups").halves(),
    any!(SYS_pwrite64, "segments of the journal").writers(),
    any!(SYS_lseek, "the size of a file that is read"),
    any!(SYS_statx, "sizes and kinds of files"),
    any!(SYS_newfstatat, "the same with musl, and of directories"),
    any!(SYS_fstat, "the same"),
    any!(SYS_getdents64, "segments of the journal, directories of policies"),
    #[cfg(target_arch = "x86_64")]
    any!(SYS_readlink, "whose the way to exchanged certificates and keys is"),
    #[cfg(target_arch = "aarch64")]
    any!(SYS_readlinkat, "whose the way to exchanged certificates and keys is"),
    any!(SYS_getxattr, "who else can read and write these: their access control lists"),
    any!(SYS_fsync, "own state survives a loss of power"),
    any!(SYS_fdatasync, "durability = \"power\"").writers(),
    any!(SYS_ftruncate, "what an append left when the disk was full").writers(),
    any!(SYS_fchmod, "segments are readable for the readers' group whatever the directory's ACL")
        .writers(),
    #[cfg(target_arch = "x86_64")]
    any!(SYS_rename, "own state is replaced as a whole; a segment gets its name"),
    #[cfg(target_arch = "aarch64")]
    any!(SYS_renameat, "own state is replaced as a whole; a segment gets its name"),
    #[cfg(target_arch = "x86_64")]
    any!(SYS_unlink, "retention of the journal").writers(),
    #[cfg(target_arch = "aarch64")]
    any!(SYS_unlinkat, "retention of the journal").writers(),
    with!(
        SYS_flock,
        [form!("LOCK_UN", Argument::is(1, libc::LOCK_UN))],
        "the claim on the journal ends with the writer"
    )
    .writers(),
    with!(
        SYS_fcntl,
        [
            form!("F_GETFD", Argument::is(1, libc::F_GETFD)),
            form!("F_SETFD", Argument::is(1, libc::F_SETFD)),
            form!("F_GETFL", Argument::is(1, libc::F_GETFL)),
        ],
        "musl marks a directory close-on-exec; debug builds check a descriptor before closing it"
    ),
];

/// Calls that libraries try and do without: they get `ENOSYS` instead of the end.
pub(super) static REFUSED: &[(&str, libc::c_long, &str)] = &[(
    "clone3",
    libc::SYS_clone3,
    "its flags can't be seen by a filter; the C library goes on with `clone`",
)];
