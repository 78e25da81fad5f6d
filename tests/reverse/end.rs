//! The two ends as processes of their own: this program again, with other arguments.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sandbox::{Confined, Demoted, Grants, Need, Role, Start};

use two_networks::Network;

use crate::channel::{self, Cable, Channel, Receiver, Sender, sleep_until};
use crate::monotonic;
use crate::place::{self, FAR_WRITER, IT_USER, OT_USER, Place};

/// Time for both ends to start.
const START_WITHIN: Duration = Duration::from_millis(700);
const MARK: &str = "reverse-end";

/// What the ends are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    Idle,
    Users,
    Sealed,
    Link,
    Ends,
}

impl Setup {
    pub(crate) const ALL: [Setup; 5] =
        [Setup::Idle, Setup::Users, Setup::Sealed, Setup::Link, Setup::Ends];

    fn name(self) -> &'static str {
        match self {
            Setup::Idle => "idle",
            Setup::Users => "users",
            Setup::Sealed => "sealed",
            Setup::Link => "link",
            Setup::Ends => "ends",
        }
    }

    fn is_sealed(self) -> bool {
        matches!(self, Setup::Sealed | Setup::Link | Setup::Ends)
    }
}

/// What a run ended with.
pub(crate) enum Ending {
    Samples(Vec<f64>),
    /// Something refused what an end tried.
    Refused(String),
}

/// What an end is told.
pub(crate) struct Arguments {
    sends: bool,
    channel: Channel,
    setup: Setup,
    dir: String,
    start: Duration,
    bits: Vec<bool>,
}

impl Arguments {
    pub(crate) fn parse(arguments: &[String]) -> Option<Arguments> {
        let [mark, side, channel, setup, dir, start, bits] = arguments else { return None };
        (mark == MARK).then(|| Arguments {
            sends: side == "sender",
            channel: *Channel::ALL.iter().find(|known| known.name() == channel).unwrap(),
            setup: Setup::ALL.into_iter().find(|known| known.name() == setup).unwrap(),
            dir: dir.clone(),
            start: Duration::from_nanos(start.parse().unwrap()),
            bits: bits.bytes().map(|bit| bit == b'1').collect(),
        })
    }
}

/// Runs both ends of a channel and gives the receiver's samples.
pub(crate) fn run_pair(channel: Channel, setup: Setup, place: &Place, bits: &[bool]) -> Ending {
    if channel == Channel::Cable && setup != Setup::Ends {
        return Ending::Refused("there is no cable".to_owned());
    }
    let network = (setup == Setup::Ends).then(|| Network::lay(1, false));
    let start = monotonic() + START_WITHIN;
    let spawn = |side: &str| spawn(side, channel, (setup, network.as_ref()), place, start, bits);
    let (mut sender, mut receiver) = (spawn("sender"), spawn("receiver"));
    let samples = end_of(&mut receiver);
    let sent = end_of(&mut sender);
    match (samples, sent) {
        (Ok(text), Ok(_)) => {
            let samples: Vec<f64> = text.lines().map(|line| line.parse().unwrap()).collect();
            assert_eq!(samples.len(), bits.len(), "{channel:?} {setup:?}: {text}");
            Ending::Samples(samples)
        }
        (Err(why), _) => Ending::Refused(format!("OT: {why}")),
        (_, Err(why)) => Ending::Refused(format!("IT: {why}")),
    }
}

fn spawn(
    side: &str,
    channel: Channel,
    (setup, network): (Setup, Option<&Network>),
    place: &Place,
    start: Duration,
    bits: &[bool],
) -> Child {
    let user = match (side, setup) {
        ("sender", Setup::Ends) => FAR_WRITER,
        // It reads the journal, as the IT half does elsewhere.
        (_, Setup::Ends) | ("sender", _) => IT_USER,
        _ => OT_USER,
    };
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(&program);
    if setup == Setup::Sealed && side == "sender" {
        // As its unit does: IT sees the journal through a read-only mount.
        command = Command::new("unshare");
        let ids = [format!("--reuid={user}"), format!("--regid={user}")];
        command.args(["--mount", "--propagation", "private", "sh", "-euc"]);
        command.arg("mount --bind \"$0\" \"$0\"; mount -o remount,bind,ro \"$0\"; exec \"$@\"");
        command.arg(place.journal()).arg("setpriv").args(ids).arg("--clear-groups").arg(&program);
    } else if let Some(network) = network {
        let of = if side == "sender" { Network::at_office } else { Network::at_plant };
        command = of(network, Path::new("setpriv"));
        command.args([format!("--reuid={user}"), format!("--regid={user}")]);
        command.arg("--clear-groups").arg(&program);
    } else {
        command.uid(user).gid(user);
    }
    // A cable carries more than the processor does only where each end has its own.
    if matches!(channel, Channel::ProcessorsApart | Channel::DiskApart | Channel::Cable) {
        let inner = std::mem::replace(&mut command, Command::new("taskset"));
        let cpu = if side == "sender" { "1" } else { "0" };
        command.args(["--cpu-list", cpu]).arg(inner.get_program()).args(inner.get_args());
        if network.is_none() && (setup != Setup::Sealed || side != "sender") {
            command.uid(user).gid(user);
        }
    }
    let bits: String = bits.iter().map(|bit| if *bit { '1' } else { '0' }).collect();
    command.args([MARK, side, channel.name(), setup.name()]);
    let dir = if matches!(setup, Setup::Link | Setup::Ends) && side == "sender" {
        place.far_path()
    } else {
        place.path()
    };
    command.arg(dir).arg(start.as_nanos().to_string()).arg(bits);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// What a child printed, or why it failed.
fn end_of(child: &mut Child) -> Result<String, String> {
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    let mut complaint = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    let status = child.wait().unwrap();
    match status.signal() {
        Some(31) => Err("seccomp".to_owned()),
        Some(signal) => Err(format!("signal {signal}: {}", reason(&complaint))),
        None if status.success() => Ok(printed),
        None => Err(reason(&complaint)),
    }
}

/// The error in a panic's message.
fn reason(complaint: &str) -> String {
    let words = ["PermissionDenied", "EACCES", "EPERM", "NotFound", "EROFS"];
    match words.iter().find(|word| complaint.contains(**word)) {
        Some(word) => (*word).to_owned(),
        None => complaint.lines().take(2).collect::<Vec<_>>().join(" "),
    }
}

/// The life of an end.
pub(crate) fn run(arguments: &Arguments) {
    let Arguments { sends, channel, setup, dir, start, bits } = arguments;
    let paths = place::Place::at(dir);
    let slot = channel.slot();
    // Where the kernel's clock page lies is asked once, which a sealed process may not.
    let _ = monotonic();
    let role = match (sends, setup) {
        (true, Setup::Ends) => Role::Receive,
        (false, Setup::Ends) => Role::Send,
        (true, _) => Role::It,
        (false, _) => Role::Ot,
    };
    let demoted =
        setup.is_sealed().then(|| Start::new(role).unwrap().become_user(None, &[]).unwrap());
    let cable = (*channel == Channel::Cable).then(|| Cable::end(role));
    if *sends {
        let mut sender = Sender::open(*channel, &paths, role == Role::Receive, cable);
        let _confined = demoted.map(|demoted| seal(demoted, role, &paths));
        for (at, bit) in bits.iter().enumerate() {
            let begin = *start + slot * at as u32;
            sleep_until(begin);
            if *setup != Setup::Idle {
                sender.signal(*bit, begin + slot);
            }
        }
    } else {
        let mut receiver = Receiver::open(*channel, &paths, role == Role::Send, cable);
        let _confined = demoted.map(|demoted| seal(demoted, role, &paths));
        let mut samples = Vec::with_capacity(bits.len());
        for at in 0..bits.len() {
            let begin = *start + slot * at as u32;
            sleep_until(begin);
            receiver.begin();
            samples.push(receiver.measure(begin + slot));
        }
        channel::tell(&samples);
    }
}

/// Exactly what the half may, with a state directory and the journal.
fn seal(demoted: Demoted, role: Role, paths: &place::Paths) -> Confined {
    let (read, write) = match role {
        Role::It | Role::Send => (vec![paths.journal()], vec![paths.state("it")]),
        Role::Ot | Role::Receive => (Vec::new(), vec![paths.journal(), paths.state("ot")]),
    };
    let (sockets, needs) = (vec![paths.log()], vec![Need::UnixDatagrams]);
    let grants = Grants { read, write, sockets, needs, descriptors: 1_024, ..Grants::default() };
    demoted.seal(&grants).unwrap()
}
