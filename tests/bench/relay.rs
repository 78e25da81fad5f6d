//! Both halves of the relay as real processes, with their default settings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::brokers::{Broker, Certificates};
use crate::plant::GROUP;
use crate::process::Process;

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
}

impl Relay {
    /// Writes the configuration into `dir`; nothing runs yet.
    pub(crate) fn new(
        binary: &Path,
        dir: &Path,
        from: &Broker,
        to: &Broker,
        certificates: &Certificates,
        settings: Settings,
    ) -> Relay {
        let relay = Relay { binary: binary.to_owned(), dir: dir.to_owned() };
        for name in ["policies", "journal", "ot-state", "it-state"] {
            fs::create_dir(relay.path(name)).unwrap();
        }
        let rule =
            format!("[[rule]]\nname = \"everything\"\naction = \"forward\"\ngroup = \"{GROUP}\"\n");
        fs::write(relay.path("policies/policy.toml"), rule).unwrap();
        let dir = relay.dir.display();
        let link = |broker: &Broker| link(broker, certificates, settings.tls);
        let Settings { data_qos, max_nodes, .. } = settings;
        let ot = format!(
            "name = \"bench\"\n{}\
             [policies]\npaths = [\"{dir}/policies\"]\n\
             [journal]\npath = \"{dir}/journal\"\nretain-bytes = 1_073_741_824\n\
             [state]\npath = \"{dir}/ot-state\"\n\
             [relay]\nmax-nodes = {max_nodes}\n",
            link(from)
        );
        let it = format!(
            "{}\
             [journal]\npath = \"{dir}/journal\"\n\
             [state]\npath = \"{dir}/it-state\"\n\
             [mirror]\ndata-qos = {data_qos}\nmax-nodes = {max_nodes}\n",
            link(to)
        );
        fs::write(relay.path("ot.toml"), ot).unwrap();
        fs::write(relay.path("it.toml"), it).unwrap();
        relay
    }

    /// Starts the half `ot` or `it`.
    pub(crate) fn start(&self, half: &'static str) -> Process {
        let mut command = Command::new(&self.binary);
        command.args([half, "--config"]).arg(self.path(&format!("{half}.toml")));
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

fn link(broker: &Broker, certificates: &Certificates, tls: bool) -> String {
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
