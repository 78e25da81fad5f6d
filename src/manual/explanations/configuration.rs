//! Diagnostics of `ot.toml` and `it.toml`, by themselves and together.

use super::{Code, Example};

pub(super) const CODES: &[Code] = codes! {
    "C001" "a file can't be read": "A configuration, a policy or a directory of policies isn't there, can't be opened, isn't text, or isn't of any kind that was asked for." "Look at the path and at who may read it; the message has the error of the operating system." Console "
$ sparkdiode check /etc/sparkdiode/it.tmol
error[C001]: cannot open `/etc/sparkdiode/it.tmol`: no such file or directory (2)
";
    "C002" "others may write the file": "Somebody but root and the half's user may write a file or directory that decides what crosses. Whoever can write it could choose for everybody." "`chmod o-w`, or give it to root; the hint has the command." Console "
$ sparkdiode check ot.toml
error[C002]: writable by everybody: anybody could add a policy to this directory
 --> /etc/sparkdiode/policies
  |
  = hint: chmod o-w /etc/sparkdiode/policies
";
    "C003" "the file isn't TOML": "The file can't be read as TOML." "Mend the place that is underlined; mostly it is a quote or a bracket." Ot r#"
name = "plant-a
"#;
    "C004" "unknown key": "A key, or a table, that doesn't exist at this place. A misspelled key would otherwise silently mean its default." "Take the key that the hint names; the message lists those of the table." Ot r#"
name = "plant-a"
[broker]
adress = "10.10.0.5:8883"
"#;
    "C005" "wrong type": "A value has another type than the key wants." "Texts stand in quotes, numbers and `true` don't." Ot r#"
name = "plant-a"
[relay]
keyframe-every-s = "60"
"#;
    "C006" "missing key": "A key is required and isn't there. There is no default for what decides about security or about where data lies." "Add it; the message gives an example." Ot r#"
name = "plant-a"
[broker]
plaintext = true
"#;
    "C007" "out of range": "A number is smaller or larger than the key allows." "Take one of the range that the message names." Ot r#"
name = "plant-a"
[relay]
keyframe-every-s = 1
"#;
    "C008" "a value that breaks its grammar": "A text isn't what the key wants: an address without a port, a name with a slash, an unknown word, a path that is empty." "Write it as the message and its example say." Ot r#"
name = "plant-a"
[broker]
address = "mqtts://10.10.0.5"
"#;
    "C009" "keys that need or exclude each other": "Keys or tables go together or exclude each other: TLS beside `plaintext = true`, a certificate without its key, a password without a user, a state directory inside of the journal, a key of the other half." "Keep one, or add the other one; the message names both." It r#"
[broker]
address = "broker.example.com:8883"
password-file = "password"
"#;
    "C010" "a secret that can't be used": "A password, key or key file can't be read, is empty, or may be read by others." "Mode 0600, or 0640 with the half's group; the hint has the command." Console "
$ sparkdiode check ot.toml
error[C010]: secret open to everybody: `/etc/sparkdiode/ot_password` has mode 0644
";
    "C011" "a certificate that can't be used": "A certificate or key can't be parsed, the two don't belong together, or there is no authority in the file." "`openssl x509 -noout -text -in FILE` shows what it is. PEM is wanted." Console "
$ sparkdiode check ot.toml
error[C011]: no certificate in `/etc/sparkdiode/credentials/ot/ca.pem`
";
    "C012" "the unit has less memory than the configuration may take": "`MemoryMax=` of the half's unit is below what its keys add up to at worst, so that the kernel could end the half." "A drop-in with the `MemoryMax=` that the hint names, or smaller keys." Console "
$ sparkdiode check /etc/sparkdiode/ot.toml
warning[C012]: this configuration may take 900M of memory, and /usr/lib/systemd/system/sparkdiode-ot.service lets it have 512M
";
    "C101" "neither encrypted nor authenticated": "A connection to a broker or a log server without TLS. Who stands on the way can read and change everything." "`[broker.tls]`, or `to = \"tls\"` for a log server, wherever it leaves a laboratory." Ot r#"
name = "plant-a"
[broker]
address = "10.10.0.5:1883"
plaintext = true
"#;
    "C102" "a credential that couldn't be looked at": "A path begins with `${CREDENTIALS_DIRECTORY}`, and there is no such directory here: systemd makes it for the unit alone." "Nothing, where a person checks the file. A half that starts takes it for an error." Ot r#"
name = "plant-a"
[broker]
address = "10.10.0.5:8883"
[broker.tls]
ca-file = "${CREDENTIALS_DIRECTORY}/ot_ca.pem"
"#;
    "C103" "a certificate out of its time, or of another kind": "A certificate isn't valid yet, is over, or ends soon; or it stands where another kind is wanted: one in `ca-file` that signs no other, or our own for servers alone." "Renew it, and put it at the same path: files are taken up without a restart. Or set the clock. Of another kind: `ca-file` wants the certificate of who signed the broker's, our own wants `clientAuth` among its purposes, if it names any." Console "
$ sparkdiode check ot.toml
warning[C103]: `client.pem` ends in 9 days, on 2026-12-07
";
};

pub(super) const TOGETHER: &[Code] = codes! {
    "C110" "two halves that don't fit together": "The files name different journals, one broker for both halves, brokers on one host, or limits by which the IT half refuses what the OT half sends." "Follow the hint; where one broker is meant, say `[sandbox] waive = [\"one-broker\"]` in both files." Console "
$ sparkdiode check ot.toml it.toml
error[C110]: both halves use one broker: `10.10.0.5:8883`
 --> it.toml
";
    "C111" "something that both halves share": "Both halves run as one user, write into one directory, keep state within each other's, or log to one server: a way between OT and IT beside the relay." "Give each half its own." Console "
$ sparkdiode check ot.toml it.toml
error[C111]: both halves run as one user: `relay`
 --> it.toml
";
    "C112" "the relay's own edge node has a name of the plant": "A rule forwards, or gives, the name under which the relay shows itself on IT." "Give the relay's own edge node another name in `[health]` of `it.toml`." Console "
$ sparkdiode check ot.toml it.toml
error[C112]: rule `relays` forwards the name of the relay's own edge node: `sparkdiode/plant-a`
 --> policies/relays.toml:1:1
";
    "C113" "two files of one half": "`check` got two configurations of the same half." "Give it one of each; what are compared are the two halves of one relay. Relays that share a plant have each a part of it: `[relay] shard`." Console "
$ sparkdiode check ot.toml ot-old.toml
error[C113]: a second time the OT half's file: `ot.toml` is one already
 --> ot-old.toml
";
    "C114" "the broker grants other things than the policy needs": "By the status of the half that runs, its broker refuses subscriptions that the policy forwards, or grants what the policy doesn't need." "`sparkdiode policy acl --mosquitto ot ot.toml` prints the access list that fits." Console "
$ sparkdiode check ot.toml
warning[C114]: the broker refuses what the policy forwards: spBv1.0/Plant1/NDATA/Line4
 --> ot.toml
";
    "C115" "the policy in shadow is refused": "What `[policies] observe` names is no policy that could come into force: nothing is compared. The policy in force isn't concerned, and the half starts." "Correct its files: what is wrong stands below it. Then SIGHUP." Console "
$ sparkdiode check ot.toml
warning[C115]: the policy in shadow is refused; the one in force isn't concerned
 --> ot.toml
warning[P004]: missing key: `action`
 --> next/line4.toml:1
";
    "C116" "relays that share a plant and don't fit together": "Their files name different numbers of shards, a shard twice or not at all, other policies, brokers or hosts, or something that each needs for itself: a name, a client identifier, an edge node of its own, directories. An edge node then has several relays or none, or one relay is in another's way." "Follow the hint; `sparkdiode check` with the files of all relays says when they fit. What is right on several machines alone (the same path of a journal, servers of one cluster) is a warning." Console "
$ sparkdiode check a/ot.toml b/ot.toml
error[C116]: shard 1/2 is that of `a/ot.toml` already
 --> b/ot.toml
";
    "C117" "ends of a link that don't fit together": "The files of a link's ends, or of an end and the half beside it, name different links, keys, sizes or journals, share a user or a directory, or have times that don't go together." "Follow the hint: name, key and `datagram-bytes` of both ends are the same, `[[path]] listen` is where `[[path]] to` leads, `reorder-ms` is above `close-after-ms` and `spread-ms` together." Console "
$ sparkdiode check send.toml receive.toml
error[C117]: the ends name different links: `plant-a` and `plant-b`
 --> receive.toml
";
    "C118" "the broker takes less": "`[broker] profile` says which broker it is, and by its maker's figures it takes fewer sessions, smaller messages, shorter names or fewer messages a second than the configuration allows or the plant has." "Follow the hint, which names a remedy and where the figure is written; where your contract says otherwise, leave `profile` out." Console "
$ sparkdiode check it.toml
warning[C118]: MQTT Distributor, standard licence takes 50 sessions, and there are 50 edge nodes and the relay's own
 --> it.toml
";
};
