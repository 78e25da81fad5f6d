//! Two boxes with a link between them: what each of them has in /etc/sparkdiode, in a directory for each.

use std::path::Path;

use super::samples::{IT, OT, filled_in};
use super::{Failure, InitArgs, NewFile, listed, policy, shell_word, write_all};

const SEND: &str = include_str!("../../../systemd/send.toml");
const RECEIVE: &str = include_str!("../../../systemd/receive.toml");
const SEND_NET: &str = include_str!("../../../systemd/send.net");
const RECEIVE_NET: &str = include_str!("../../../systemd/receive.net");
/// Where each box has them.
const DIRECTORY: &str = "/etc/sparkdiode";
/// The name of the link in the samples, and what it is called by default.
const LINK: &str = "plant-a-link";
/// The journal that the IT half reads in the sample, and the one that a receiving end writes.
const JOURNAL: &str = "path = \"/var/lib/sparkdiode/journal\"";
const RECEIVED: &str = "path = \"/var/lib/sparkdiode/received\"";

pub(super) fn make(arguments: &InitArgs) -> Result<String, Failure> {
    write_all(&arguments.directory, &files(arguments))?;
    let mut text = listed(
        &arguments.directory,
        &[
            ("plant/", "the plant's box: ot.toml, send.toml, send.net, a first policy"),
            ("enterprise/", "the enterprise's box: receive.toml, receive.net, it.toml"),
        ],
    );
    let at = |name: &str| shell_word(&arguments.directory.join(name).to_string_lossy());
    let together: Vec<String> = ["ot.toml", "send.toml"]
        .map(|name| at(&format!("plant/{name}")))
        .into_iter()
        .chain(["receive.toml", "it.toml"].map(|name| at(&format!("enterprise/{name}"))))
        .collect();
    text.push_str(&format!(
        "\nNext:\n  \
         - set addresses, pace and names in these files; then, while they are together:\n    \
         sparkdiode check {}\n  \
         - install the package on both boxes, and put each directory's files into {DIRECTORY} of its box\n  \
         - on the enterprise's box: sparkdiode link-key {DIRECTORY}/credentials/receive/link.key\n  \
         - carry that file by hand to {DIRECTORY}/credentials/send/link.key of the plant's box\n  \
         - systemctl enable --now sparkdiode-ot sparkdiode-send   (the plant's box)\n  \
         - systemctl enable --now sparkdiode-receive sparkdiode-it   (the enterprise's box)\n\n\
         Wiring, sizes, the key: sparkdiode help link\n",
        together.join(" ")
    ));
    Ok(text)
}

fn files(arguments: &InitArgs) -> Vec<NewFile> {
    let directory = Path::new(DIRECTORY);
    let link = arguments.name.as_ref().map_or_else(|| LINK.to_owned(), |name| name.clone());
    let named = |text: &str| text.replace(LINK, &link);
    let it = filled_in(arguments, directory, IT).replace(JOURNAL, RECEIVED);
    vec![
        NewFile::public("plant/ot.toml", filled_in(arguments, directory, OT)),
        NewFile::public("plant/send.toml", named(SEND)),
        NewFile::public("plant/send.net", SEND_NET),
        policy(arguments, "plant/policies/first.toml"),
        NewFile::public("enterprise/receive.toml", named(RECEIVE)),
        NewFile::public("enterprise/receive.net", RECEIVE_NET),
        NewFile::public("enterprise/it.toml", it),
    ]
}

#[cfg(test)]
mod tests {
    use config::{ItConfig, OtConfig, ReceiveConfig, SendConfig};
    use diagnostic::{Diagnostics, SourceFile};

    use super::super::super::check::Ends;
    use super::*;

    /// What `check` says of the files beside each other.
    fn compared(name: Option<&str>) -> (Diagnostics, Diagnostics) {
        let arguments = InitArgs {
            directory: "x".into(),
            lab: false,
            appliance: false,
            two_boxes: true,
            name: name.map(str::to_owned),
            group: "G".to_owned(),
            edge_node: "N".to_owned(),
            ot_broker: Some("10.1.2.3:8884".to_owned()),
            it_broker: None,
            ports: 0,
        };
        let files = files(&arguments);
        let file = |name: &str| {
            let file = files.iter().find(|file| file.name.ends_with(name)).unwrap();
            SourceFile::new(format!("/etc/sparkdiode/{name}"), file.content.as_str())
        };
        let (ot, _) = OtConfig::check(file("/ot.toml")).unwrap();
        assert_eq!(ot.broker.servers.to_string(), "10.1.2.3:8884");
        let (it, _) = ItConfig::check(file("/it.toml")).unwrap();
        let (send, _) = SendConfig::check(file("/send.toml")).unwrap();
        assert_eq!(send.link.to_string(), name.unwrap_or(LINK));
        let (receive, _) = ReceiveConfig::check(file("/receive.toml")).unwrap();
        assert_eq!(receive.journal.path, it.journal_path);
        let mut ends = Ends::default();
        ends.add_send(Path::new("send.toml"), send);
        ends.add_receive(Path::new("receive.toml"), receive);
        let (mut warnings, mut errors) = (Diagnostics::new(), Diagnostics::new());
        let halves = (Some((Path::new("ot.toml"), &ot)), Some((Path::new("it.toml"), &it)));
        ends.compare(halves.0, halves.1, &mut warnings, &mut errors);
        (warnings, errors)
    }

    #[test]
    fn the_files_fit_together_and_the_samples_have_what_is_replaced() {
        assert!(SEND.contains(LINK) && RECEIVE.contains(LINK) && IT.contains(JOURNAL));
        assert!(RECEIVE.contains(RECEIVED));
        for name in [None, Some("mine")] {
            let (warnings, errors) = compared(name);
            assert!(warnings.is_empty() && errors.is_empty(), "{warnings}{errors}");
        }
    }
}
