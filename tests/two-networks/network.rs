//! Two networks and the cables between them; removed at the end.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddrV4;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Where the receiving end listens, on each path.
const PORT: u16 = 7_400;

/// The plant's network and the office's; and one in the middle, if the cable has faults of its own.
#[derive(Debug)]
pub struct Network {
    plant: String,
    office: String,
    middle: Option<String>,
    paths: usize,
}

impl Network {
    /// So many paths, each a cable of its own; `is_broken`: with a network in the middle of each, where a
    /// [`crate::Wire`] goes on.
    pub fn lay(paths: usize, is_broken: bool) -> Network {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let own = format!("sd2b{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let name = |what: &str| format!("{own}{what}");
        let middle = is_broken.then(|| name("m"));
        let network = Network { plant: name("p"), office: name("o"), middle, paths };
        for name in network.names() {
            ip(&format!("netns add {name}"));
            // Before there is any interface: nothing speaks by itself.
            for key in ["all", "default"] {
                network.sysctl(name, &format!("net.ipv6.conf.{key}.disable_ipv6=1"));
            }
        }
        let (plant, office) = (&network.plant, &network.office);
        for name in [plant, office] {
            ip(&format!("-n {name} link set lo up"));
        }
        for path in 0..paths {
            match &network.middle {
                None => pair(plant, ('a', 77, 1), office, ('b', 77, 2), path),
                Some(middle) => {
                    pair(plant, ('a', 77, 1), middle, ('m', 77, 2), path);
                    pair(middle, ('n', 78, 1), office, ('b', 78, 2), path);
                }
            }
            let closed = format!(
                "add table netdev out; add chain netdev out b{path} {{ type filter hook egress device \
                 b{path} priority 0; policy drop; }}; add rule netdev out b{path} counter"
            );
            network.nft(office, &closed);
        }
        network
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        [&self.plant, &self.office].into_iter().chain(&self.middle)
    }

    fn sysctl(&self, network: &str, setting: &str) {
        ip(&format!("netns exec {network} sysctl -qw {setting}"));
    }

    fn nft(&self, network: &str, rules: &str) {
        run(Command::new("ip").args(["netns", "exec", network, "nft", rules]));
    }

    /// Where the sending end sends to, by a path.
    pub fn to(&self, path: usize) -> SocketAddrV4 {
        format!("10.77.{path}.2:{PORT}").parse().unwrap()
    }

    /// Where the receiving end listens.
    pub fn listen(&self, path: usize) -> SocketAddrV4 {
        let net = if self.middle.is_some() { 78 } else { 77 };
        format!("10.{net}.{path}.2:{PORT}").parse().unwrap()
    }

    /// A program in the plant's network.
    pub fn at_plant(&self, program: &Path) -> Command {
        within(&self.plant, program)
    }

    /// A program in the office's network.
    pub fn at_office(&self, program: &Path) -> Command {
        within(&self.office, program)
    }

    /// Does something in the plant's network: sockets, threads and processes of it stay there.
    pub fn in_plant<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        in_network(&self.plant, work)
    }

    /// The same in the office's network.
    pub fn in_office<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        in_network(&self.office, work)
    }

    /// Moves this thread into the network in the middle.
    pub fn enter_middle(&self) {
        enter(self.middle.as_ref().expect("a cable with a middle"));
    }

    /// From now on so many of a thousand datagrams are lost, each by itself: none goes together with
    /// others over a cable that loses some.
    pub fn lose(&self, permille: u32) {
        for path in 0..self.paths {
            ip(&format!("-n {} link set a{path} gso_max_segs 1", self.plant));
        }
        self.nft(
            &self.office,
            &format!(
                "add table inet loss; flush table inet loss; add chain inet loss some {{ type filter hook \
                 prerouting priority -300; }}; add rule inet loss some meta l4proto udp numgen random mod \
                 1000 < {permille} drop"
            ),
        );
    }

    /// Cuts a cable, or mends it.
    pub fn cable(&self, path: usize, is_whole: bool) {
        let state = if is_whole { "up" } else { "down" };
        // The far end: the near one keeps its route and its neighbour, and sees that nobody is there.
        ip(&format!("-n {} link set b{path} {state}", self.office));
    }

    /// Cuts the first cable for so long. Without starting a program in between, which takes as long.
    pub fn burst(&self, length: Duration) {
        let mut ip = Command::new("ip");
        let mut ip = ip
            .args(["-n", &self.office, "-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let orders = ip.stdin.as_mut().unwrap();
        orders.write_all(b"link set b0 down\n").unwrap();
        std::thread::sleep(length);
        orders.write_all(b"link set b0 up\n").unwrap();
        assert!(ip.wait_with_output().unwrap().status.success());
    }

    /// Packets of any kind that came back to the plant's side of the cables.
    pub fn came_back(&self) -> u64 {
        let file = |path| format!("/sys/class/net/a{path}/statistics/rx_packets");
        (0..self.paths)
            .map(|path| {
                let output =
                    within(&self.plant, Path::new("cat")).arg(file(path)).output().unwrap();
                let text = String::from_utf8(output.stdout).unwrap();
                text.trim().parse::<u64>().unwrap()
            })
            .sum()
    }

    /// Packets that the office's side tried to send, and its firewall stopped.
    pub fn stopped(&self) -> u64 {
        let mut list = within(&self.office, Path::new("nft"));
        let output = list.args(["list", "table", "netdev", "out"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let counters = text.split("packets ").skip(1);
        counters.map(|rest| rest.split(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in self.names() {
            let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
        }
    }
}

/// An end of a cable: letter, network and number of its address.
type CableEnd = (char, u8, u8);

/// Nobody asks for an address: who sends knows the other's.
fn pair(near: &str, (a, net, one): CableEnd, far: &str, (b, _, two): CableEnd, path: usize) {
    let mac = |end: u8| format!("02:77:00:{net:02x}:{path:02x}:{end:02x}");
    let (near_mac, far_mac) = (mac(one), mac(two));
    ip(&format!(
        "-n {near} link add {a}{path} address {near_mac} type veth peer name {b}{path} address {far_mac} netns \
         {far}"
    ));
    for (network, end, number) in [(near, a, one), (far, b, two)] {
        ip(&format!("-n {network} addr add 10.{net}.{path}.{number}/24 dev {end}{path}"));
        ip(&format!("-n {network} link set {end}{path} up multicast off"));
        ip(&format!("netns exec {network} sysctl -qw net.ipv4.conf.{end}{path}.arp_ignore=8"));
    }
    ip(&format!(
        "-n {near} neigh replace 10.{net}.{path}.{two} lladdr {far_mac} dev {a}{path} nud permanent"
    ));
}

/// Moves this thread into a network.
fn enter(network: &str) {
    let file = File::open(Path::new("/run/netns").join(network)).unwrap();
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

fn in_network<T: Send>(network: &str, work: impl FnOnce() -> T + Send) -> T {
    let entered = || {
        enter(network);
        work()
    };
    std::thread::scope(|scope| match scope.spawn(entered).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn within(network: &str, program: &Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", network]).arg(program);
    command
}

fn ip(line: &str) {
    run(Command::new("ip").args(line.split_whitespace()));
}

fn run(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
