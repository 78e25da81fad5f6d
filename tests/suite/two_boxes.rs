//! A link between two boxes in the middle of the relay: both of its ends as real processes, and the
//! cables between them, which the test is: it cuts them, says things of its own, and repeats what
//! it has heard.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use telemetry::Event;

use crate::relay::{BINARY, Half, Relay, is_root, write_secret};
use crate::waiting::wait_until;

/// One end of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Send,
    Receive,
}

impl End {
    pub(crate) fn name(self) -> &'static str {
        match self {
            End::Send => "send",
            End::Receive => "receive",
        }
    }

    fn user(self) -> u32 {
        match self {
            End::Send => 64_003,
            End::Receive => 64_004,
        }
    }
}

/// Datagrams that are remembered.
const REMEMBERED: usize = 4_000;

/// What goes from one socket to the other. Its end ends it.
pub(crate) struct Cable {
    /// Where the sending end sends to.
    pub(crate) begin: SocketAddr,
    /// Where the receiving end listens.
    pub(crate) end: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    is_cut: AtomicBool,
    is_over: AtomicBool,
    heard: Mutex<Vec<Vec<u8>>>,
}

impl Cable {
    pub(crate) fn new() -> Cable {
        let loopback = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (begin, end, out) = (loopback(), loopback().local_addr().unwrap(), loopback());
        begin.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let shared = Arc::new(Shared::default());
        let (own, address) = (Arc::clone(&shared), begin.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while !own.is_over.load(Ordering::Relaxed) {
                let Ok(length) = begin.recv(&mut buffer) else { continue };
                if own.is_cut.load(Ordering::Relaxed) {
                    continue;
                }
                let mut heard = own.heard.lock().unwrap();
                if heard.len() < REMEMBERED {
                    heard.push(buffer[..length].to_vec());
                }
                // Nobody may be there.
                let _ = out.send_to(&buffer[..length], end);
            }
        });
        Cable { begin: address, end, shared, thread: Some(thread) }
    }

    pub(crate) fn cut(&self, is_cut: bool) {
        self.shared.is_cut.store(is_cut, Ordering::Relaxed);
    }

    /// What went over it first.
    pub(crate) fn heard(&self) -> Vec<Vec<u8>> {
        self.shared.heard.lock().unwrap().clone()
    }

    /// Says something to the receiving end.
    pub(crate) fn say(&self, datagram: &[u8]) {
        let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        stranger.send_to(datagram, self.end).unwrap();
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Both ends.
pub(crate) struct TwoBoxes {
    pub(crate) cables: Vec<Cable>,
    dir: PathBuf,
    children: [Option<Child>; 2],
    /// Landlock's version that both ends find, as in the relay.
    landlock: Option<i32>,
}

impl TwoBoxes {
    /// Puts a link before the IT half of a relay whose halves don't run yet: the OT half's journal is
    /// read by the sending end, and the receiving end writes the one that the IT half reads.
    pub(crate) fn between(relay: &Relay, paths: usize) -> TwoBoxes {
        let dir = relay.path("journal").parent().unwrap().to_owned();
        let two_boxes = TwoBoxes {
            cables: (0..paths).map(|_| Cable::new()).collect(),
            dir,
            children: [None, None],
            landlock: relay.landlock,
        };
        for name in ["received", "send-state", "receive-state"] {
            fs::create_dir(two_boxes.path(name)).unwrap();
        }
        for end in [End::Send, End::Receive] {
            two_boxes.write_key(end, "link.key", 7);
        }
        two_boxes.hand_over();
        let config = fs::read_to_string(relay.path("it.toml")).unwrap();
        let at = |name| format!("path = \"{}\"", relay.path(name).display());
        let moved = config.replace(&at("journal"), &at("received"));
        assert_ne!(moved, config);
        fs::write(relay.path("it.toml"), moved).unwrap();
        two_boxes.write_send("", "after-s = 1\nwindow-s = 60\nshare-percent = 50");
        two_boxes.write_receive("", "");
        two_boxes
    }

    /// As an installation does: the sending end's group reads what the OT half writes, the IT half's
    /// what the receiving end does.
    fn hand_over(&self) {
        let (send, receive) = (End::Send.user(), End::Receive.user());
        for (name, user, group, mode) in [
            ("journal", Half::Ot.user(), send, 0o2750),
            ("received", receive, Half::It.user(), 0o2750),
            ("send-state", send, send, 0o700),
            ("receive-state", receive, receive, 0o700),
        ] {
            if is_root() {
                chown(self.path(name), Some(user), Some(group)).unwrap();
            }
            fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
        }
    }

    /// The link key of this number.
    pub(crate) fn write_key(&self, end: End, name: &str, byte: u8) {
        let path = self.path(&format!("{}-{name}", end.name()));
        let bytes = (0..32_u8).map(|place| place.wrapping_mul(byte).wrapping_add(byte));
        let text: String = bytes.map(|byte| format!("{byte:02x}")).collect();
        write_secret(&path, &text);
        if is_root() {
            chown(&path, Some(end.user()), Some(end.user())).unwrap();
        }
    }

    /// Writes `send.toml`, with more of `[link]` and all of `[second-pass]`; more paths may follow.
    pub(crate) fn write_send(&self, link: &str, rest: &str) {
        let dir = self.dir.display();
        let mut config = format!(
            "[link]\nname = \"plant-a\"\nkey-file = \"{dir}/send-link.key\"\nheartbeat-ms = 50\n{link}\n\
             [journal]\npath = \"{dir}/journal\"\n[state]\npath = \"{dir}/send-state\"\n\
             [repair]\nclose-after-ms = 20\nspread-ms = 20\n[pacing]\nbytes-per-s = 20_000_000\n\
             [status]\nevery-s = 1\nsummary-every-s = 86400\n{}[second-pass]\n{rest}\n",
            confinement(End::Send)
        );
        for (place, cable) in self.cables.iter().enumerate() {
            config += &format!("[[path]]\nname = \"p{place}\"\nto = \"{}\"\n", cable.begin);
        }
        fs::write(self.path("send.toml"), config).unwrap();
    }

    /// Writes `receive.toml`, with more of `[link]` and of `[repair]`.
    pub(crate) fn write_receive(&self, link: &str, repair: &str) {
        let dir = self.dir.display();
        let reorder = if repair.contains("reorder-ms") { "" } else { "reorder-ms = 100" };
        let mut config = format!(
            "[link]\nname = \"plant-a\"\nkey-file = \"{dir}/receive-link.key\"\n{link}\n\
             [journal]\npath = \"{dir}/received\"\n[state]\npath = \"{dir}/receive-state\"\n\
             [repair]\n{reorder}\n{repair}\n[status]\nevery-s = 1\nsummary-every-s = 86400\n{}\n",
            confinement(End::Receive)
        );
        for (place, cable) in self.cables.iter().enumerate() {
            config += &format!("[[path]]\nname = \"p{place}\"\nlisten = \"{}\"\n", cable.end);
        }
        fs::write(self.path("receive.toml"), config).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn start(&mut self, end: End) {
        assert!(self.child(end).is_none(), "{end:?} runs already");
        let name = end.name();
        let log = self.path(&format!("{name}.log"));
        let log = fs::File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(BINARY);
        if let Some(version) = self.landlock {
            sandbox::on_kernel_with_landlock(&mut command, version);
        }
        let child = command
            .args([name, "--config"])
            .arg(self.path(&format!("{name}.toml")))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        *self.child(end) = Some(child);
    }

    pub(crate) fn start_both(&mut self) {
        self.start(End::Receive);
        self.start(End::Send);
    }

    pub(crate) fn signal(&mut self, end: End, signal: Signal) {
        let pid = self.child(end).as_ref().unwrap().id();
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, end: End) {
        self.signal(end, Signal::KILL);
        let status = self.child(end).take().unwrap().wait().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGKILL), "{end:?}: {}", self.log(end));
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn terminate(&mut self, end: End) -> ExitStatus {
        self.signal(end, Signal::TERM);
        self.wait(end)
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self, end: End) -> ExitStatus {
        let mut status = None;
        let child = self.child(end).as_mut().unwrap();
        wait_until("an end of the link ends", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        *self.child(end) = None;
        status.unwrap()
    }

    pub(crate) fn log(&self, end: End) -> String {
        let path = self.path(&format!("{}.log", end.name()));
        fs::read_to_string(path).unwrap_or_default()
    }

    /// Waits until an end's log has this event, in a line with all of `words`.
    #[track_caller]
    pub(crate) fn wait_for_event(&self, end: End, event: Event, words: &[&str]) -> String {
        let msgid = format!(": {} ", event.msgid());
        let find = || {
            let log = self.log(end);
            let line = log.lines().find(|line| {
                format!("{line} ").contains(&msgid) && words.iter().all(|word| line.contains(word))
            });
            line.map(str::to_owned)
        };
        wait_until(&format!("{end:?} tells {event:?} {words:?}"), || find().is_some());
        find().unwrap()
    }

    /// What the status file has under this pointer of JSON.
    pub(crate) fn status(&self, end: End, pointer: &str) -> Option<Value> {
        let path = self.path(&format!("{}-state/status.json", end.name()));
        let status: Value = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
        status.pointer(pointer).cloned()
    }

    /// Runs a subcommand to its end; its standard output, and how it ended.
    pub(crate) fn run(&self, arguments: &[&str]) -> (String, Option<i32>) {
        let output = Command::new(BINARY).args(arguments).current_dir(&self.dir).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (String::from_utf8(text).unwrap(), output.status.code())
    }

    /// Waits until both journals are the same, and says why not if they don't become it.
    #[track_caller]
    pub(crate) fn wait_until_equal(&self) {
        let mut told = String::new();
        let equal = crate::waiting::holds_within(crate::waiting::DEADLINE, || {
            let (text, code) = self.run(&["journal", "verify", "--against", "journal", "received"]);
            told = text;
            code == Some(0)
        });
        assert!(equal, "{told}");
        let (text, code) = self.run(&["journal", "verify", "received"]);
        assert_eq!(code, Some(0), "{text}");
    }

    fn child(&mut self, end: End) -> &mut Option<Child> {
        let [send, receive] = &mut self.children;
        match end {
            End::Send => send,
            End::Receive => receive,
        }
    }
}

impl Drop for TwoBoxes {
    fn drop(&mut self) {
        for end in [End::Send, End::Receive] {
            if let Some(mut child) = self.child(end).take() {
                let _ = child.kill();
                let status = child.wait();
                if let (Ok(status), false) = (status, std::thread::panicking()) {
                    let calls = "`dmesg | grep type=1326` tells which";
                    assert!(
                        status.signal() != Some(libc::SIGSYS),
                        "{end:?} made a system call that isn't in its profile: {calls}"
                    );
                }
            }
            if std::thread::panicking() {
                println!("--- stderr of {end:?}:\n{}", self.log(end));
            }
        }
    }
}

fn confinement(end: End) -> String {
    if is_root() {
        format!("[sandbox]\nuser = \"{0}\"\ngroup = \"{0}\"\n", end.user())
    } else {
        "[sandbox]\nwaive = [\"user\"]\n".to_owned()
    }
}
