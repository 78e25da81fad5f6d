//! Two boxes on one machine: each a network of its own, with a cable between them that can be cut. What
//! leaves the plant's box over it arrives at the enterprise's; there is no way back.
//!
//! ```text
//!  plant's box:       OT broker, ot, send ── to-it ══ cable ══ from-ot ── receive, it, IT broker  :enterprise's box
//! ```
//!
//! The networks have no names in the file system: they are there as long as a process is in them or this
//! one holds them, so nothing is left of them, however the demo ends.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::DemoError;

/// Ends of the cable, and their addresses.
pub(super) const NEAR: &str = "to-it";
pub(super) const FAR: &str = "from-ot";
const NEAR_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);
pub(super) const FAR_ADDRESS: SocketAddrV4 =
    SocketAddrV4::new(Ipv4Addr::new(192, 168, 77, 2), 7_400);
/// Nobody asks for it: who sends knows it.
const FAR_MAC: &str = "02:73:64:00:00:02";

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Plant,
    Enterprise,
}

/// Both, and the cable.
#[derive(Debug)]
pub(super) struct TwoBoxes {
    plant: OwnedFd,
    enterprise: OwnedFd,
    pub(super) is_cut: bool,
}

impl TwoBoxes {
    /// Makes both, with the cable plugged in.
    ///
    /// # Errors
    /// What is missing here: rights, or `ip`.
    pub(super) fn new() -> Result<TwoBoxes, DemoError> {
        if !rustix::process::geteuid().is_root() {
            return Err(missing("root makes networks, and here somebody else runs the demo"));
        }
        let network = || own_network().map_err(|error| missing(&format!("no network: {error}")));
        let boxes = TwoBoxes { plant: network()?, enterprise: network()?, is_cut: false };
        boxes.lay()?;
        Ok(boxes)
    }

    /// The cable, and the one address that is known on either side of it.
    fn lay(&self) -> Result<(), DemoError> {
        let enterprise = format!("/proc/{}/fd/{}", std::process::id(), self.enterprise.as_raw_fd());
        let cable = format!(
            "link add {NEAR} type veth peer name {FAR} address {FAR_MAC} netns {enterprise}"
        );
        for place in [Place::Plant, Place::Enterprise] {
            self.silence(place)?;
            self.ip(place, "link set lo up")?;
        }
        self.ip(Place::Plant, &cable)?;
        self.ip(Place::Plant, &format!("addr add {NEAR_ADDRESS}/30 dev {NEAR}"))?;
        // Without a network that it belongs to: nothing has a route back.
        self.ip(Place::Enterprise, &format!("addr add {}/32 dev {FAR}", FAR_ADDRESS.ip()))?;
        for (place, end) in [(Place::Plant, NEAR), (Place::Enterprise, FAR)] {
            self.ip(place, &format!("link set {end} up arp off multicast off"))?;
        }
        let neighbour =
            format!("neigh replace {} lladdr {FAR_MAC} dev {NEAR} nud permanent", FAR_ADDRESS.ip());
        self.ip(Place::Plant, &neighbour)
    }

    /// Nothing speaks by itself, and what comes from where no route leads is taken all the same.
    fn silence(&self, place: Place) -> Result<(), DemoError> {
        let settings = [
            ("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"),
            ("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"),
            ("/proc/sys/net/ipv4/conf/all/rp_filter", "0"),
            ("/proc/sys/net/ipv4/conf/default/rp_filter", "0"),
        ];
        self.within(place, || {
            for (setting, value) in settings {
                match fs::write(setting, value) {
                    // A kernel without IPv6.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => {
                        return Err(missing(&format!("cannot write `{setting}`: {error}")));
                    }
                    Ok(()) => {}
                }
            }
            Ok(())
        })?
    }

    /// Does something in one of the boxes: what it opens and starts, sockets, threads and processes, stays
    /// there.
    ///
    /// # Errors
    /// The operating system refuses the thread, or its way there.
    pub(super) fn within<T: Send>(
        &self,
        place: Place,
        act: impl FnOnce() -> T + Send,
    ) -> Result<T, DemoError> {
        let network = match place {
            Place::Plant => &self.plant,
            Place::Enterprise => &self.enterprise,
        };
        let enter = || move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network));
        // A thread of its own, which ends: this one stays where it is.
        let done = thread::scope(|scope| {
            let thread = thread::Builder::new().spawn_scoped(scope, || {
                enter()?;
                Ok(act())
            })?;
            thread.join().map_err(|_| io::Error::other("the thread panicked"))?
        });
        done.map_err(|source: io::Error| DemoError::Thread { what: "a box", source })
    }

    /// Pulls the cable out, or plugs it in: at the enterprise's end, of which the plant's learns nothing but
    /// that its light goes nowhere.
    ///
    /// # Errors
    /// `ip` fails.
    pub(super) fn cut(&mut self, is_cut: bool) -> Result<(), DemoError> {
        let state = if is_cut { "down" } else { "up" };
        self.ip(Place::Enterprise, &format!("link set {FAR} {state}"))?;
        self.is_cut = is_cut;
        Ok(())
    }

    /// Runs `ip` in one of the boxes.
    fn ip(&self, place: Place, line: &str) -> Result<(), DemoError> {
        let run = || {
            let mut ip = Command::new("ip");
            ip.args(line.split_whitespace()).stdin(Stdio::null()).output()
        };
        let output = self.within(place, run)?.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => missing("there is no `ip`; it is part of iproute2"),
            _ => missing(&format!("cannot run `ip`: {error}")),
        })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(missing(&format!("`ip {line}` fails: {}", said.trim().replace('\n', "; "))))
    }
}

/// Packets that an end of the cable has sent and has received, as the kernel counts them for the box that a
/// process is in.
pub(super) fn packets(pid: u32, end: &str) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/net/dev")).ok()?;
    let counts =
        text.lines().find_map(|line| line.trim_start().strip_prefix(end)?.strip_prefix(':'))?;
    let counts: Vec<&str> = counts.split_whitespace().collect();
    // Eight columns of what came, bytes and packets first; then those of what went.
    let count = |column: usize| counts.get(column)?.parse::<u64>().ok();
    Some((count(9)?, count(1)?))
}

fn missing(what: &str) -> DemoError {
    DemoError::TwoBoxes(what.to_owned())
}

/// A network without anything in it.
fn own_network() -> io::Result<OwnedFd> {
    let make = || -> io::Result<OwnedFd> {
        #[expect(
            deprecated,
            reason = "deprecated for flags that unshare descriptors; this doesn't"
        )]
        rustix::thread::unshare(UnshareFlags::NEWNET)?;
        Ok(File::open("/proc/thread-self/ns/net")?.into())
    };
    let thread = thread::Builder::new().spawn(make)?;
    thread.join().map_err(|_| io::Error::other("the thread panicked"))?
}
