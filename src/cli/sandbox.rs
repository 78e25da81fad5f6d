//! `sparkdiode sandbox`: what a half may do once it is sealed, and whether this kernel can enforce
//! it.

use std::fmt::Write;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use config::{ItConfig, OtConfig, ReceiveConfig, SendConfig, SyslogTo};
use diagnostic::os_error;
use sandbox::{CALLS, Call, DIALLER, Finding, Layer, Role};

use super::check::{Kind, recognise};
use super::half_files::HalfFiles;
use super::{Exit, Failure, report};

/// Columns for names of calls and layers.
const NAME_WIDTH: usize = 18;

/// Show the profile of a sealed process, or check what this kernel can enforce.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sparkdiode sandbox show it\n  \
                        sparkdiode sandbox check /etc/sparkdiode/it.toml")]
pub(super) struct SandboxArgs {
    #[command(subcommand)]
    command: SandboxCommand,
}

#[derive(Debug, Subcommand)]
enum SandboxCommand {
    /// Print what a sealed process may do: layers, and every system call with its reason
    Show {
        /// Half, or end of the link; without it, all
        role: Option<RoleName>,
    },
    /// Try every layer on this kernel, and what a configuration needs of this machine
    ///
    /// Each layer is applied to a thread, which then tries what it forbids. With a
    /// configuration, users and permissions of its files are looked at as well. Exits with 0, or
    /// with 77 if a half with this configuration would not start.
    Check {
        /// Configuration files of halves
        #[arg(value_name = "CONFIG")]
        configs: Vec<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    Ot,
    It,
    Send,
    Receive,
}

pub(super) fn run(arguments: &SandboxArgs) -> Result<Exit, Failure> {
    match &arguments.command {
        SandboxCommand::Show { role } => {
            let roles = match role {
                Some(RoleName::Ot) => &[Role::Ot][..],
                Some(RoleName::It) => &[Role::It],
                Some(RoleName::Send) => &[Role::Send],
                Some(RoleName::Receive) => &[Role::Receive],
                None => &Role::ALL,
            };
            let mut text = String::new();
            for role in roles {
                show(&mut text, *role);
            }
            report::output(&text)?;
            Ok(Exit::Ok)
        }
        SandboxCommand::Check { configs } => check(configs),
    }
}

fn show(text: &mut String, role: Role) {
    let line = |text: &mut String, line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    line(text, &format!("sparkdiode {role}, once it is sealed\n"));
    line(text, "layers (each can be waived by `[sandbox] waive`)");
    for layer in Layer::ALL {
        line(text, &format!("  {:NAME_WIDTH$} {}", layer.name(), layer.meaning()));
    }
    show_reach(role, |words| line(text, words));
    for (topic, calls) in CALLS {
        let calls: Vec<&Call> = calls.iter().filter(|call| call.is_for(role)).collect();
        if !calls.is_empty() {
            line(text, &format!("\nsystem calls: {topic}"));
        }
        for call in calls {
            show_call(text, call);
        }
    }
    line(
        text,
        match role.is_of_link() {
            true => "\nsystem calls: the dialling process (with logs of this machine)",
            false => "\nsystem calls: the dialling process (level \"dialled\")",
        },
    );
    for call in DIALLER.iter().filter(|call| call.is_for(role)) {
        show_call(text, call);
    }
    line(text, "\nEvery other system call ends the process (SIGSYS).\n");
}

/// Files, ports and processes that a role reaches.
fn show_reach(role: Role, mut line: impl FnMut(&str)) {
    line("\nfiles");
    line("  read and write     [state] path");
    line(match role {
        Role::Ot | Role::Receive => "  read and write     [journal] path",
        Role::It | Role::Send => "  read               [journal] path",
    });
    line("  read and write     directory of [metrics] textfile");
    if role.is_of_link() {
        line("  read               directories of the link's keys");
    } else {
        line("  read               [policies] paths and signatures, directory of password-file");
        line("  read               directories of ca-file, certificate-file and key-file");
    }
    line(match role {
        Role::Ot | Role::It => {
            "\ntcp ports\n  connect            those of [broker] address and [[syslog]] address"
        }
        Role::Send => {
            "\nnetwork\n  send               datagrams of the link, from sockets made before the seal, to \
             which a locked filter lets nothing come"
        }
        Role::Receive => {
            "\nnetwork\n  receive            datagrams of the link, from sockets made before the seal and \
             shut for writing"
        }
    });
    line(
        "\nprocesses of this machine\n  send to            those of [[syslog]] to = \"journald\" and \
         \"local\", by datagrams that can't be answered",
    );
}

fn show_call(text: &mut String, call: &Call) {
    // Writing to a `String` can't fail.
    let _ = write!(text, "  {:NAME_WIDTH$} {}", call.name(), call.because);
    if let Some(need) = call.need() {
        let _ = write!(text, " (only with {need})");
    }
    text.push('\n');
    for form in call.forms() {
        let _ = writeln!(text, "  {:NAME_WIDTH$} - {}", "", form.says);
    }
}

fn check(configs: &[PathBuf]) -> Result<Exit, Failure> {
    let mut text = String::new();
    let mut missing = Vec::new();
    if let Ok(level) = sandbox::level() {
        let _ = writeln!(text, "{:NAME_WIDTH$}      {level}", "level");
    }
    for Finding { layer, result } in sandbox::probe() {
        let (word, why) = match result {
            Ok(why) => ("yes", why),
            Err(why) => {
                missing.push(layer);
                ("NO", why)
            }
        };
        let _ = writeln!(text, "{:NAME_WIDTH$} {word:4} {why}", layer.name());
    }
    // Without a configuration nothing is waived.
    let mut good = missing.is_empty() || !configs.is_empty();
    for config in configs {
        good &= check_config(&mut text, config, &missing)?;
    }
    report::output(&text)?;
    Ok(if good { Exit::Ok } else { Exit::Sandbox })
}

/// What a configuration needs of this machine; true if a half would start with it.
fn check_config(text: &mut String, path: &Path, missing: &[Layer]) -> Result<bool, Failure> {
    let half = match recognise(path)? {
        (Kind::Ot, file) => HalfFiles::of_ot(path, OtConfig::check(file)?.0),
        (Kind::It, file) => HalfFiles::of_it(path, ItConfig::check(file)?.0),
        (Kind::Send, file) => HalfFiles::of_send(path, SendConfig::check(file)?.0),
        (Kind::Receive, file) => HalfFiles::of_receive(path, ReceiveConfig::check(file)?.0),
        (Kind::Policy, _) => {
            let message = format!("not the configuration of a half: `{}`", path.display());
            return Err(Failure::new(Exit::Usage, message));
        }
    };
    let sandbox = &half.sandbox;
    let _ = writeln!(text, "\n{}", path.display());
    let mut good = true;
    let mut say = |what: &str, result: Result<String, String>| {
        let (word, why) = match result {
            Ok(why) => ("yes", why),
            Err(why) => {
                good = false;
                ("NO", why)
            }
        };
        let _ = writeln!(text, "  {what:NAME_WIDTH$} {word:4} {why}");
    };
    for layer in missing {
        say(
            layer.name(),
            if sandbox.waived.contains(layer) {
                Ok("missing, and waived".to_owned())
            } else {
                Err("missing, and not waived".to_owned())
            },
        );
    }
    for target in &half.syslog {
        if let SyslogTo::Journald { path } | SyslogTo::Local { path, .. } = &target.to {
            say("local log", takes_datagrams(path));
        }
    }
    if sandbox.waived.contains(&Layer::User) {
        say("user", Ok("waived: nobody looks at users and permissions".to_owned()));
        return Ok(good);
    }
    let identity = half.identity();
    say("user", identity.as_ref().map(ToString::to_string).map_err(Clone::clone));
    if let Ok(identity) = identity {
        let own = half.owned.iter().try_for_each(|path| sandbox::require_own(identity, path));
        let foreign =
            half.unowned.iter().try_for_each(|path| sandbox::require_foreign(identity, path));
        let names = half.names.iter().try_for_each(|path| sandbox::require_way(identity, path));
        let files = own.and(foreign).and(names).map_err(|error| error.to_string());
        let good = "nobody else can write them, or read what is secret";
        say("files", files.map(|()| good.to_owned()));
        if matches!(half.role, Role::Ot | Role::Receive) {
            let readers = sandbox::readers(identity, &half.journal);
            say("readers", readers.map_err(|error| error.to_string()));
        }
    }
    Ok(good)
}

/// Whether a daemon of this machine can be logged to: by datagrams, since a stream could be answered,
/// and both halves could meet at whoever does. Nothing is sent.
pub(super) fn takes_datagrams(path: &Path) -> Result<String, String> {
    let path_shown = path.display();
    let tried = UnixDatagram::unbound().and_then(|socket| socket.connect(path));
    match tried {
        Ok(()) => Ok(format!("`{path_shown}` takes datagrams, and answers none")),
        Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => Err(format!(
            "`{path_shown}` is a stream socket, which a sealed half doesn't connect to; wanted: a \
             datagram socket (`unix-dgram`)"
        )),
        // The daemon may be started later, and is tried again by a half that runs.
        Err(error) => Ok(format!("`{path_shown}` isn't there now: {}", os_error(&error))),
    }
}
