//! `sparkdiode send`: the sending end of a link between two boxes.

mod told;

use std::io;
use std::net::SocketAddr;

use clap::Args;
use config::SendConfig;
use sandbox::{Role, Unowned};
use send::{FirstStart, LoadKey, Path, Paths, RunError, Settings};

use self::told::Told;
use super::ends;
use super::startup::{self, HalfArgs};
use super::{Exit, Failure, awaiting, sealing};

/// Run the sending end of a link between two boxes: journal → UDP, one way.
///
/// Tails the journal that the OT half writes, and sends it over one or more interfaces that lead to
/// the other box, where `sparkdiode receive` makes a journal of it. It never reads from its sockets:
/// nothing that comes from there changes what it does. SIGTERM stops it after what was read has left;
/// SIGHUP reads the link key again. `sparkdiode resend` has it send a stretch once more.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sparkdiode send --config /etc/sparkdiode/send.toml")]
pub(super) struct SendArgs {
    #[command(flatten)]
    half: HalfArgs,
}

pub(super) fn run(arguments: &SendArgs) -> Result<Exit, Failure> {
    let start = sealing::start(Role::Send)?;
    let (config, warnings) = SendConfig::load(&arguments.half.config)?;
    let key = config::read_link_key(&config.key)
        .map_err(|error| Failure::new(Exit::Config, error.to_string()))?;
    let paths = paths(&config)?;
    let mut logging = startup::begin("send", &arguments.half, None, &config.syslog, warnings)?;
    let notifier = startup::notifier()?;
    let owned = sealing::owned(&arguments.half.config, &[], &config.state_dir);
    let secrets = ends::secrets([&config.key]);
    let demoted = sealing::demote(start, &config.sandbox, &owned, &secrets)?;
    awaiting::journal(&config.journal_path, &notifier)?;
    let journal = Unowned { what: "journal", path: config.journal_path.clone() };
    demoted.require_foreign(&[journal]).map_err(sealing::not_confined)?;
    let mut grants = ends::grants(&config.state_dir, &config.status, &config.syslog, [&config.key]);
    grants.read.push(config.journal_path.clone());
    let status = ends::status_settings(config.status.clone(), &config.sandbox);
    let (named, options) = (Told::named(&config), config.options);
    let key_file = config.key;
    let load_key: LoadKey =
        Box::new(move || config::read_link_key(&key_file).map_err(|error| error.to_string()));
    let settings = Settings {
        name: config.link,
        key,
        load_key,
        options,
        most_frame_bytes: config.max_frame_bytes,
        paths,
        journal_dir: config.journal_path,
        state_dir: config.state_dir.clone(),
        first_start: match config.first_start {
            config::FirstStart::Oldest => FirstStart::Oldest,
            config::FirstStart::Newest => FirstStart::Newest,
        },
        random,
    };
    let opened = send::open(settings).map_err(|error| startup::failed(exit(&error), &error))?;
    let told = (status, config.state_dir, notifier);
    let (confined, telling) = ends::seal("send", demoted, &grants, &mut logging, told)?;
    let mut told = Told::new(telling, named, options.rates.bytes_per_s);
    startup::ended(send::run(opened, &confined, &mut told), exit)
}

/// Sockets are made while this process may still do it.
fn paths(config: &SendConfig) -> Result<Paths, Failure> {
    let each = config.paths.iter().map(|path| {
        let socket = send::bound(path.interface.as_deref(), path.from, path.broadcast);
        let socket = socket.and_then(|socket| Path::new(socket, SocketAddr::V4(path.to)));
        socket.map_err(|error| no_socket(&path.name, path.interface.as_deref(), &error))
    });
    Ok(Paths::new(each.collect::<Result<Vec<Path>, Failure>>()?))
}

/// Why a path can't be had.
pub(super) fn no_socket(path: &str, interface: Option<&str>, error: &io::Error) -> Failure {
    let by = interface.map_or(String::new(), |interface| format!(" on interface `{interface}`"));
    Failure::new(Exit::Io, format!("no socket for path `{path}`{by}: {error}"))
}

fn random() -> io::Result<[u8; 8]> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("no randomness to be had"))?;
    Ok(bytes)
}

fn exit(error: &RunError) -> Exit {
    match error {
        RunError::State(_) | RunError::Journal(_) | RunError::Start(_) => Exit::Io,
        RunError::Options(_) | RunError::Sessions(_) => Exit::Config,
    }
}
