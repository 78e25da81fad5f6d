//! The relay under test: both halves as real processes, with configuration, policies, journal
//! and state in a temporary directory.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use telemetry::Event;

use crate::broker::List;
use crate::networks::Network;
use crate::waiting::wait_until;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_sparkdiode");

/// A role, which is a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    Ot,
    It,
}

/// How a half reaches its broker.
#[derive(Clone, Debug)]
pub(crate) enum Link {
    Plain(SocketAddr),
    /// Several servers.
    Several(Vec<SocketAddr>),
    /// With a client certificate; PEM files.
    Tls {
        address: SocketAddr,
        ca: PathBuf,
        certificate: PathBuf,
        key: PathBuf,
    },
}

/// What the tests vary.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) ot: Link,
    pub(crate) it: Link,
    pub(crate) policy: String,
    /// More lines of `[broker]` of `ot.toml`.
    pub(crate) ot_broker: String,
    /// More lines of `[broker]` of `it.toml`.
    pub(crate) it_broker: String,
    /// More tables of `ot.toml`.
    pub(crate) ot_extra: String,
    /// More lines of `[mirror]` of `it.toml`.
    pub(crate) mirror: String,
    /// More lines of `[journal]` of `ot.toml`.
    pub(crate) journal: String,
    /// More lines of `[journal]` of `it.toml`.
    pub(crate) journal_source: String,
}

pub(crate) struct Relay {
    dir: tempfile::TempDir,
    /// Variables of both halves, beside those of the test.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Access lists that follow from the policy.
    pub(crate) lists: [(Half, Option<List>); 2],
    /// Landlock's version that both halves find; `None`: that of this kernel. With
    /// `SPARKDIODE_TEST_LANDLOCK` it is another one in every test.
    pub(crate) landlock: Option<i32>,
    ot: Option<Child>,
    it: Option<Child>,
}

/// Aliases on IT in every test that says nothing of them: `always`, `as-plant` or `never`.
pub(crate) const ALIASES: &str = "SPARKDIODE_TEST_ALIASES";

fn aliases(mirror: &str) -> String {
    match std::env::var(ALIASES) {
        Ok(value) if !mirror.contains("aliases =") => format!("aliases = \"{value}\"\n"),
        _ => String::new(),
    }
}

impl Relay {
    /// Writes the configuration; nothing runs yet.
    pub(crate) fn new(settings: &Settings) -> Relay {
        let dir = tempfile::tempdir().unwrap();
        let lists = [(Half::Ot, None), (Half::It, None)];
        let landlock = std::env::var("SPARKDIODE_TEST_LANDLOCK").ok();
        let landlock = landlock.map(|version| version.parse().unwrap());
        let relay = Relay { dir, environment: Vec::new(), lists, landlock, ot: None, it: None };
        for name in ["policies", "journal", "ot-state", "it-state"] {
            fs::create_dir(relay.path(name)).unwrap();
        }
        relay.hand_over();
        relay.write_policy(&settings.policy);
        let dir = relay.dir.path().display();
        let mut ot = format!("name = \"relay\"\n{}", broker(&settings.ot, &settings.ot_broker));
        write!(
            ot,
            "[policies]\npaths = [\"{dir}/policies\"]\n\
             [journal]\npath = \"{dir}/journal\"\n{}\n\
             [state]\npath = \"{dir}/ot-state\"\n{}\n{}",
            settings.journal,
            settings.ot_extra,
            sandbox(Half::Ot)
        )
        .unwrap();
        fs::write(relay.path("ot.toml"), ot).unwrap();
        let mut it = broker(&settings.it, &settings.it_broker);
        write!(
            it,
            "[journal]\npath = \"{dir}/journal\"\n{}\n\
             [state]\npath = \"{dir}/it-state\"\n\
             {}[mirror]\n{}{}\n{}",
            settings.journal_source,
            if settings.mirror.contains("[health]") { "" } else { "[health]\nenabled = false\n" },
            aliases(&settings.mirror),
            settings.mirror,
            sandbox(Half::It)
        )
        .unwrap();
        fs::write(relay.path("it.toml"), it).unwrap();
        relay
    }

    /// Gives the directories to the users of the halves, as an installation does: the journal is
    /// the OT half's, and the IT half's group may read it.
    fn hand_over(&self) {
        if !is_root() {
            return;
        }
        let (ot, it) = (Half::Ot.user(), Half::It.user());
        // What is in the temporary directory is for the halves, which aren't its owner.
        for (name, user, group, mode) in [
            ("", 0, 0, 0o711),
            ("journal", ot, it, 0o2750),
            ("ot-state", ot, ot, 0o700),
            ("it-state", it, it, 0o700),
        ] {
            let path = self.path(name);
            chown(&path, Some(user), Some(group)).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
    }

    /// Writes a secret that the running half reads again.
    pub(crate) fn write_secret(&self, half: Half, name: &str, text: &str) {
        let path = self.path(name);
        write_secret(&path, text);
        if is_root() {
            chown(&path, Some(half.user()), Some(half.user())).unwrap();
        }
    }

    /// A path in the relay's directory: `journal`, `ot.toml`, `policies/policy.toml`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Gives the brokers the access lists that follow from the policy; none from a bad one.
    pub(crate) fn ask_for_rights(&self) {
        for (half, list) in &self.lists {
            let Some(list) = list else { continue };
            let config = self.path(if *half == Half::Ot { "ot.toml" } else { "it.toml" });
            let printed = Command::new(BINARY)
                .args(["policy", "acl", "--mosquitto", half.name()])
                .arg(config)
                .arg("--policy")
                .arg(self.path("policies"))
                .output()
                .unwrap();
            if printed.status.success() {
                list.add(&printed.stdout);
            }
        }
    }

    /// Replaces the policy; the OT half reads it at its start and on SIGHUP.
    pub(crate) fn write_policy(&self, text: &str) {
        fs::write(self.path("policies/policy.toml"), text).unwrap();
        self.ask_for_rights();
    }

    pub(crate) fn start(&mut self, half: Half) {
        self.start_by(half, Command::new(BINARY));
    }

    /// The same in a network of its own.
    pub(crate) fn start_in(&mut self, half: Half, network: &Network) {
        self.start_by(half, network.command(BINARY));
    }

    /// The same with fewer files and sockets.
    pub(crate) fn start_with_descriptors(&mut self, half: Half, limit: u32) {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\""), BINARY]);
        self.start_by(half, shell);
    }

    /// Starts a half by a command that executes the relay with the arguments that it gets.
    pub(crate) fn start_by(&mut self, half: Half, mut command: Command) {
        assert!(self.child(half).is_none(), "{half:?} runs already");
        let log = fs::File::options().create(true).append(true).open(self.log_path(half)).unwrap();
        let name = half.name();
        if let Some(version) = self.landlock {
            ::sandbox::on_kernel_with_landlock(&mut command, version);
        }
        let child = command
            .args([name, "--config"])
            .arg(self.path(&format!("{name}.toml")))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        *self.child(half) = Some(child);
    }

    pub(crate) fn signal(&mut self, half: Half, signal: Signal) {
        let pid = self.child(half).as_ref().unwrap().id();
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, half: Half) {
        self.signal(half, Signal::KILL);
        let status = self.child(half).take().unwrap().wait().unwrap();
        not_for_a_call(half, status);
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn terminate(&mut self, half: Half) -> ExitStatus {
        self.signal(half, Signal::TERM);
        self.wait(half)
    }

    /// Waits for the half to end by itself.
    pub(crate) fn wait(&mut self, half: Half) -> ExitStatus {
        let child = self.child(half).as_mut().unwrap();
        let mut status = None;
        wait_until(&format!("{half:?} ends"), || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        *self.child(half) = None;
        not_for_a_call(half, status.unwrap());
        status.unwrap()
    }

    /// The most memory that the running half has had, as the kernel counts it.
    pub(crate) fn peak_memory_kib(&mut self, half: Half) -> u64 {
        let pid = self.child(half).as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Whether the half has ended by itself.
    pub(crate) fn has_ended(&mut self, half: Half) -> bool {
        self.child(half).as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    /// Everything the half said on stderr, over all its starts.
    pub(crate) fn log(&self, half: Half) -> String {
        fs::read_to_string(self.log_path(half)).unwrap_or_default()
    }

    /// Waits until a line of the half's log has all of `words`.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, half: Half, words: &[&str]) {
        wait_until(&format!("{half:?} logs {words:?}"), || {
            let log = self.log(half);
            log.lines().any(|line| words.iter().all(|word| line.contains(word)))
        });
    }

    /// Waits until the half's log has this event, in a line with all of `words`.
    #[track_caller]
    pub(crate) fn wait_for_event(&self, half: Half, event: Event, words: &[&str]) -> String {
        let msgid = format!(": {} ", event.msgid());
        let find = || {
            let log = self.log(half);
            let line = log
                .lines()
                .find(|line| line.contains(&msgid) && words.iter().all(|word| line.contains(word)));
            line.map(str::to_owned)
        };
        wait_until(&format!("{half:?} tells {event:?} {words:?}"), || find().is_some());
        find().unwrap()
    }

    /// How often the half has told this event.
    pub(crate) fn count_events(&self, half: Half, event: Event) -> usize {
        let msgid = format!(": {} ", event.msgid());
        self.log(half).lines().filter(|line| line.contains(&msgid)).count()
    }

    /// Adds syslog targets to a half's configuration; `certs/…` in them is a file in `certs`.
    pub(crate) fn add_syslog(&self, half: Half, targets: &str, certs: &Path) {
        let path = self.path(&format!("{}.toml", half.name()));
        let certs = format!("\"{}/", certs.display());
        let text = fs::read_to_string(&path).unwrap() + "\n" + &targets.replace("\"certs/", &certs);
        fs::write(path, text).unwrap();
    }

    /// Runs a subcommand to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        Command::new(BINARY)
            .args(arguments)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// All bytes of all files of the journal, by file.
    pub(crate) fn journal(&self) -> Vec<(PathBuf, Vec<u8>)> {
        files(&self.path("journal"))
    }

    pub(crate) fn pid(&mut self, half: Half) -> u32 {
        self.child(half).as_ref().unwrap().id()
    }

    fn child(&mut self, half: Half) -> &mut Option<Child> {
        match half {
            Half::Ot => &mut self.ot,
            Half::It => &mut self.it,
        }
    }

    fn log_path(&self, half: Half) -> PathBuf {
        self.path(&format!("{}.log", half.name()))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        for half in [Half::Ot, Half::It] {
            if let Some(mut child) = self.child(half).take() {
                // It may have ended by itself, which the test then has noticed or not cared for.
                let _ = child.kill();
                let status = child.wait();
                if let (Ok(status), false) = (status, std::thread::panicking()) {
                    not_for_a_call(half, status);
                }
            }
            if std::thread::panicking() {
                println!("--- stderr of {half:?}:\n{}", self.log(half));
            }
        }
        if std::thread::panicking() {
            let cat = self.run(&["journal", "cat", "journal"]);
            println!("--- journal:\n{}", String::from_utf8_lossy(&cat.stdout));
        }
    }
}

impl Half {
    /// The subcommand, which also names the files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Half::Ot => "ot",
            Half::It => "it",
        }
    }

    /// The user that the half becomes where the tests run as root; nobody has it.
    pub(crate) fn user(self) -> u32 {
        match self {
            Half::Ot => 64_001,
            Half::It => 64_002,
        }
    }
}

/// Every test runs under the seal: a call that the profile lacks fails it.
#[track_caller]
fn not_for_a_call(half: Half, status: ExitStatus) {
    let calls = "`dmesg | grep type=1326` tells which";
    assert!(
        status.signal() != Some(libc::SIGSYS),
        "{half:?} made a system call that isn't in its profile: {calls}"
    );
}

/// Where the tests run as root both halves are confined as in production. Where they don't,
/// everything but the users is.
pub(crate) fn sandbox(half: Half) -> String {
    if is_root() {
        format!("[sandbox]\nuser = \"{0}\"\ngroup = \"{0}\"\n", half.user())
    } else {
        "[sandbox]\nwaive = [\"user\"]\n".to_owned()
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Writes a file that only its owner may read, as secrets must be.
pub(crate) fn write_secret(path: &Path, text: &str) {
    let mut options = fs::File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

fn broker(link: &Link, extra: &str) -> String {
    match link {
        Link::Plain(address) => {
            format!("[broker]\naddress = \"{address}\"\nplaintext = true\n{extra}\n")
        }
        Link::Several(addresses) => {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            format!("[broker]\naddresses = {addresses:?}\nplaintext = true\n{extra}\n")
        }
        Link::Tls { address, ca, certificate, key } => format!(
            "[broker]\naddress = \"localhost:{}\"\n{extra}\n\
             [broker.tls]\nca-file = \"{}\"\ncertificate-file = \"{}\"\nkey-file = \"{}\"\n",
            address.port(),
            ca.display(),
            certificate.display(),
            key.display()
        ),
    }
}

fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if let Ok(bytes) = fs::read(&path) {
            // A file may be deleted by retention between the two calls.
            all.push((path, bytes));
        }
    }
    all
}
