//! Who may depend on whom: a table, compared with what Cargo says. An edge too many fails, and so
//! does one that is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::source::{packages, room_of, root};

/// The crates from the bottom up, as the members in Cargo.toml: each knows only crates above it
/// in this table. Behind the bar is what its tests know besides.
const CRATES: &str = "
mistake
clock
signals
text
foreign
sandbox
diagnostic
sparkplug        text
account          mistake sparkplug
tls              diagnostic text
broker           foreign text tls
stream           broker clock sandbox tls
client           broker stream
state            foreign mistake
journal-format
journal-segment  foreign journal-format
journal-read     journal-format journal-segment mistake text | journal-write
journal-write    journal-format journal-segment | journal-read
policy           account diagnostic mistake sparkplug text
signature        diagnostic policy text
telemetry        account clock mistake sandbox sparkplug text tls
link             mistake
config           clock diagnostic link policy sandbox signature sparkplug telemetry tls
ot               account broker client clock journal-format journal-write mistake policy sandbox signature sparkplug state stream telemetry text tls | diagnostic journal-read
it               account broker client clock journal-format journal-read mistake policy sandbox signature sparkplug state stream telemetry text tls | diagnostic ot
send             clock journal-format journal-read link sandbox signals state | journal-write
receive          clock journal-format journal-write link sandbox signals state | journal-read send
doctor           broker sandbox stream
tools            account diagnostic foreign journal-format mistake ot policy sparkplug text
strict-host      sparkplug
demo             account clock journal-format journal-read mistake sandbox sparkplug strict-host text
fuzz-targets     account broker config diagnostic it journal-format journal-read link ot policy sparkplug state tools
simulation       | account clock diagnostic it journal-format journal-read journal-write ot policy signature sparkplug strict-host
attackers
peers            sparkplug strict-host
two-networks     journal-format journal-read journal-write peers sparkplug
sparkdiode       account broker clock config demo diagnostic doctor foreign it journal-format journal-read journal-write link mistake ot policy receive sandbox send signature sparkplug state telemetry text tls tools | attackers peers strict-host two-networks
";

/// Crates of others that reach the network, the disk, the system or the keys, and who may use
/// them.
const REACHING: &str = "
aws-lc-rs        broker link signature policy sparkdiode
landlock         sandbox
libc             foreign state journal-write telemetry sandbox sparkdiode
rcgen            sparkdiode
rumqttc-v4-next  client demo
rumqttc-v5-next  client
rumqttd          demo
rustix           signals foreign telemetry sandbox receive demo peers two-networks sparkdiode
rustls           tls broker stream telemetry
sd-notify        telemetry
seccompiler      sandbox
signal-hook      signals
socket2          stream telemetry send receive
tokio            stream client ot it doctor demo fuzz-targets peers
tokio-rustls     stream
";

/// What a half may not know by any way, its dependencies' dependencies included.
const WALLS: [(&str, &[&str]); 7] = [
    ("ot", &["it", "journal-read", "config", "tools", "demo", "sparkdiode"]),
    ("it", &["ot", "journal-write", "config", "tools", "demo", "sparkdiode"]),
    // What goes over the link is bytes: neither end has a word for what they say.
    ("link", &["clock", "sparkplug", "journal-format", "telemetry", "policy"]),
    (
        "send",
        &["ot", "it", "journal-write", "config", "policy", "sparkplug", "tools", "sparkdiode"],
    ),
    (
        "receive",
        &["ot", "it", "send", "journal-read", "config", "policy", "sparkplug", "sparkdiode"],
    ),
    // The rest isn't one of the halves, and holds for both.
    ("policy", &["clock", "telemetry", "config", "state", "tls", "journal-format"]),
    ("journal-format", &["clock", "sparkplug", "policy", "telemetry"]),
];

/// Dependencies of a crate, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    always: BTreeSet<String>,
    in_tests: BTreeSet<String>,
}

/// The rows of a table; its order.
fn table(text: &str) -> (Vec<&str>, BTreeMap<&str, Known>) {
    let mut order = Vec::new();
    let mut rows = BTreeMap::new();
    for row in text.lines().filter(|row| !row.is_empty()) {
        let (name, rest) = row.split_once(' ').unwrap_or((row, ""));
        let (always, in_tests) = rest.split_once('|').unwrap_or((rest, ""));
        let names = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let known = Known { always: names(always), in_tests: names(in_tests) };
        order.push(name);
        assert!(rows.insert(name, known).is_none(), "{name} twice");
    }
    (order, rows)
}

/// What Cargo says, by crate: crates of ours if `ours`, else the others.
fn declared(ours: bool) -> BTreeMap<String, Known> {
    let mut crates = BTreeMap::new();
    for package in packages() {
        let mut known = Known::default();
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap();
            if name.starts_with("sparkdiode-") == ours {
                let name = room_of(name).to_owned();
                match &dependency["kind"] {
                    Value::Null => known.always.insert(name),
                    kind if kind == "dev" => known.in_tests.insert(name),
                    kind => panic!("{kind}-dependency of {}", package["name"]),
                };
            }
        }
        let Known { always, in_tests } = &mut known;
        in_tests.retain(|name| !always.contains(name));
        crates.insert(room_of(package["name"].as_str().unwrap()).to_owned(), known);
    }
    crates
}

#[test]
fn crates_depend_on_each_other_as_the_table_says() {
    let (_, table) = table(CRATES);
    let declared = declared(true);
    let names: BTreeSet<&str> = declared.keys().map(String::as_str).collect();
    assert_eq!(names, table.keys().copied().collect(), "a crate without a row, or a row without");
    for (name, wanted) in table {
        let found = &declared[name];
        let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(
            found,
            &wanted,
            "{name} isn't as the table says; it is:\n{name} {} | {}",
            list(&found.always),
            list(&found.in_tests)
        );
    }
}

#[test]
fn a_crate_knows_only_crates_above_it() {
    let (order, table) = table(CRATES);
    for (at, name) in order.iter().enumerate() {
        for known in &table[name].always {
            assert!(order[..at].contains(&known.as_str()), "{name} knows {known}, below it");
        }
    }
    // The members are in the same order, after the root package itself.
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let workspace = &manifest["workspace"];
    let members = |key: &str| -> Vec<String> {
        let of_ours = workspace[key].as_array().unwrap().iter().map(|member| {
            let directory = root().join(member.as_str().unwrap());
            let text = std::fs::read_to_string(directory.join("Cargo.toml")).unwrap();
            let manifest: toml::Table = text.parse().unwrap();
            room_of(manifest["package"]["name"].as_str().unwrap()).to_owned()
        });
        of_ours.collect()
    };
    let mut wanted = order.clone();
    wanted.rotate_right(1);
    assert_eq!(members("members"), wanted);
    assert_eq!(members("default-members"), wanted, "`cargo test` tests all of them");
}

#[test]
fn a_crate_is_in_the_folder_of_its_name() {
    for package in packages() {
        let name = room_of(package["name"].as_str().unwrap());
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let folder = match name {
            "sparkdiode" => root().to_owned(),
            "fuzz-targets" => root().join("tests/fuzz/targets"),
            "simulation" => root().join("tests/simulation"),
            "attackers" => root().join("tests/attackers"),
            "peers" => root().join("tests/peers"),
            "two-networks" => root().join("tests/two-networks"),
            name => root().join("src").join(name.replacen("journal-", "journal/", 1)),
        };
        assert_eq!(manifest.parent(), Some(&*folder));
    }
}

#[test]
fn what_reaches_outside_is_used_by_those_who_may() {
    let (_, table) = table(REACHING);
    let mut users: BTreeMap<&str, BTreeSet<String>> =
        table.keys().map(|name| (*name, BTreeSet::new())).collect();
    let declared = declared(false);
    for (name, known) in &declared {
        for other in &known.always {
            if let Some(users) = users.get_mut(other.as_str()) {
                users.insert(name.clone());
            }
        }
    }
    for (name, wanted) in &table {
        assert_eq!(users[name], wanted.always, "users of {name}");
    }
}

#[test]
fn no_half_can_reach_what_it_may_not_know_through_others() {
    let (_, table) = table(CRATES);
    for (from, forbidden) in WALLS {
        let mut reached = BTreeSet::new();
        let mut next = vec![from];
        while let Some(name) = next.pop() {
            let known = &table[name].always;
            next.extend(known.iter().map(String::as_str).filter(|other| reached.insert(*other)));
        }
        for name in forbidden {
            assert!(table.contains_key(name), "no crate {name}");
            assert!(!reached.contains(name), "{from} reaches {name}");
        }
    }
}

#[test]
fn the_parts_of_the_journal_are_inside_of_its_two_ends() {
    let (_, table) = table(CRATES);
    let knows = |part: &str| -> Vec<&str> {
        let knowing = table.iter().filter(|(_, known)| known.always.contains(part));
        knowing.map(|(name, _)| *name).collect()
    };
    assert_eq!(knows("journal-segment"), ["journal-read", "journal-write"]);
    // The last one is for tests.
    assert_eq!(knows("journal-write"), ["ot", "receive", "sparkdiode", "two-networks"]);
    assert!(!knows("journal-read").contains(&"ot"));
}
