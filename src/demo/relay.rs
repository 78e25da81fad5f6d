//! The relay under demonstration: both halves as processes of their own, started from this very
//! program with configuration files in a directory of this demo alone; with two boxes also both ends of
//! the link between them (`link`).

mod link;

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use clock::Clock;
use journal_format::{Body, Heartbeat};
use journal_read::{From, Item, Reader};
use sandbox::Layer;

use super::DemoError;
use super::reaper::{Reaper, terminate};
use super::two_boxes::{Place, TwoBoxes};

/// Users of the halves, and of both ends of a link, where root runs the demo; numbers that nobody has.
const OT_USER: u32 = 64_001;
const IT_USER: u32 = 64_002;
const SEND_USER: u32 = 64_003;
const RECEIVE_USER: u32 = 64_004;
const POLICY: &str = include_str!("policy.toml");
/// How long a half may take to stop before it is killed. The IT half publishes the death of
/// every node first, for which it gives itself 5 s.
const STOP_WITHIN: Duration = Duration::from_secs(8);
const STOP_POLL: Duration = Duration::from_millis(20);
/// CPU time is counted in hundredths of a second: a share of less than this would jump.
const USAGE_EVERY: Duration = Duration::from_secs(1);
/// Frames read per look at the journal: bounds how long the screen can stand still.
const FRAMES_PER_LOOK: usize = 20_000;
/// Lines of a log that are shown when something went wrong.
const SHOWN_LOG_LINES: usize = 15;

/// Those that run: halves, and ends of a link.
const NAMES: [&str; 4] = ["ot", "it", "send", "receive"];
/// Process identifiers of those that run, for the panic hook; 0 if none.
static RUNNING: [AtomicU32; 4] = [const { AtomicU32::new(0) }; 4];

/// The directory of one demo, with everything that the halves read and write.
#[derive(Debug)]
pub(super) struct Workplace {
    dir: PathBuf,
    /// Layers of the sandbox that this demo can't have.
    waived: Vec<Layer>,
    /// It is looked at by people afterwards.
    keep: bool,
    /// A link between two boxes is in the middle.
    has_link: bool,
    /// Ends the halves if this process is killed. Dropped last, when they have ended.
    reaper: Reaper,
}

/// One half of the relay, or one end of a link.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) name: &'static str,
    child: Child,
    slot: usize,
    log: PathBuf,
    log_read: u64,
    log_rest: String,
    cpu: Cpu,
    ended: Option<ExitStatus>,
}

/// What the operating system says about a process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Share of one core since the last question, in per cent.
    pub(super) cpu_percent: f64,
    /// CPU time since the start, in seconds.
    pub(super) cpu_s: f64,
    /// Resident memory, in bytes.
    pub(super) resident_bytes: u64,
}

#[derive(Debug, Default)]
struct Cpu {
    at: Duration,
    usage: Option<Usage>,
}

/// What can't be had here: users of their own for the halves without root, and what this kernel
/// lacks.
fn waived() -> Vec<Layer> {
    let mut waived = Vec::new();
    let temporary = std::env::temp_dir();
    // A temporary directory of root's own can't be entered by others.
    let enterable = temporary.ancestors().all(|directory| {
        fs::metadata(directory).is_ok_and(|metadata| metadata.mode() & 0o001 != 0)
    });
    if !rustix::process::geteuid().is_root() || !enterable {
        waived.push(Layer::User);
    }
    let found = sandbox::probe().into_iter();
    waived.extend(found.filter(|found| found.result.is_err()).map(|found| found.layer));
    waived
}

impl Workplace {
    /// Why the demo ends: a half ended, or doesn't get ready. What it wrote is kept.
    pub(super) fn error_of(&mut self, half: &Half, what: &str) -> DemoError {
        let mut log = half.last_log_lines();
        log.push(self.keep());
        DemoError::Half { what: what.to_owned(), log: log.join("\n") }
    }

    /// Makes the directory below the system's temporary one, for us alone, and writes policy and
    /// configurations.
    pub(super) fn new(
        ot: SocketAddr,
        it: SocketAddr,
        has_link: bool,
    ) -> Result<Workplace, DemoError> {
        let dir = std::env::temp_dir().join(format!("sparkdiode-demo-{}", std::process::id()));
        let os = |verb, path: &Path| {
            let path = path.to_owned();
            move |source| DemoError::File { verb, path, source }
        };
        // Fails if it exists: nobody prepared it for us.
        let waived = waived();
        let users = !waived.contains(&Layer::User);
        // With users of their own, the halves have to get at what is theirs in it.
        let mode = if users { 0o711 } else { 0o700 };
        DirBuilder::new().mode(mode).create(&dir).map_err(os("create directory", &dir))?;
        let reaper = Reaper::start().map_err(|source| DemoError::Start { name: "demo", source })?;
        reaper.directory(&dir);
        let workplace = Workplace { dir, waived, keep: false, has_link, reaper };
        let (received, stale_after_s, keyframe_every_s) = match has_link {
            // The shortest: whoever cuts the cable wants to see what comes of it, and that it heals.
            true => (link::RECEIVED, 3, 5),
            false => ("journal", 5, 10),
        };
        let ot_toml = format!(
            "name = \"demo\"\n\n\
             [broker]\naddress = \"{ot}\"\nplaintext = true\n\n\
             [policies]\npaths = [\"policy.toml\"]\n\n\
             [journal]\npath = \"journal\"\n\n\
             [state]\npath = \"ot\"\n\n\
             [relay]\nkeyframe-every-s = {keyframe_every_s}\n\n{}",
            workplace.sandbox(OT_USER)
        );
        let it_toml = format!(
            "[broker]\naddress = \"{it}\"\nplaintext = true\n\n\
             [policies]\npaths = [\"policy.toml\"]\n\n\
             [journal]\npath = \"{received}\"\n\n\
             [state]\npath = \"it\"\n\n\
             [health]\nenabled = false\n\n[mirror]\nstale-after-s = {stale_after_s}\n\n{}",
            workplace.sandbox(IT_USER)
        );
        for (name, text) in [("policy.toml", POLICY), ("ot.toml", &ot_toml), ("it.toml", &it_toml)]
        {
            let path = workplace.dir.join(name);
            fs::write(&path, text).map_err(os("write", &path))?;
        }
        // As an administrator would set it up; the halves make what is inside.
        let reader = if has_link { SEND_USER } else { IT_USER };
        workplace.make_directories(&[
            ("journal", OT_USER, reader, 0o2750),
            ("ot", OT_USER, OT_USER, 0o700),
            ("it", IT_USER, IT_USER, 0o700),
        ])?;
        if has_link {
            workplace.add_link()?;
        }
        Ok(workplace)
    }

    /// Directories by name, with user, group and mode.
    fn make_directories(&self, directories: &[(&str, u32, u32, u32)]) -> Result<(), DemoError> {
        for (name, user, group, mode) in directories {
            let path = self.dir.join(name);
            let os = |verb| {
                let path = path.clone();
                move |source| DemoError::File { verb, path, source }
            };
            let mut builder = DirBuilder::new();
            builder.mode(0o700).create(&path).map_err(os("create directory"))?;
            if !self.waived.contains(&Layer::User) {
                chown(&path, Some(*user), Some(*group)).map_err(os("give away"))?;
                fs::set_permissions(&path, Permissions::from_mode(*mode))
                    .map_err(os("set the mode of"))?;
            }
        }
        Ok(())
    }

    /// `[sandbox]` of the half that becomes this user.
    fn sandbox(&self, user: u32) -> String {
        let mut text = "[sandbox]\n".to_owned();
        if !self.waived.contains(&Layer::User) {
            text.push_str(&format!("user = \"{user}\"\ngroup = \"{user}\"\n"));
        }
        let waived: Vec<String> = self.waived.iter().map(|layer| format!("\"{layer}\"")).collect();
        text.push_str(&format!("waive = [{}]\n", waived.join(", ")));
        text
    }

    /// How the halves are confined, for people.
    pub(super) fn confinement(&self) -> String {
        if self.has_link {
            return self.confinement_of_four();
        }
        let waived: Vec<&str> = self.waived.iter().map(|layer| layer.name()).collect();
        match self.waived.as_slice() {
            [] => format!("both halves, as users {OT_USER} and {IT_USER}; nothing waived"),
            [Layer::User] => "both halves, under your own user (as root, each has its own)".into(),
            _ => format!("both halves, without {}: not to be had here", waived.join(", ")),
        }
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.dir.join("journal")
    }

    /// Starts `sparkdiode <name> --config <name>.toml`, in its box if there are two; its log goes to
    /// `<name>.log`.
    pub(super) fn start(
        &self,
        name: &'static str,
        clock: Clock,
        boxes: Option<&TwoBoxes>,
    ) -> Result<Half, DemoError> {
        let log = self.dir.join(format!("{name}.log"));
        let create = || -> io::Result<Child> {
            let log = File::create(&log)?;
            Command::new(std::env::current_exe()?)
                .args([name, "--config", &format!("{name}.toml"), "--log", "info,rumqttc=error"])
                .current_dir(&self.dir)
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                // Ctrl-C is for the demo, which then ends the halves in order.
                .process_group(0)
                .spawn()
        };
        let place = if ["ot", "send"].contains(&name) { Place::Plant } else { Place::Enterprise };
        let child = match boxes {
            Some(boxes) => boxes.within(place, create)?,
            None => create(),
        };
        let child = child.map_err(|source| DemoError::Start { name, source })?;
        self.reaper.half(child.id());
        let slot = NAMES.iter().position(|known| *known == name).unwrap_or(0);
        if let Some(running) = RUNNING.get(slot) {
            running.store(child.id(), Ordering::SeqCst);
        }
        let cpu = Cpu { at: clock.elapsed(), usage: None };
        let log_rest = String::new();
        Ok(Half { name, child, slot, log, log_read: 0, log_rest, cpu, ended: None })
    }

    /// Leaves the directory where it is, for people, and says where that is.
    pub(super) fn keep(&mut self) -> String {
        self.keep = true;
        format!("configurations, logs and journal are kept in {}", self.dir.display())
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if !self.keep {
            // Rubbish in the temporary directory is no failure of the demo.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

impl Half {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            self.forget();
            self.ended = Some(status);
        }
        self.ended
    }

    /// SIGTERM, and SIGKILL to what doesn't listen; `None` if it had to be killed.
    pub(super) fn stop(&mut self) -> Option<ExitStatus> {
        if self.ended().is_none() {
            // Not reaped yet: the identifier is still this child's.
            terminate(self.child.id());
            let mut waited = Duration::ZERO;
            while waited < STOP_WITHIN && self.ended().is_none() {
                std::thread::sleep(STOP_POLL);
                waited = waited.saturating_add(STOP_POLL);
            }
        }
        if self.ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            self.forget();
        }
        self.ended
    }

    /// Lines that were logged since the last question.
    pub(super) fn new_log_lines(&mut self) -> Vec<String> {
        let mut text = String::new();
        let mut read = || -> io::Result<usize> {
            let mut file = File::open(&self.log)?;
            file.seek(SeekFrom::Start(self.log_read))?;
            file.read_to_string(&mut text)
        };
        // What can't be read now is read the next time.
        let Ok(bytes) = read() else { return Vec::new() };
        self.log_read = self.log_read.saturating_add(bytes as u64);
        self.log_rest.push_str(&text);
        let mut lines = Vec::new();
        while let Some((line, rest)) = self.log_rest.split_once('\n') {
            lines.push(line.to_owned());
            self.log_rest = rest.to_owned();
        }
        lines
    }

    /// The last lines of the log.
    pub(super) fn last_log_lines(&self) -> Vec<String> {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.into_iter().rev().take(SHOWN_LOG_LINES).rev().collect()
    }

    /// CPU and memory, where /proc has it; asked for once a second.
    pub(super) fn usage(&mut self, now: Duration) -> Option<Usage> {
        let elapsed = now.saturating_sub(self.cpu.at);
        if self.cpu.usage.is_some() && elapsed < USAGE_EVERY {
            return self.cpu.usage;
        }
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        // The command's name is in brackets and may contain anything.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
        // utime and stime: fields 14 and 15 of proc(5), of which two are before the bracket.
        let ticks = ticks(11)?.checked_add(ticks(12)?)?;
        let cpu_s = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = resident.split_whitespace().next()?.parse().ok()?;
        let elapsed = elapsed.as_secs_f64();
        let earlier = self.cpu.usage.map_or(0.0, |usage| usage.cpu_s);
        let cpu_percent = if elapsed > 0.0 { (cpu_s - earlier) / elapsed * 100.0 } else { 0.0 };
        let usage = Usage { cpu_percent, cpu_s, resident_bytes: kibibytes.saturating_mul(1024) };
        self.cpu = Cpu { at: now, usage: Some(usage) };
        Some(usage)
    }

    fn forget(&self) {
        if let Some(running) = RUNNING.get(self.slot) {
            running.store(0, Ordering::SeqCst);
        }
    }
}

/// However the demo ends, its children end with it.
impl Drop for Half {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Ends the halves from a panic hook, where nothing else may be relied on.
pub(super) fn end_all_at_once() {
    for running in &RUNNING {
        terminate(running.swap(0, Ordering::SeqCst));
    }
}

/// What the journal says: read as any reader does, which nobody can notice.
#[derive(Debug)]
pub(super) struct JournalView {
    reader: Reader,
    pub(super) frames: u64,
    pub(super) relayed: u64,
    pub(super) keyframes: u64,
    pub(super) lost: u64,
    /// Frames that came behind higher numbers.
    pub(super) late: u64,
    pub(super) heartbeat: Option<Heartbeat>,
    /// Heartbeats so far.
    pub(super) heartbeats: u64,
}

impl JournalView {
    pub(super) fn open(dir: &Path) -> Result<JournalView, DemoError> {
        let reader = Reader::open(dir, From::Oldest)?;
        Ok(JournalView {
            reader,
            frames: 0,
            relayed: 0,
            keyframes: 0,
            lost: 0,
            late: 0,
            heartbeat: None,
            heartbeats: 0,
        })
    }

    /// Reads on.
    pub(super) fn look(&mut self) {
        for _ in 0..FRAMES_PER_LOOK {
            // An error passes or shows in what doesn't come.
            let Ok(Some(item)) = self.reader.next() else { return };
            match item {
                Item::Late(_) => self.late = self.late.saturating_add(1),
                Item::Lost(lost) => self.lost = self.lost.saturating_add(lost.frames()),
                Item::Frame(frame) => {
                    self.frames = self.frames.saturating_add(1);
                    match frame.body {
                        Some(Body::Relayed(_)) => self.relayed = self.relayed.saturating_add(1),
                        Some(Body::Keyframe(_)) => {
                            self.keyframes = self.keyframes.saturating_add(1);
                        }
                        Some(Body::Heartbeat(heartbeat)) => {
                            self.heartbeat = Some(heartbeat);
                            self.heartbeats = self.heartbeats.saturating_add(1);
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// Whether the OT half is connected and subscribed.
    pub(super) fn connected(&self) -> bool {
        self.heartbeat.as_ref().is_some_and(|heartbeat| heartbeat.ot_connected)
    }
}
