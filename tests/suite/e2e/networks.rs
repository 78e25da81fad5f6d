//! Two networks that share nothing but the relay, with somebody on IT who tries to get through:
//! what is on the plant's cable, frame by frame.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use sparkplug::Value;

use crate::broker::skipped;
use crate::client::Client;
use crate::metrics::{command, int, rebirth_command, untyped};
use crate::networks::{Capture, Network};
use crate::packet::{self, Packet};
use crate::peers::observer::Observer;
use crate::peers::raw_edge::RawEdge;
use crate::relay::{Half, Link, Relay, Settings};
use crate::rig::EVERYTHING;
use crate::waiting::wait_until;

const PLANT: Ipv4Addr = Ipv4Addr::new(10, 81, 0, 1);
const OT: Ipv4Addr = Ipv4Addr::new(10, 81, 0, 2);
const OFFICE: Ipv4Addr = Ipv4Addr::new(10, 82, 0, 1);
const IT: Ipv4Addr = Ipv4Addr::new(10, 82, 0, 2);
const PORT: u16 = 1883;
/// In everything that is sent from IT.
const MARK: &[u8] = b"sent-from-it";
/// Attempts of each kind while the relay works.
const ATTEMPTS: usize = 8;

#[test]
fn nothing_from_it_is_on_the_plants_cable() {
    let names = ["plant", "ot", "it", "office"];
    let made: Option<Vec<Network>> = names.iter().map(|name| Network::make(name)).collect();
    let Some(networks) = made else {
        return skipped("network namespaces need root and iproute2");
    };
    if !std::path::Path::new("/usr/bin/tcpdump").exists() {
        return skipped("tcpdump is not installed");
    }
    let [plant, ot, it, office] = &networks[..] else { unreachable!() };
    Network::join((plant, "cable0", PLANT), (ot, "cable1", OT));
    Network::join((office, "cable2", OFFICE), (it, "cable3", IT));
    let dir = tempfile::tempdir().unwrap();
    let (Some(_plant_broker), Some(_office_broker)) =
        (Mosquitto::start(plant, PLANT, dir.path()), Mosquitto::start(office, OFFICE, dir.path()))
    else {
        return skipped("mosquitto is not installed");
    };
    let mut relay = Relay::new(&Settings {
        ot: Link::Plain(SocketAddr::from((PLANT, PORT))),
        it: Link::Plain(SocketAddr::from((OFFICE, PORT))),
        policy: EVERYTHING.to_owned(),
        ot_broker: String::new(),
        it_broker: String::new(),
        ot_extra: String::new(),
        mirror: String::new(),
        journal: String::new(),
        journal_source: String::new(),
    });
    let capture = Capture::start(plant, "cable0", dir.path());
    relay.start_in(Half::Ot, ot);
    relay.wait_for_log(Half::Ot, &["BROKER_UP"]);
    relay.start_in(Half::It, it);
    relay.wait_for_log(Half::It, &["STARTED"]);
    let mut edge = plant.inside(|| RawEdge::connect((PLANT, PORT).into(), "Plant", "E"));
    let observer = office.inside(|| Observer::start((OFFICE, PORT).into()));
    edge.qos = 1;
    edge.nbirth(&[int("count", 0)]).unwrap();
    edge.dbirth("D", &[int("setpoint", 1)]).unwrap();
    wait_until("the birth is on IT", || observer.count("spBv1.0/Plant/DBIRTH/E/D") == 1);

    let intruders = Intruders::start(it, office);
    let mut value = 0;
    // Some values at least, however fast the attacks are over: the cable is to see traffic.
    while value < 40 || !intruders.are_done() {
        value += 1;
        edge.ndata(&[untyped(int("count", value))]).unwrap();
        wait_until("data is on IT all the while", || {
            observer.current("Plant/E", "count") == Some(value.into())
        });
    }
    intruders.join();
    relay.wait_for_log(Half::It, &["COMMAND_REFUSED"]);
    // The IT half goes, and comes back: nothing of it is seen either.
    relay.kill(Half::It);
    edge.ndata(&[untyped(int("count", value + 1))]).unwrap();
    relay.start_in(Half::It, it);
    wait_until("the new value is on IT", || {
        observer.current("Plant/E", "count") == Some((value + 1).into())
    });
    assert!(relay.terminate(Half::Ot).success());
    let frames = capture.stop();
    judge(&frames, [plant.hardware("cable0"), ot.hardware("cable1")]);
}

/// Every frame is of one of the two ends, none carries anything from IT, and what the relay says
/// to the broker is MQTT of the kinds that it may send.
fn judge(frames: &[Vec<u8>], ends: [[u8; 6]; 2]) {
    assert!(frames.len() > 50, "{} frames were captured", frames.len());
    let mut said: BTreeMap<u16, BTreeMap<u32, Vec<u8>>> = BTreeMap::new();
    let mut to_relay = 0;
    for frame in frames {
        assert!(ends.iter().any(|end| frame[6..12] == *end), "another sender: {frame:02x?}");
        assert!(!contains(frame, MARK), "something from IT: {frame:02x?}");
        match u16::from_be_bytes([frame[12], frame[13]]) {
            0x0806 => continue,
            0x0800 => {}
            kind => panic!("frame of kind {kind:04x}: {frame:02x?}"),
        }
        let packet = &frame[14..];
        let address =
            |at: usize| Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3]);
        let (from, to) = (address(12), address(16));
        let pair = [from, to];
        assert!(pair == [OT, PLANT] || pair == [PLANT, OT], "{from} to {to}");
        assert_eq!(packet[9], 6, "neither TCP nor ARP: {frame:02x?}");
        let length = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
        let tcp = &packet[usize::from(packet[0] & 15) * 4..length];
        let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
        let data = &tcp[usize::from(tcp[12] >> 4) * 4..];
        if from == PLANT {
            assert_eq!(port(0), PORT, "the plant opened a connection to the relay");
            to_relay += 1;
            continue;
        }
        assert_eq!(port(2), PORT, "the relay spoke to something else than the broker");
        if !data.is_empty() {
            let sequence = u32::from_be_bytes(tcp[4..8].try_into().unwrap());
            said.entry(port(0)).or_default().insert(sequence, data.to_vec());
        }
    }
    assert!(to_relay > 20, "nothing came from the plant");
    let mut kinds: BTreeMap<&'static str, usize> = BTreeMap::new();
    for pieces in said.values() {
        let stream: Vec<u8> = pieces.values().flatten().copied().collect();
        let mut rest = &stream[..];
        while let Some((packet, used)) = packet::decode(rest).unwrap() {
            match &packet {
                Packet::Connect(connect) => assert!(connect.will.is_none(), "a will"),
                Packet::Subscribe { .. }
                | Packet::PubAck(_)
                | Packet::PingReq
                | Packet::Disconnect => {}
                other => panic!("the relay sent a {}", other.name()),
            }
            *kinds.entry(packet.name()).or_default() += 1;
            rest = &rest[used..];
        }
        assert!(rest.is_empty(), "not MQTT: {rest:02x?}");
    }
    for kind in ["CONNECT", "SUBSCRIBE", "PUBACK", "DISCONNECT"] {
        assert!(kinds.contains_key(kind), "the capture misses what the relay says: {kinds:?}");
    }
}

/// Root in the relay's IT network, where it has every privilege over the cable, and hosts of IT.
struct Intruders {
    left: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Intruders {
    fn start(it: &Network, office: &Network) -> Intruders {
        // The way into the plant, if somebody were to forward.
        office.ip(&["route", "add", "10.81.0.0/24", "via", &IT.to_string()]);
        it.ip(&["route", "add", "10.81.0.0/24", "via", &OFFICE.to_string()]);
        let (left, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let mut threads = Vec::new();
        let mut spawn = |network: &Network, work: fn()| {
            let (left, stop) = (Arc::clone(&left), Arc::clone(&stop));
            left.fetch_add(ATTEMPTS, Ordering::SeqCst);
            threads.push(network.spawn(move || {
                for _ in 0..ATTEMPTS {
                    if !stop.load(Ordering::SeqCst) {
                        work();
                    }
                    left.fetch_sub(1, Ordering::SeqCst);
                }
            }));
        };
        for network in [it, office] {
            spawn(network, || {
                let _ =
                    TcpStream::connect_timeout(&(PLANT, PORT).into(), Duration::from_millis(20));
                let _ = TcpStream::connect_timeout(&(OT, PORT).into(), Duration::from_millis(20));
            });
            spawn(network, datagrams);
            spawn(network, raw_frames);
        }
        spawn(office, commands);
        Intruders { left, stop, threads }
    }

    fn are_done(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    fn join(self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

fn datagrams() {
    let Ok(socket) = UdpSocket::bind("0.0.0.0:0") else { return };
    let _ = socket.set_broadcast(true);
    for to in
        [PLANT, OT, Ipv4Addr::new(10, 81, 0, 255), Ipv4Addr::BROADCAST, Ipv4Addr::new(224, 0, 0, 1)]
    {
        let _ = socket.send_to(MARK, (to, PORT));
    }
}

/// Ethernet frames to everybody on every cable, as root sends them.
fn raw_frames() {
    let script = "import socket\n\
                  for index, name in socket.if_nameindex():\n\
                  \x20   if name != 'lo':\n\
                  \x20       raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n\
                  \x20       raw.bind((name, 0))\n\
                  \x20       raw.send(b'\\xff' * 6 + b'\\2\\0\\0\\0\\0\\x66\\x08\\0sent-from-it' + bytes(40))\n";
    let sent = Command::new("python3").args(["-c", script]).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
}

/// Writes to the plant, requests, and rubbish, over the enterprise broker.
fn commands() {
    let mut client = Client::plain((OFFICE, PORT).into(), "intruder");
    let mark = String::from_utf8(MARK.to_vec()).unwrap();
    for (topic, payload) in [
        ("spBv1.0/Plant/DCMD/E/D", command("setpoint", Value::String(mark.clone()))),
        ("spBv1.0/Plant/NCMD/E", command(&mark, Value::Int(9_000))),
        ("spBv1.0/Plant/NCMD/E", rebirth_command()),
        ("spBv1.0/Plant/NCMD/E", MARK.to_vec()),
        ("spBv1.0/STATE/sent-from-it", MARK.to_vec()),
        ("anything/else", MARK.to_vec()),
    ] {
        client.publish(topic, payload, 1, false).unwrap();
    }
}

struct Mosquitto(Child);

impl Mosquitto {
    fn start(network: &Network, address: Ipv4Addr, dir: &std::path::Path) -> Option<Mosquitto> {
        if !std::path::Path::new("/usr/sbin/mosquitto").exists() {
            return None;
        }
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
        let config = dir.join(format!("{address}.conf"));
        let text = format!("listener {PORT} {address}\nallow_anonymous true\nuser root\n");
        fs::write(&config, text).unwrap();
        let mut mosquitto = network.command("/usr/sbin/mosquitto");
        let child = mosquitto.arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let child = Mosquitto(child.spawn().unwrap());
        wait_until("mosquitto listens", || {
            network.inside(move || TcpStream::connect((address, PORT)).is_ok())
        });
        Some(child)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
