//! Ways to write the journal, for whoever may only read it; and ways to tell its writer something
//! through what both have of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt, fchown, symlink};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use sandbox::raw::{call, path};

use super::{Attack, Who, attack};

const FEEDBACK: &str = "carries no data by itself: one half would have to set it and the other to ask for it, and the \
                        filters of both refuse";
const ASKING: &str = "carries no data by itself: only what the other half does all day shows in it, and how much that \
                      can be is measured (`cargo bench --bench reverse`)";

pub(super) fn attacks() -> Vec<Attack> {
    let read_only = "the descriptor was opened for reading";
    vec![
        attack(Who::Reader, "write to the descriptor", |ground| {
            ground.segment.write_at(b"x", 0).map(drop)
        })
        .kernel_refuses(read_only),
        attack(Who::Reader, "open for writing", |ground| {
            write_to(OpenOptions::new().write(true), &ground.place.segment())
        }),
        attack(Who::Reader, "open for appending", |ground| {
            write_to(OpenOptions::new().append(true), &ground.place.segment())
        }),
        attack(Who::Reader, "reopen through /proc/self/fd", |ground| {
            let fd = ground.segment.as_raw_fd();
            let own = std::path::PathBuf::from(format!("/proc/self/fd/{fd}"));
            write_to(OpenOptions::new().write(true), &own)
        }),
        attack(Who::Reader, "open the writer's descriptor in /proc", |ground| {
            // A sealed half has few descriptors.
            let mut last = io::Error::from_raw_os_error(libc::ENOENT);
            for number in 3..12 {
                let theirs = ground.place.proc(&format!("fd/{number}"));
                match fs::read_link(&theirs) {
                    Ok(target) if target == ground.place.segment() => {
                        return write_to(OpenOptions::new().append(true), &theirs);
                    }
                    Ok(_) => {}
                    Err(error) => last = error,
                }
            }
            Err(last)
        }),
        attack(Who::Reader, "hard link into its own state", |ground| {
            let link = ground.place.own("link");
            fs::hard_link(ground.place.segment(), &link)?;
            write_to(OpenOptions::new().write(true), &link)
        }),
        attack(Who::Reader, "linkat of the descriptor", |ground| {
            let link = path(&ground.place.own("link"));
            let empty = c"".to_owned();
            let fd = ground.segment.as_raw_fd();
            call(libc::SYS_linkat, &[&fd, &&empty, &libc::AT_FDCWD, &&link, &libc::AT_EMPTY_PATH])?;
            write_to(OpenOptions::new().write(true), &ground.place.own("link"))
        }),
        attack(Who::Reader, "rename a segment", |ground| {
            let segment = ground.place.segment();
            fs::rename(&segment, segment.with_extension("old"))
        }),
        attack(Who::Reader, "rename a file of its own over a segment", |ground| {
            let forged = ground.place.own("forged");
            fs::write(&forged, "forged")?;
            fs::rename(forged, ground.place.segment())
        }),
        attack(Who::Reader, "delete a segment", |ground| fs::remove_file(ground.place.segment())),
        attack(Who::Reader, "truncate by path", |ground| {
            let segment = path(&ground.place.segment());
            call(libc::SYS_truncate, &[&&segment, &0]).map(drop)
        }),
        attack(Who::Reader, "truncate as it is opened for reading", |ground| {
            // A right to read is all that Landlock before ABI 3 asks for.
            let segment = path(&ground.place.segment());
            let flags = libc::O_RDONLY | libc::O_TRUNC;
            call(libc::SYS_openat, &[&libc::AT_FDCWD, &&segment, &flags, &0]).map(drop)
        }),
        attack(Who::Reader, "truncate the descriptor", |ground| ground.segment.set_len(0))
            .kernel_refuses(read_only),
        attack(Who::Reader, "map the descriptor shared and writable", |ground| {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let fd = ground.segment.as_raw_fd();
            call(libc::SYS_mmap, &[&0, &4_096, &access, &libc::MAP_SHARED, &fd, &0]).map(drop)
        })
        .kernel_refuses(read_only),
        attack(Who::Reader, "punch a hole", |ground| {
            let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
            let fd = ground.segment.as_raw_fd();
            call(libc::SYS_fallocate, &[&fd, &mode, &0_i64, &4_096_i64]).map(drop)
        })
        .kernel_refuses(read_only),
        attack(Who::Reader, "chmod by path", |ground| {
            fs::set_permissions(ground.place.segment(), fs::Permissions::from_mode(0o666))
        }),
        attack(Who::Reader, "chmod the descriptor", |ground| {
            ground.segment.set_permissions(fs::Permissions::from_mode(0o666))
        }),
        attack(Who::Reader, "chown the descriptor", |ground| {
            fchown(&ground.segment, Some(ground.place.role as u32), None)
        }),
        attack(Who::Reader, "give itself an ACL", |ground| {
            // Version 2; user rw, this user rw, group r, mask rw, others nothing.
            let user = crate::scene::user(ground.place.role);
            let mut acl = 2_u32.to_le_bytes().to_vec();
            for (tag, access, id) in [
                (1_u16, 6_u16, u32::MAX),
                (2, 6, user),
                (4, 4, u32::MAX),
                (16, 6, u32::MAX),
                (32, 0, u32::MAX),
            ] {
                acl.extend(tag.to_le_bytes());
                acl.extend(access.to_le_bytes());
                acl.extend(id.to_le_bytes());
            }
            let segment = path(&ground.place.segment());
            let name = c"system.posix_acl_access".to_owned();
            call(libc::SYS_setxattr, &[&&segment, &&name, &acl.as_slice(), &acl.len(), &0])
                .map(drop)
        }),
        attack(Who::Reader, "set an extended attribute", |ground| {
            let name = c"user.word".to_owned();
            let fd = ground.segment.as_raw_fd();
            call(libc::SYS_fsetxattr, &[&fd, &&name, &b"x".as_slice(), &1, &0]).map(drop)
        }),
        attack(Who::Reader, "O_TMPFILE in the journal, then link it", |ground| {
            let mut options = OpenOptions::new();
            options.write(true).custom_flags(libc::O_TMPFILE);
            let file = options.open(ground.place.journal())?;
            let link = path(&ground.place.journal().join("00000000000000000009.sdj"));
            let own = path(std::path::Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())));
            let follow = libc::AT_SYMLINK_FOLLOW;
            call(libc::SYS_linkat, &[&libc::AT_FDCWD, &&own, &libc::AT_FDCWD, &&link, &follow])
                .map(drop)
        }),
        attack(Who::Reader, "make a segment", |ground| {
            fs::write(ground.place.journal().join("00000000000000000009.sdj"), "forged")
        }),
        attack(Who::Reader, "make a FIFO under a segment's name", |ground| {
            let fifo = ground.place.journal().join("00000000000000000009.sdj");
            Ok(mknodat(CWD, fifo, FileType::Fifo, Mode::RWXU, 0)?)
        }),
        attack(Who::Reader, "make a link under a segment's name", |ground| {
            symlink("/etc/passwd", ground.place.journal().join("00000000000000000009.sdj"))
        }),
        attack(Who::Reader, "make a directory in the journal", |ground| {
            fs::create_dir(ground.place.journal().join("trap"))
        }),
        attack(Who::Reader, "set the times of a segment", |ground| {
            ground.segment.set_modified(std::time::SystemTime::UNIX_EPOCH)
        }),
        attack(Who::Reader, "open by handle", |ground| {
            let mut handle = [0_u32; 34];
            handle[0] = 128;
            let mut mount_id = 0_i32;
            let empty = c"".to_owned();
            let fd = ground.segment.as_raw_fd();
            call(
                libc::SYS_name_to_handle_at,
                &[&fd, &&empty, &&mut handle, &&mut mount_id, &libc::AT_EMPTY_PATH],
            )?;
            call(libc::SYS_open_by_handle_at, &[&fd, &&mut handle, &libc::O_RDWR]).map(drop)
        }),
        attack(Who::Reader, "mount over the journal", |ground| {
            let flags = rustix::mount::MountFlags::empty();
            Ok(rustix::mount::mount("tmpfs", ground.place.journal(), "tmpfs", flags, None)?)
        }),
        attack(Who::Reader, "mark a segment immutable", |ground| {
            let flag = rustix::fs::IFlags::IMMUTABLE;
            Ok(rustix::fs::ioctl_setflags(&ground.segment, flag)?)
        }),
        attack(Who::Reader, "copy_file_range into the descriptor", |ground| {
            let own = ground.place.own("source");
            fs::write(&own, "forged")?;
            let source = File::open(own)?;
            let (from, to) = (source.as_raw_fd(), ground.segment.as_raw_fd());
            call(libc::SYS_copy_file_range, &[&from, &0, &to, &0, &6, &0]).map(drop)
        })
        .kernel_refuses(read_only),
        attack(Who::All, "take a lease on a segment", |ground| {
            // Of one that isn't written any more: a reader's lease needs that.
            let old = File::open(ground.place.journal().join("00000000000000000000.sdj"))?;
            let fd = old.as_raw_fd();
            call(libc::SYS_fcntl, &[&fd, &libc::F_SETLEASE, &libc::F_RDLCK]).map(drop)
        })
        .reason(FEEDBACK),
        attack(Who::All, "lock a segment", |ground| ground.segment.lock_shared()).reason(FEEDBACK),
        attack(Who::All, "lock a range of a segment", |ground| {
            let mut lock = libc::flock {
                l_type: libc::F_RDLCK as libc::c_short,
                l_whence: 0,
                l_start: 0,
                l_len: 1,
                l_pid: 0,
            };
            let fd = ground.segment.as_raw_fd();
            call(libc::SYS_fcntl, &[&fd, &libc::F_SETLK, &&mut lock]).map(drop)
        })
        .reason(FEEDBACK),
        attack(Who::All, "ask for another's lock on a segment", |ground| {
            let mut lock = libc::flock {
                l_type: libc::F_WRLCK as libc::c_short,
                l_whence: 0,
                l_start: 0,
                l_len: 1,
                l_pid: 0,
            };
            let fd = ground.segment.as_raw_fd();
            call(libc::SYS_fcntl, &[&fd, &libc::F_GETLK, &&mut lock]).map(drop)
        })
        .reason(FEEDBACK),
        attack(Who::All, "throw a segment out of the page cache", |ground| {
            let fd = ground.segment.as_raw_fd();
            call(libc::SYS_fadvise64, &[&fd, &0_i64, &0_i64, &libc::POSIX_FADV_DONTNEED]).map(drop)
        })
        .reason(FEEDBACK),
        attack(Who::All, "ask whether a page of a segment is cached", |ground| {
            let mut page = [0_u8; 64];
            let mut vector =
                libc::iovec { iov_base: page.as_mut_ptr().cast(), iov_len: page.len() };
            let fd = ground.segment.as_raw_fd();
            call(libc::SYS_preadv2, &[&fd, &&mut vector, &1, &0_i64, &0_i64, &libc::RWF_NOWAIT])
                .map(drop)
        })
        .reason(ASKING),
        attack(Who::Writer, "watch who reads a segment (inotify)", |ground| {
            let fd = call(libc::SYS_inotify_init1, &[&0])?;
            let segment = path(&ground.place.segment());
            call(libc::SYS_inotify_add_watch, &[&fd, &&segment, &libc::IN_ACCESS]).map(drop)
        })
        .reason(ASKING),
        attack(Who::Writer, "watch who opens a segment (fanotify)", |_| {
            call(libc::SYS_fanotify_init, &[&0, &libc::O_RDONLY]).map(drop)
        }),
        attack(Who::All, "ask how full the journal's disk is", |ground| {
            Ok(rustix::fs::statfs(ground.place.journal()).map(drop)?)
        })
        .reason(ASKING),
        attack(Who::All, "ask for the machine's load and memory", |_| {
            let mut info = [0_u64; 64];
            call(libc::SYS_sysinfo, &[&&mut info]).map(drop)
        })
        .reason(ASKING),
    ]
}

fn write_to(options: &mut OpenOptions, path: &std::path::Path) -> io::Result<()> {
    options.open(path)?.write_all(b"forged")
}
