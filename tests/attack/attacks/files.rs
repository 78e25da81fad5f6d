//! Files of the other half and of the machine.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

use super::{Attack, Who, attack};

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        attack(Who::All, "read the other half's key", |ground| {
            let key = fs::read(ground.place.their_key())?;
            // Where /dev/null was mounted over it there is nothing in it.
            if key.is_empty() {
                Err(std::io::Error::from_raw_os_error(libc::ENOENT))
            } else {
                Ok(())
            }
        }),
        attack(Who::All, "read the other half's state", |ground| {
            fs::read(ground.place.their_state()).map(drop)
        }),
        attack(Who::All, "write the other half's state", |ground| {
            fs::write(ground.place.their_state(), "forged")
        }),
        attack(Who::All, "list the other half's state", |ground| {
            let entries = fs::read_dir(ground.place.their_state().parent().unwrap())?.count();
            if entries == 0 { Err(std::io::Error::from_raw_os_error(libc::ENOENT)) } else { Ok(()) }
        }),
        attack(Who::All, "change a policy", |ground| {
            fs::write(ground.place.dir.join("policies/policy.toml"), "forged")
        }),
        attack(Who::All, "add a policy", |ground| {
            fs::write(ground.place.dir.join("policies/more.toml"), "forged")
        }),
        attack(Who::All, "leave a file for the other half in /dev/shm", |ground| {
            let name = format!("/dev/shm/sparkdiode-attack-{}", ground.place.victim);
            fs::write(&name, "a word")?;
            // Where it is a directory of its own nobody else sees it.
            let own = fs::metadata("/dev/shm")?.dev() != ground.place.shared_memory;
            if own { Err(std::io::Error::from_raw_os_error(libc::ENOENT)) } else { Ok(()) }
        }),
        attack(Who::All, "read the machine's passwords", |_| fs::read("/etc/shadow").map(drop)),
        attack(Who::All, "open the machine's memory", |_| File::open("/dev/mem").map(drop))
            .missing_here("a machine may have no such device"),
        attack(Who::All, "write to the kernel's log", |_| {
            File::options().write(true).open("/dev/kmsg").map(drop)
        }),
        attack(Who::All, "change a kernel parameter", |_| {
            File::options().write(true).open("/proc/sys/kernel/core_pattern").map(drop)
        }),
        attack(Who::All, "open a disk", |_| {
            let disk = fs::read_dir("/dev")?.flatten().map(|entry| entry.path()).find(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                ["vda", "sda", "nvme0n1", "xvda", "loop0"].contains(&name.as_str())
            });
            let missing = || std::io::Error::from_raw_os_error(libc::ENOENT);
            File::open(disk.ok_or_else(missing)?).map(drop)
        })
        .missing_here("a container's root may have no disks"),
    ]
}
