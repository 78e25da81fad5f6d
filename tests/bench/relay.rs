//! Both halves of the relay as real processes, with their default settings.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;

use crate::brokers::{Certificates, Place};
use crate::plant::GROUP;
use crate::process::Process;

/// Users of the halves where root measures; numbers that nobody has.
const OT_USER: u32 = 64_001;
const IT_USER: u32 = 64_002;

/// Configuration, journal and state of a relay.
#[derive(Debug)]
pub(crate) struct Relay {
    binary: PathBuf,
    dir: PathBuf,
}

/// What a measurement varies.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) tls: bool,
    /// Publish data at QoS 1 on the IT side.
    pub(crate) data_qos: u8,
    pub(crate) max_nodes: usize,
    /// Metrics have aliases on IT where they have them in the plant.
    pub(crate) aliases: bool,
    /// Edge nodes of a group are devices of one on IT.
    pub(crate) folds: bool,
    /// Zero: by the rate, as the relay has it.
    pub(crate) gather_ms: u64,
    /// The shard of the plant that it has, and of how many.
    pub(crate) shard: Option<(u32, u32)>,
}

impl Relay {
    /// Writes the configuration into `dir`; nothing runs yet.
    pub(crate) fn new(
        binary: &Path,
        dir: &Path,
        from: impl Into<Place>,
        to: impl Into<Place>,
        certificates: &Certificates,
        settings: Settings,
    ) -> Relay {
        let relay = Relay { binary: binary.to_owned(), dir: dir.to_owned() };
        for name in ["policies", "journal", "ot-state", "it-state"] {
            fs::create_dir(relay.path(name)).unwrap();
        }
        relay.hand_over();
        let rule =
            format!("[[rule]]\nname = \"everything\"\naction = \"forward\"\ngroup = \"{GROUP}\"\n");
        fs::write(relay.path("policies/policy.toml"), rule).unwrap();
        let dir = relay.dir.display();
        let link = |broker: Place| link(broker, certificates, settings.tls);
        let Settings { data_qos, max_nodes, aliases, gather_ms, .. } = settings;
        // A version before may not know a key.
        let aliases = if aliases { "aliases = \"as-plant\"\n" } else { "" };
        let aliases =
            if settings.folds { format!("fold = \"group\"\n{aliases}") } else { aliases.into() };
        let gather =
            if gather_ms > 0 { format!("gather-ms = {gather_ms}\n") } else { String::new() };
        let (name, shard) = match settings.shard {
            Some((index, of)) => (format!("bench-{index}"), format!("shard = \"{index}/{of}\"\n")),
            None => ("bench".into(), String::new()),
        };
        let ot = format!(
            "name = \"{name}\"\n{}\
             [policies]\npaths = [\"{dir}/policies\"]\n\
             [journal]\npath = \"{dir}/journal\"\nretain-bytes = 1_073_741_824\n\
             [state]\npath = \"{dir}/ot-state\"\n\
             [relay]\nmax-nodes = {max_nodes}\n{gather}{shard}{}",
            link(from.into()),
            sandbox(OT_USER)
        );
        let it = format!(
            "{}\
             [journal]\npath = \"{dir}/journal\"\n\
             [state]\npath = \"{dir}/it-state\"\n\
             [health]\nenabled = false\n[mirror]\ndata-qos = {data_qos}\nmax-nodes = {max_nodes}\n{aliases}{gather}{}",
            link(to.into()),
            sandbox(IT_USER)
        );
        fs::write(relay.path("ot.toml"), ot).unwrap();
        fs::write(relay.path("it.toml"), it).unwrap();
        relay
    }

    /// Gives the directories to the users of the halves, as an installation does.
    fn hand_over(&self) {
        if !geteuid().is_root() {
            return;
        }
        // The halves have to get at their directories, whoever made those above.
        let above = self
            .dir
            .ancestors()
            .take_while(|dir| fs::metadata(dir).is_ok_and(|metadata| metadata.mode() & 0o001 == 0));
        for dir in above {
            fs::set_permissions(dir, Permissions::from_mode(0o711)).unwrap();
        }
        for (name, user, group, mode) in [
            ("journal", OT_USER, IT_USER, 0o2750),
            ("ot-state", OT_USER, OT_USER, 0o700),
            ("it-state", IT_USER, IT_USER, 0o700),
        ] {
            let path = self.path(name);
            chown(&path, Some(user), Some(group)).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
    }

    /// Has another policy, before it is started.
    pub(crate) fn write_policy(&self, text: &str) {
        fs::write(self.path("policies/policy.toml"), text).unwrap();
    }

    /// The configuration of a half.
    pub(crate) fn config(&self, half: &str) -> PathBuf {
        self.path(&format!("{half}.toml"))
    }

    /// Adds to one of its files, before it is started.
    pub(crate) fn add(&self, name: &str, text: &str) {
        let path = self.path(name);
        let before = fs::read_to_string(&path).unwrap();
        fs::write(path, before + text).unwrap();
    }

    /// Sets keys of `[broker]`, before it is started.
    pub(crate) fn set_broker(&self, half: &str, text: &str) {
        let path = self.config(half);
        let before = fs::read_to_string(&path).unwrap();
        fs::write(path, before.replacen("[broker]\n", &format!("[broker]\n{text}"), 1)).unwrap();
    }

    /// Starts the half `ot` or `it`.
    pub(crate) fn start(&self, half: &'static str) -> Process {
        let mut command = Command::new(&self.binary);
        command.args([half, "--config"]).arg(self.config(half));
        Process::start(half, &mut command, &self.log(half))
    }

    /// Where the half logs.
    pub(crate) fn log(&self, half: &str) -> PathBuf {
        self.path(&format!("{half}.log"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Sealed as in production; without root, under one user.
fn sandbox(user: u32) -> String {
    if geteuid().is_root() {
        format!("[sandbox]\nuser = \"{user}\"\ngroup = \"{user}\"\n")
    } else {
        "[sandbox]\nwaive = [\"user\"]\n".to_owned()
    }
}

fn link(broker: Place, certificates: &Certificates, tls: bool) -> String {
    if !tls {
        return format!("[broker]\naddress = \"{}\"\nplaintext = true\n", broker.address);
    }
    format!(
        "[broker]\naddress = \"localhost:{}\"\n\
         [broker.tls]\nca-file = \"{}\"\ncertificate-file = \"{}\"\nkey-file = \"{}\"\n",
        broker.tls_address.port(),
        certificates.path("ca.pem").display(),
        certificates.path("client.pem").display(),
        certificates.path("client.key").display(),
    )
}
