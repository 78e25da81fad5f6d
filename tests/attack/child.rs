//! The processes that the test starts: intruders, and halves that are attacked.

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change,
    mount_remount, unmount,
};
use rustix::thread::UnshareFlags;
use sandbox::{Grants, Layer, Need, Role, Start, UserSpec};

use crate::attacks::{ATTACKS, Attack, Ground};
use crate::matrix::{Column, Kernel, REFUSED, WORKED};
use crate::scene::{Place, role, user};
use crate::third::{BUSY_LOG, LOG};

/// `attack victim ROLE DIR`: waits for its end with what an intruder would want.
pub(crate) fn victim(arguments: &[String]) -> ! {
    let role = role(&arguments[0]);
    let dir = Path::new(&arguments[1]);
    let start = Start::new(role).unwrap();
    let demoted = start.become_user(Some(&spec(role)), &[]).unwrap();
    let key = File::open(dir.join(format!("{role}.key"))).unwrap();
    let journal = dir.join("journal");
    let segment = journal.join("00000000000000000001.sdj");
    let segment = match role {
        Role::Ot | Role::Receive => File::options().append(true).open(segment),
        Role::It | Role::Send => File::open(segment),
    };
    let _open = (key, segment.unwrap());
    demoted.seal(&Grants { descriptors: 64, ..Grants::default() }).unwrap();
    io::stdout().write_all(b"ready\n").unwrap();
    let mut rest = Vec::new();
    let _ = io::stdin().read_to_end(&mut rest);
    std::process::exit(0);
}

/// What a confederate says once it listens.
pub(crate) const LISTENING: &str = "listening\n";

/// `attack intrude COLUMN ATTACK PLACE`: takes on what the column says, and tries the attack.
pub(crate) fn intrude(arguments: &[String]) -> ! {
    let (attack, mut ground) = prepare(arguments);
    end((attack.attempt)(&mut ground))
}

/// `attack conspire COLUMN ATTACK PLACE`: the same for the confederate in the other half.
pub(crate) fn conspire(arguments: &[String]) -> ! {
    let (attack, mut ground) = prepare(arguments);
    let attempt = attack.confederate.unwrap();
    end(attempt(&mut ground, &mut || {
        io::stdout().write_all(LISTENING.as_bytes())?;
        io::stdout().flush()?;
        io::stdin().read_to_end(&mut Vec::new()).map(drop)
    }))
}

fn prepare(arguments: &[String]) -> (&'static Attack, Ground) {
    let column = Column::named(&arguments[0]);
    let attack = ATTACKS.iter().find(|attack| attack.name == arguments[1]).unwrap();
    let place = Place::from_json(&arguments[2]);
    (attack, enter(column, Kernel::named(&arguments[3]), &place, attack.needs).unwrap())
}

fn end(result: io::Result<()>) -> ! {
    let (code, said) = match result {
        Ok(()) => (WORKED, String::new()),
        Err(error) => (REFUSED, name(&error)),
    };
    let _ = io::stdout().write_all(said.as_bytes());
    std::process::exit(code);
}

/// Becomes a half that was taken over, as far as the column goes.
fn enter(column: Column, kernel: Kernel, place: &Place, needs: &[Need]) -> io::Result<Ground> {
    let role = place.role;
    let start = (column != Column::Off).then(|| Start::new(role).unwrap());
    let (link, peer) = link(role, column)?;
    if column.namespaces() {
        separate(place)?;
    }
    // What a half holds when it is taken over.
    let open = File::options().read(true).custom_flags(libc::O_NOFOLLOW).open(place.segment());
    let segment = open.unwrap();
    let mut ground = Ground { place: place.clone(), segment, link, peer, scratch: Vec::new() };
    let Some(start) = start else { return Ok(ground) };
    let waived = column.waived(kernel);
    let spec = spec(role);
    let user = (!waived.contains(&Layer::User)).then_some(&spec);
    let demoted = start.become_user(user, &waived).unwrap();
    ground.scratch.reserve(1 << 16);
    let journal = place.journal();
    let mut grants = Grants {
        read: vec![place.dir.join("policies")],
        write: vec![place.state(role)],
        sockets: vec![place.third(LOG), place.third(BUSY_LOG)],
        tcp_ports: if role.is_of_link() { Vec::new() } else { vec![place.own_port] },
        udp_ports: Vec::new(),
        needs: needs.to_vec(),
        descriptors: 256,
    };
    match role {
        Role::Ot | Role::Receive => grants.write.push(journal),
        Role::It | Role::Send => grants.read.push(journal),
    }
    demoted.seal(&grants).unwrap();
    Ok(ground)
}

/// A socket of the link, made before anything else, to which a datagram was sent; and where to send
/// one.
fn link(role: Role, column: Column) -> io::Result<(UdpSocket, SocketAddr)> {
    let (socket, peer) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    let socket = match (role, column) {
        (_, Column::Off) => socket,
        (Role::Send, _) => sandbox::only_sends(socket)?,
        (Role::Receive, _) => sandbox::only_receives(socket)?,
        (Role::Ot | Role::It, _) => socket,
    };
    socket.set_nonblocking(true)?;
    peer.send_to(b"a datagram", socket.local_addr()?)?;
    Ok((socket, peer.local_addr()?))
}

fn spec(role: Role) -> UserSpec {
    let user = user(role).to_string();
    UserSpec { group: Some(user.clone()), user }
}

/// What the units give: no network but its own, no other's state and keys, the journal read-only
/// for the IT half, an empty /dev/shm, of /run the log daemons' sockets alone, nothing of other
/// processes in /proc, and IPC of its own.
#[expect(deprecated, reason = "no descriptors are unshared")]
fn separate(place: &Place) -> io::Result<()> {
    rustix::thread::unshare(UnshareFlags::NEWNET | UnshareFlags::NEWNS | UnshareFlags::NEWIPC)?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private)?;
    let journal = place.journal();
    mount_bind(&journal, &journal)?;
    if matches!(place.role, Role::It | Role::Send) {
        let flags = MountFlags::BIND
            | MountFlags::RDONLY
            | MountFlags::NOSUID
            | MountFlags::NODEV
            | MountFlags::NOEXEC;
        mount_remount(&journal, flags, c"")?;
    }
    let hidden = place.state(place.other);
    mount("tmpfs", &hidden, "tmpfs", MountFlags::RDONLY, c"mode=000")?;
    mount_bind("/dev/null", place.their_key())?;
    mount_bind("/dev/null", place.path_socket())?;
    mount("tmpfs", "/dev/shm", "tmpfs", MountFlags::RDONLY, c"mode=755")?;
    empty_run(place)?;
    mount(
        "proc",
        "/proc",
        "proc",
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
        c"hidepid=ptraceable,subset=pid",
    )?;
    let _ = unmount("/sys/fs/cgroup", UnmountFlags::DETACH);
    mount("tmpfs", "/sys", "tmpfs", MountFlags::RDONLY, c"mode=0755")?;
    Ok(())
}

/// As `TemporaryFileSystem=/run` with `BindReadOnlyPaths=` of the log daemons' sockets.
fn empty_run(place: &Place) -> io::Result<()> {
    let open =
        |name: &str| File::options().read(true).custom_flags(libc::O_PATH).open(place.third(name));
    let sockets = [(LOG, open(LOG)?), (BUSY_LOG, open(BUSY_LOG)?)];
    mount("tmpfs", "/run", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=755")?;
    std::fs::create_dir_all(&place.third_directory)?;
    std::fs::set_permissions(&place.third_directory, Permissions::from_mode(0o755))?;
    for (name, socket) in sockets {
        File::create(place.third(name))?;
        mount_bind(format!("/proc/self/fd/{}", socket.as_raw_fd()), place.third(name))?;
    }
    mount_remount("/run", MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV, c"")?;
    Ok(())
}

/// `EACCES`; or in words.
fn name(error: &io::Error) -> String {
    let names = [
        (libc::EPERM, "EPERM"),
        (libc::ENOENT, "ENOENT"),
        (libc::ESRCH, "ESRCH"),
        (libc::EBADF, "EBADF"),
        (libc::EACCES, "EACCES"),
        (libc::EXDEV, "EXDEV"),
        (libc::EINVAL, "EINVAL"),
        (libc::EMFILE, "EMFILE"),
        (libc::EROFS, "EROFS"),
        (libc::ENOSYS, "ENOSYS"),
        (libc::EAGAIN, "EAGAIN"),
        (libc::EADDRINUSE, "EADDRINUSE"),
        (libc::ENOTDIR, "ENOTDIR"),
        (libc::EAFNOSUPPORT, "EAFNOSUPPORT"),
        (libc::EOPNOTSUPP, "EOPNOTSUPP"),
        (libc::ECONNREFUSED, "ECONNREFUSED"),
        (libc::ENETUNREACH, "ENETUNREACH"),
        (libc::ENOMEM, "ENOMEM"),
        (libc::ENODEV, "ENODEV"),
        (libc::EPROTONOSUPPORT, "EPROTONOSUPPORT"),
        (libc::ENOTTY, "ENOTTY"),
        (libc::ENOEXEC, "ENOEXEC"),
    ];
    let found =
        error.raw_os_error().and_then(|number| names.iter().find(|(known, _)| *known == number));
    found.map_or_else(|| error.to_string(), |(_, name)| (*name).to_owned())
}
