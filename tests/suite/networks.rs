//! Networks of the tests' own: namespaces joined by cables, and what went over one of them. Made
//! and removed by the test; needs root.

use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::waiting::wait_until;

/// A network namespace; it is removed at the end, with what is in it.
pub(crate) struct Network {
    name: String,
}

impl Network {
    /// `None` where there is no right or no tool to make one.
    pub(crate) fn make(name: &str) -> Option<Network> {
        let network = Network { name: format!("sd{}-{name}", std::process::id()) };
        let made = Command::new("ip").args(["netns", "add", &network.name]).output();
        if !made.is_ok_and(|made| made.status.success()) {
            return None;
        }
        network.ip(&["link", "set", "lo", "up"]);
        // Neither neighbour discovery nor router solicitation: what is on the cable is ours.
        for scope in ["all", "default"] {
            let file = format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6");
            let quiet = network.command("sh").args(["-c", &format!("echo 1 > {file}")]).status();
            assert!(quiet.unwrap().success());
        }
        Some(network)
    }

    /// A cable between two networks: `(name, address)` of each end, in a /24.
    pub(crate) fn join(left: (&Network, &str, Ipv4Addr), right: (&Network, &str, Ipv4Addr)) {
        let made = Command::new("ip")
            .args(["link", "add", left.1, "netns", &left.0.name, "type", "veth"])
            .args(["peer", "name", right.1, "netns", &right.0.name])
            .status();
        assert!(made.unwrap().success());
        for (network, end, address) in [left, right] {
            network.ip(&["addr", "add", &format!("{address}/24"), "dev", end]);
            network.ip(&["link", "set", end, "up"]);
        }
    }

    /// `ip` in this network.
    pub(crate) fn ip(&self, arguments: &[&str]) {
        let done = Command::new("ip").args(["-n", &self.name]).args(arguments).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// A program in this network. The process is the program: `ip` executes it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs `work` on a thread in this network; its sockets stay there.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let namespace = fs::File::open(Path::new("/run/netns").join(&self.name)).unwrap();
        thread::spawn(move || {
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), network).unwrap();
            work()
        })
    }

    /// The same, to its end.
    pub(crate) fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.spawn(work).join().unwrap()
    }

    /// Hardware address of an end of a cable.
    pub(crate) fn hardware(&self, end: &str) -> [u8; 6] {
        let shown = self.command("cat").arg(format!("/sys/class/net/{end}/address")).output();
        let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
        let bytes: Vec<u8> =
            shown.trim().split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        bytes.try_into().unwrap()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// A recording of everything at one end of a cable.
pub(crate) struct Capture {
    tcpdump: Child,
    path: PathBuf,
}

impl Capture {
    pub(crate) fn start(network: &Network, end: &str, dir: &Path) -> Capture {
        let path = dir.join("capture.pcap");
        let log = fs::File::create(dir.join("tcpdump.log")).unwrap();
        let tcpdump = network
            .command("tcpdump")
            .args(["-i", end, "-s", "0", "-U", "--immediate-mode", "-Z", "root", "-w"])
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        wait_until("tcpdump listens", || {
            fs::read_to_string(dir.join("tcpdump.log")).unwrap().contains("listening on")
        });
        Capture { tcpdump, path }
    }

    /// Ends it, and returns every frame.
    pub(crate) fn stop(mut self) -> Vec<Vec<u8>> {
        let pid = Pid::from_raw(i32::try_from(self.tcpdump.id()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        self.tcpdump.wait().unwrap();
        let bytes = fs::read(&self.path).unwrap();
        assert_eq!(bytes[..4], 0xa1b2_c3d4_u32.to_le_bytes(), "not a capture of this machine");
        let mut rest = &bytes[24..];
        let mut frames = Vec::new();
        while rest.len() >= 16 {
            let number =
                |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap()) as usize;
            let (kept, was) = (number(8), number(12));
            assert_eq!(kept, was, "a frame was cut");
            frames.push(rest[16..16 + kept].to_vec());
            rest = &rest[16 + kept..];
        }
        frames
    }
}
