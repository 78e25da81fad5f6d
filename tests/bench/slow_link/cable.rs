//! The cable between the IT half and its broker: three networks, of which the one in the middle is
//! late and forgetful. It is removed at the end.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::Process;
use crate::sink::Sink;

/// Addresses of the ends, in a network of the benchmark's own.
const NEAR: Ipv4Addr = Ipv4Addr::new(10, 99, 251, 1);
pub(crate) const FAR: Ipv4Addr = Ipv4Addr::new(10, 99, 251, 2);
/// One way.
const DELAY_MS: &str = "300";
const LOSS_PERCENT: &str = "1";
const SEED: &str = "7";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/slow_link/link.py");

pub(crate) struct Cable {
    near: String,
    middle: String,
    far: String,
    _forwarding: Process,
}

impl Cable {
    /// A cable that takes so many bytes a second on its way to the far end.
    pub(crate) fn lay(bytes_per_s: u32, dir: &Path) -> Cable {
        let own = std::process::id();
        let (near, middle, far) = (format!("sd{own}n"), format!("sd{own}m"), format!("sd{own}f"));
        let ip = |line: &str| run("ip", line);
        for network in [&middle, &far] {
            ip(&format!("netns add {network}"));
        }
        ip(&format!("link add {near} type veth peer name m0 netns {middle}"));
        ip(&format!("-n {far} link add f0 type veth peer name m1 netns {middle}"));
        ip(&format!("addr add {NEAR}/24 dev {near}"));
        ip(&format!("-n {far} addr add {FAR}/24 dev f0"));
        ip(&format!("link set {near} up"));
        for line in ["f0 up", "lo up"] {
            ip(&format!("-n {far} link set {line}"));
        }
        for end in ["m0", "m1"] {
            ip(&format!("-n {middle} link set {end} up promisc on"));
        }
        run("python3", &format!("{SCRIPT} plain {near}"));
        run("ip", &format!("netns exec {middle} python3 {SCRIPT} plain m0 m1"));
        run("ip", &format!("netns exec {far} python3 {SCRIPT} plain f0"));
        let rate = u64::from(bytes_per_s) * 8;
        run("tc", &format!("qdisc add dev {near} root tbf rate {rate}bit burst 3000 latency 4s"));
        let mut forward = Command::new("ip");
        forward.args(["netns", "exec", &middle, "python3", SCRIPT, "forward", "m0", "m1"]);
        forward.args([DELAY_MS, LOSS_PERCENT, SEED]);
        let forwarding = Process::start("link", &mut forward, &dir.join("link.log"));
        Cable { near, middle, far, _forwarding: forwarding }
    }

    /// A program at the far end.
    pub(crate) fn at_far_end(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.far, program]);
        command
    }

    /// A sink at the far end, once something listens there.
    pub(crate) fn sink(&self, address: SocketAddr) -> Sink {
        let network = fs::File::open(Path::new("/run/netns").join(&self.far)).unwrap();
        let start = move || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            while std::net::TcpStream::connect(address).is_err() {
                thread::sleep(std::time::Duration::from_millis(20));
            }
            Sink::start(address, 0)
        };
        thread::spawn(start).join().unwrap()
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let Cable { near, middle, far, .. } = self;
        for line in
            [format!("link del {near}"), format!("netns del {middle}"), format!("netns del {far}")]
        {
            let arguments = line.split_whitespace();
            let _ = Command::new("ip").args(arguments).stderr(Stdio::null()).status();
        }
    }
}

fn run(program: &str, line: &str) {
    let done = Command::new(program).args(line.split_whitespace()).output();
    let done = done.unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {line} (as root?): {said}");
}
