//! A laboratory: everything in one directory, under one user.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use text::counted;

use super::super::new_files::failed;
use super::super::{Exit, Failure, lab_certs};
use super::installed::Installed;
use super::{InitArgs, NewFile, filled, listed, policy, shell_word, write_all};

/// No well-known port is near: on Debian the package of mosquitto starts a broker on 1883.
pub(super) const FIRST_PORT: u16 = 18_830;
const NAME: &str = "lab-relay";
const DAYS: u16 = 90;

const OT: &str = include_str!("lab-ot.toml");
const IT: &str = include_str!("lab-it.toml");
const BROKER: &str = include_str!("broker.conf");
/// Started by root, mosquitto becomes a user of its own, who may not read the laboratory's keys.
const AS_ROOT: &str = "# Made by root, whose keys nobody else may read.\nuser root\n";
const EDGE: &str = include_str!("edge.py");

/// Ports of both brokers: OT plain and TLS, IT plain and TLS.
fn ports(first: u16) -> [u16; 4] {
    [0, 1, 2, 3].map(|more| first.saturating_add(more))
}

pub(super) fn make(arguments: &InitArgs) -> Result<String, Failure> {
    let directory = &arguments.directory;
    if let Some(installed) = Installed::find(Path::new("/")).filter(|one| one.reads(directory)) {
        return Err(Failure::new(
            Exit::Usage,
            format!("no place for a laboratory: {}", installed.words()),
        )
        .hint("wanted for an appliance: sparkdiode init --appliance /etc/sparkdiode")
        .hint("a laboratory goes into a directory of its own: sparkdiode init --lab lab"));
    }
    let numbers = ports(arguments.ports);
    let [ot_plain, ot_tls, it_plain, it_tls] = numbers.map(|port| port.to_string());
    let name = arguments.name.as_deref().unwrap_or(NAME);
    let broker = |what, clients, side, plain: &str, tls: &str| {
        let values = [("WHAT", what), ("CLIENTS", clients), ("SIDE", side)];
        let text = filled(&filled(BROKER, &values), &[("PLAIN", plain), ("TLS", tls)]);
        if rustix::process::geteuid().is_root() { text + AS_ROOT } else { text }
    };
    let ot_broker = broker("The OT broker", "edge nodes", "ot", &ot_plain, &ot_tls);
    let it_broker = broker("The enterprise broker", "hosts", "it", &it_plain, &it_tls);
    let node = format!("{}/{{}}/{}", arguments.group, arguments.edge_node);
    let edge = filled(EDGE, &[("PORT", &ot_plain)])
        .replace("Plant1/{}/Line4", &node)
        .replace("Plant1/Line4", &node.replace("/{}", ""))
        .replace("b\"Line4\"", &format!("\"{}\".encode()", arguments.edge_node));
    let mut files = vec![
        NewFile::public("ot.toml", filled(OT, &[("NAME", name), ("OT_TLS", &ot_tls)])),
        NewFile::public("it.toml", filled(IT, &[("IT_TLS", &it_tls)])),
        policy(arguments, "policies/first.toml"),
        NewFile::public("ot-broker.conf", ot_broker),
        NewFile::public("it-broker.conf", it_broker),
        NewFile::public("edge.py", edge),
    ];
    for mut file in lab_certs::make(&[], DAYS)?.files {
        file.name = format!("certs/{}", file.name);
        files.push(file);
    }
    write_all(directory, &files)?;
    for state in ["journal", "ot-state", "it-state"] {
        let path = directory.join(state);
        std::fs::create_dir_all(&path).map_err(|error| failed("create", &path, &error))?;
    }
    let mut text = listed(
        directory,
        &[
            ("ot.toml, it.toml", "configurations of both halves"),
            ("policies/first.toml", "a first policy, with its cases"),
            ("ot-broker.conf", &format!("mosquitto, plant: {ot_plain}, with TLS {ot_tls}")),
            ("it-broker.conf", &format!("mosquitto, enterprise: {it_plain}, with TLS {it_tls}")),
            ("certs/", "throw-away certificates, for 90 days"),
            ("edge.py", "an edge node that sends a temperature and a recipe"),
            ("journal/, …-state/", "what the halves write"),
        ],
    );
    let taken: Vec<String> = numbers
        .into_iter()
        .filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_err())
        .map(|port| port.to_string())
        .collect();
    if !taken.is_empty() {
        text.push_str(&format!(
            "\nTaken on this machine: {} ({}). Remove the directory, and choose others: \
             sparkdiode init --ports 28830 …\n",
            counted(taken.len(), "port"),
            taken.join(", ")
        ));
    }
    let shown = shell_word(&directory.to_string_lossy());
    text.push_str(&format!(
        "\nNext, as an ordinary user, each in the background or in a terminal of its own:\n  \
         cd {shown}\n  \
         /usr/sbin/mosquitto -c ot-broker.conf\n  \
         /usr/sbin/mosquitto -c it-broker.conf\n  \
         sparkdiode ot --config ot.toml\n  \
         sparkdiode it --config it.toml\n  \
         python3 edge.py\n\
         and then:\n  \
         sparkdiode doctor ot.toml it.toml\n"
    ));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn four_ports_follow_each_other_and_nothing_is_left_to_be_filled_in() {
        assert_eq!(ports(18_830), [18_830, 18_831, 18_832, 18_833]);
        let lab = tempfile::tempdir().unwrap();
        let directory = lab.path().join("a b/lab");
        let arguments = InitArgs {
            directory: directory.clone(),
            lab: true,
            appliance: false,
            two_boxes: false,
            name: Some("r".to_owned()),
            group: "G 1".to_owned(),
            // Whose accent is a letter of its own.
            edge_node: "\u{301}N".to_owned(),
            ot_broker: None,
            it_broker: None,
            ports: 40_000,
        };
        make(&arguments).unwrap();
        for name in ["ot.toml", "it.toml", "ot-broker.conf", "it-broker.conf", "edge.py"] {
            let text = fs::read_to_string(directory.join(name)).unwrap();
            assert!(!text.contains('@'), "{name}: {text}");
        }
        let edge = fs::read_to_string(directory.join("edge.py")).unwrap();
        assert!(edge.contains("NODE = \"G 1/{}/\u{301}N\""), "{edge}");
        assert!(edge.contains("text(\"\u{301}N\".encode())"), "{edge}");
        assert!(fs::read_to_string(directory.join("ot.toml")).unwrap().contains(":40001\""));
        let before = fs::read(directory.join("certs/ot-ca.pem")).unwrap();
        assert!(make(&arguments).is_err());
        assert_eq!(fs::read(directory.join("certs/ot-ca.pem")).unwrap(), before);
    }
}
