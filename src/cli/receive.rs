//! `sparkdiode receive`: the receiving end of a link between two boxes.

mod told;

use clap::Args;
use config::{ReceiveConfig, ReceivedJournalConfig};
use diagnostic::SecretFile;
use journal_write::ReceivedOptions;
use link::Keys;
use receive::{LoadKeys, Port, Ports, RunError, Settings};
use sandbox::{Owned, Role};
use telemetry::event;

use self::told::Told;
use super::ends;
use super::send::no_socket;
use super::startup::{self, HalfArgs};
use super::{Exit, Failure, sealing};

/// Run the receiving end of a link between two boxes: UDP → journal, one way.
///
/// Makes a journal of what `sparkdiode send` sends, which `sparkdiode it` reads like any other. It never
/// writes to its sockets. SIGTERM stops it after what has arrived is in the journal; SIGHUP reads the
/// link keys again.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sparkdiode receive --config /etc/sparkdiode/receive.toml")]
pub(super) struct ReceiveArgs {
    #[command(flatten)]
    half: HalfArgs,
}

pub(super) fn run(arguments: &ReceiveArgs) -> Result<Exit, Failure> {
    let start = sealing::start(Role::Receive)?;
    let (config, warnings) = ReceiveConfig::load(&arguments.half.config)?;
    let files = KeyFiles { first: config.key.clone(), second: config.second_key.clone() };
    let keys = files.read().map_err(|error| Failure::new(Exit::Config, error))?;
    let (ports, small) = ports(&config)?;
    let mut logging = startup::begin("receive", &arguments.half, None, &config.syslog, warnings)?;
    for (path, granted) in small {
        event!(LinkBufferSmall, path, granted, wanted = config.buffer_bytes);
    }
    let notifier = startup::notifier()?;
    let mut owned = sealing::owned(&arguments.half.config, &[], &config.state_dir);
    owned.push(Owned::new("journal", &config.journal.path));
    let secrets = ends::secrets(config.key_files());
    let demoted = sealing::demote(start, &config.sandbox, &owned, &secrets)?;
    if let Some(problem) = demoted.unreadable(&config.journal.path) {
        let place = config.journal.path.display().to_string();
        event!(ConfigWarning, place = place, problem = problem.to_string());
    }
    let mut grants =
        ends::grants(&config.state_dir, &config.status, &config.syslog, config.key_files());
    grants.write.push(config.journal.path.clone());
    let status = ends::status_settings(config.status.clone(), &config.sandbox);
    let named = Told::named(&config);
    let (limit_bytes, reorder) = (config.journal.retain_bytes, config.options.reorder);
    let load_keys: LoadKeys = Box::new(move || files.read());
    let settings = Settings {
        name: config.link,
        keys,
        load_keys,
        options: config.options,
        ports,
        path_names: config.paths.iter().map(|path| path.name.clone()).collect(),
        journal: writer_options(config.journal),
        state_dir: config.state_dir.clone(),
    };
    let opened = receive::open(settings).map_err(|error| startup::failed(exit(&error), &error))?;
    let told = (status, config.state_dir, notifier);
    let (confined, telling) = ends::seal("receive", demoted, &grants, &mut logging, told)?;
    let mut told = Told::new(telling, named, limit_bytes, reorder);
    startup::ended(receive::run(opened, &confined, &mut told), exit)
}

/// Paths whose buffer is smaller than it should be, with what it is.
type Small<'a> = Vec<(&'a str, usize)>;

/// Where the link keys are read.
struct KeyFiles {
    first: SecretFile,
    second: Option<SecretFile>,
}

impl KeyFiles {
    fn read(&self) -> Result<Keys, String> {
        let read = |file| config::read_link_key(file).map_err(|error| error.to_string());
        let second = self.second.as_ref().map(read).transpose()?;
        Keys::new(read(&self.first)?, second).map_err(|error| error.to_string())
    }
}

/// Sockets are made while this process may still do it.
fn ports(config: &ReceiveConfig) -> Result<(Ports, Small<'_>), Failure> {
    let (mut ports, mut small) = (Vec::new(), Vec::new());
    for path in &config.paths {
        let interface = path.interface.as_deref();
        let bound = receive::bound(interface, path.listen, config.buffer_bytes);
        let made = bound.and_then(|(socket, granted)| Ok((Port::new(socket)?, granted)));
        let (port, granted) = made.map_err(|error| no_socket(&path.name, interface, &error))?;
        if granted < config.buffer_bytes {
            small.push((path.name.as_str(), granted));
        }
        ports.push(port);
    }
    Ok((Ports::new(ports), small))
}

fn writer_options(journal: ReceivedJournalConfig) -> ReceivedOptions {
    ReceivedOptions {
        dir: journal.path,
        retain_bytes: journal.retain_bytes,
        retain_age: Some(journal.retain_age),
        durability: startup::durability(journal.durability),
    }
}

fn exit(error: &RunError) -> Exit {
    match error {
        RunError::State(_)
        | RunError::Journal(_)
        | RunError::Start(_)
        | RunError::StoppedShort(_) => Exit::Io,
        RunError::Options(_) => Exit::Config,
    }
}
