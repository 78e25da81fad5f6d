//! Ways to more privilege, and to parts of the kernel that a half has no use for.

use std::fs;
use std::os::fd::AsRawFd;

use sandbox::raw::{call, path};

use super::{Attack, Who, attack, passes};

const SURFACE: &str = "no way by itself, only more of the kernel to try: no user needs a privilege \
                       for it, and RestrictNamespaces, MemoryDenyWriteExecute and SystemCallFilter \
                       in the units are the second layer";

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        attack(Who::All, "become root", |_| call(libc::SYS_setresuid, &[&0, &0, &0]).map(drop)),
        attack(Who::All, "join a group", |_| {
            let mut groups = [0_u32; 1];
            call(libc::SYS_setgroups, &[&1, &&mut groups]).map(drop)
        }),
        attack(Who::All, "take capabilities back", |_| {
            let mut header = [0x2008_0522_u32, 0];
            let mut sets = [1_u32 << 21, 1 << 21, 0, 0, 0, 0];
            call(libc::SYS_capset, &[&&mut header, &&mut sets]).map(drop)
        }),
        attack(Who::All, "become root of a namespace of users", |_| {
            call(libc::SYS_unshare, &[&libc::CLONE_NEWUSER]).map(drop)
        })
        .reason(SURFACE),
        attack(Who::All, "a namespace of mounts", |_| {
            call(libc::SYS_unshare, &[&libc::CLONE_NEWNS]).map(drop)
        }),
        attack(Who::All, "start another program", |_| {
            // That it doesn't return is success: `true` ends with 0.
            let (program, mut none) = (path(std::path::Path::new("/bin/true")), [0_usize; 1]);
            let mut arguments = [program.as_ptr().expose_provenance(), 0];
            call(libc::SYS_execve, &[&&program, &&mut arguments, &&mut none]).map(drop)
        }),
        attack(Who::All, "start a program from its own state", |ground| {
            let program = ground.place.own("program");
            fs::copy("/bin/true", &program)?;
            let file = fs::File::open(&program)?;
            let (empty, mut none) = (c"".to_owned(), [0_usize; 1]);
            let mut arguments = [empty.as_ptr().expose_provenance(), 0];
            let fd = file.as_raw_fd();
            call(
                libc::SYS_execveat,
                &[&fd, &&empty, &&mut arguments, &&mut none, &libc::AT_EMPTY_PATH],
            )
            .map(drop)
        }),
        attack(Who::All, "memory for code", |_| {
            let access = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            call(libc::SYS_mmap, &[&0, &4_096, &access, &kind, &-1, &0]).map(drop)
        })
        .reason(SURFACE),
        attack(Who::All, "make memory executable", |_| {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let page = call(libc::SYS_mmap, &[&0, &4_096, &access, &kind, &-1, &0])?;
            call(libc::SYS_mprotect, &[&page, &4_096, &(libc::PROT_READ | libc::PROT_EXEC)])
                .map(drop)
        })
        .reason(SURFACE),
        attack(Who::All, "io_uring, which filters don't see into", |_| {
            let mut parameters = [0_u32; 32];
            call(libc::SYS_io_uring_setup, &[&1, &&mut parameters]).map(drop)
        })
        .reason(SURFACE),
        attack(Who::All, "load a program into the kernel (bpf)", |_| {
            // An array of one: type 2, key 4, value 4, entries 1.
            let mut attributes = [2_u32, 4, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            let size = size_of_val(&attributes);
            call(libc::SYS_bpf, &[&0, &&mut attributes, &size]).map(drop)
        }),
        attack(Who::All, "handle page faults (userfaultfd)", |_| {
            call(libc::SYS_userfaultfd, &[&0]).map(drop)
        })
        .reason(SURFACE),
        attack(Who::All, "load a kernel module", |_| {
            let mut image = [0_u8; 64];
            let empty = c"".to_owned();
            let result = call(libc::SYS_init_module, &[&&mut image, &64, &&empty]);
            passes(result, &[libc::ENOEXEC])
        })
        .missing_here("a kernel may have no modules"),
        attack(Who::All, "search the kernel's keys", |_| {
            let (kind, name) = (c"user".to_owned(), c"none".to_owned());
            // Searches the ring of the session: that there is none under this name is an answer.
            let result = call(libc::SYS_request_key, &[&&kind, &&name, &0, &0]);
            passes(result, &[libc::ENOKEY])
        })
        .reason(SURFACE),
        attack(Who::All, "change what programs mean (personality)", |_| {
            call(libc::SYS_personality, &[&0x0040_0000_u64]).map(drop)
        })
        .reason(SURFACE),
        attack(Who::All, "change the root directory", |ground| {
            let own = path(&ground.place.state(ground.place.role));
            call(libc::SYS_chroot, &[&&own]).map(drop)
        }),
        attack(Who::All, "mount a file system", |ground| {
            let own = ground.place.state(ground.place.role);
            let flags = rustix::mount::MountFlags::empty();
            rustix::mount::mount("tmpfs", &own, "tmpfs", flags, None)?;
            Ok(rustix::mount::unmount(&own, rustix::mount::UnmountFlags::DETACH)?)
        }),
        attack(Who::All, "name the machine", |_| {
            let name = rustix::system::uname().nodename().to_bytes().to_vec();
            call(libc::SYS_sethostname, &[&name.as_slice(), &name.len()]).map(drop)
        }),
        attack(Who::All, "read the kernel's log", |_| {
            // 3: everything that is there; none of it is taken away.
            let mut text = [0_u8; 64];
            call(libc::SYS_syslog, &[&3, &&mut text, &64]).map(drop)
        }),
        attack(Who::All, "make a device", |ground| {
            let device = ground.place.own("mem");
            let kind = rustix::fs::FileType::CharacterDevice;
            let mode = rustix::fs::Mode::RWXU;
            Ok(rustix::fs::mknodat(rustix::fs::CWD, device, kind, mode, rustix::fs::makedev(1, 1))?)
        }),
        attack(Who::All, "a file that is root for whoever starts it", |ground| {
            use std::os::unix::fs::PermissionsExt;
            let file = ground.place.own("setuid");
            fs::write(&file, "")?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o4755))
        })
        .reason(
            "it belongs to the intruder's user, who is all that it could make anybody; \
                 RestrictSUIDSGID in the units is the second layer",
        ),
        attack(Who::All, "calls of the 32-bit interface", |_| {
            // The bit that marks a call of the x32 interface.
            #[cfg(target_arch = "x86_64")]
            let number = libc::SYS_getppid | 0x4000_0000;
            #[cfg(not(target_arch = "x86_64"))]
            let number = libc::c_long::MAX >> 33;
            call(number, &[]).map(drop)
        })
        .missing_here("a kernel may have no such interface"),
    ]
}
