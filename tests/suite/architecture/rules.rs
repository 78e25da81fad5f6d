//! What is read from the source because no crate boundary can hold it.

use super::source::{FILES, File};
use super::words::{Kind, Word};

/// What a rule finds in a file: place and reason, for people.
pub(super) type Faults = Vec<String>;

/// Rooms of this repository that read no clock and do no input or output: a crate, and the modules
/// of it (none: all).
const PURE: &[(&str, &[&str])] = &[
    ("mistake", &[]),
    ("text", &[]),
    ("sparkplug", &[]),
    ("journal-format", &[]),
    ("account", &[]),
    ("policy", &[]),
    ("ot", &["pipeline", "plant"]),
    ("it", &["mirror"]),
    ("link", &[]),
    ("tools", &["dry_run"]),
];
/// What they would need for it.
const IMPURE: &[&[&str]] = &[
    &["std", "env"],
    &["std", "fs"],
    &["std", "io"],
    &["std", "net"],
    &["std", "os"],
    &["std", "process"],
    &["std", "thread"],
    &["libc"],
    &["rustix"],
    &["socket2"],
    &["tokio"],
];

/// Methods of a path that ask the file system.
const ASKING: &[&str] = &[
    "canonicalize",
    "exists",
    "is_dir",
    "is_file",
    "is_symlink",
    "read_dir",
    "read_link",
    "symlink_metadata",
    "try_exists",
];
/// Crates that are built without the standard library, which has all of that.
const NO_STD: &[&str] = &["sparkplug", "journal-format", "account"];

/// `unsafe` has one room, tests included, and nobody else switches the lint off.
pub(super) fn unsafe_outside_the_sandbox(file: &File) -> Faults {
    if file.room == "sandbox" {
        return Vec::new();
    }
    let place = |line: &usize| format!("{}:{line}: unsafe code", file.path.display());
    file.unsafe_lines.iter().map(place).collect()
}

/// Code that isn't in a file of its own room is seen by no rule.
pub(super) fn included_code(file: &File) -> Faults {
    let includes = |word: &&Word| word.last() == "include" && word.kind == Kind::Called;
    file.words.iter().filter(includes).map(|word| file.place(word)).collect()
}

/// Only the room `client` knows the crates that speak MQTT, and it passes them on to nobody; the demo
/// has a plant of its own.
pub(super) fn mqtt_client_outside_its_room(file: &File) -> Faults {
    if file.room == "demo" {
        return Vec::new();
    }
    let faulty = |word: &&Word| {
        let exported = matches!(word.kind, Kind::Export { .. } | Kind::ExternCrate);
        word.path.iter().any(|name| name.starts_with("rumqttc"))
            && (file.room != "client" || exported)
    };
    file.words.iter().filter(faulty).map(|word| file.place(word)).collect()
}

/// The OT half has no word for a publication: whatever it is called, it is refused.
pub(super) fn publications_in_ot(file: &File) -> Faults {
    if file.room != "ot" {
        return Vec::new();
    }
    let faulty = |word: &&Word| word.path.iter().any(|name| speaks_of_publishing(name));
    file.product().filter(faulty).map(|word| file.place(word)).collect()
}

fn speaks_of_publishing(name: &str) -> bool {
    let name = name.to_lowercase().replace('_', "");
    ["publish", "publication", "lastwill", "setwill"].iter().any(|word| name.contains(word))
        || name == "will"
}

/// Nor has the part of the client that is made for it: it publishes nothing, and leaves no will.
pub(super) fn publications_of_a_subscriber(file: &File) -> Faults {
    if file.room != "client" || file.module.first().is_none_or(|module| module != "subscriber") {
        return Vec::new();
    }
    let faulty =
        |word: &&Word| word.path.iter().any(|name| speaks_of_publishing(name) || name == "leave");
    file.product().filter(faulty).map(|word| file.place(word)).collect()
}

/// Neither half has a word for the other, whatever Cargo lets it see in tests.
pub(super) fn the_other_half(file: &File) -> Faults {
    let other = match file.room.as_str() {
        "ot" => "it",
        "it" => "ot",
        _ => return Vec::new(),
    };
    let faulty = |word: &&Word| {
        // A path that begins there, from the root of a crate too; `it` alone may be a variable.
        let first = word.path.iter().position(|name| name != "crate");
        let named = first.is_some_and(|at| word.path[at] == other);
        let import = matches!(word.kind, Kind::Import { .. } | Kind::Export { .. });
        named && (import || word.kind == Kind::ExternCrate || word.path.len() > 1)
    };
    file.product().filter(faulty).map(|word| file.place(word)).collect()
}

/// Pure rooms have no word for a clock, a file, a socket or a process.
pub(super) fn impure_words(file: &File) -> Faults {
    let pure = PURE.iter().any(|(room, modules)| {
        file.room == *room
            && (modules.is_empty()
                || file.module.first().is_some_and(|first| modules.contains(&first.as_str())))
    });
    if !pure {
        return Vec::new();
    }
    let faulty = |word: &&Word| {
        let outside = IMPURE.iter().any(|path| word.starts_with(path));
        let clock = reads_a_clock(word);
        // Under another name it would be seen by nobody.
        let whole = word.path == ["std"] && word.kind != Kind::Tokens;
        let asks = word.kind == Kind::Method && ASKING.contains(&word.last()) && !file.no_std;
        let taken_in = word.kind == Kind::ExternCrate && word.path != ["alloc"];
        outside || clock || asks || whole || taken_in
    };
    file.product().filter(faulty).map(|word| file.place(word)).collect()
}

/// `Instant` is of no use without a clock; `SystemTime` is also what a calendar takes.
fn reads_a_clock(word: &Word) -> bool {
    let path: Vec<&str> = word.path.iter().map(String::as_str).collect();
    // Ours, which reads the clocks for drivers; a value may be called so, too.
    let imports = matches!(word.kind, Kind::Import { .. } | Kind::Export { .. });
    let ours = path.first() == Some(&"clock") && (path.len() > 1 || imports);
    ours || path.windows(2).any(|pair| pair == ["time", "Instant"])
        || [["Instant", "now"], ["SystemTime", "now"]].iter().any(|call| path.ends_with(call))
        || word.kind == Kind::Method && path == ["elapsed"]
}

fn none(rule: fn(&File) -> Faults, why: &str) {
    let faults: Faults = FILES.iter().flat_map(rule).collect();
    assert!(faults.is_empty(), "{why}:\n{}", faults.join("\n"));
}

#[test]
fn unsafe_code_is_only_in_the_sandbox() {
    none(unsafe_outside_the_sandbox, "only src/sandbox may have unsafe code");
    assert!(FILES.iter().any(|file| file.room == "sandbox" && !file.unsafe_lines.is_empty()));
}

#[test]
fn no_code_is_included_from_elsewhere() {
    none(included_code, "a module says what is compiled");
}

#[test]
fn only_one_room_knows_the_mqtt_client() {
    none(mqtt_client_outside_its_room, "a client could publish");
    let mut room = FILES.iter().filter(|file| file.room == "client");
    let knows = |file: &File| file.words.iter().any(|word| word.path[0] == "rumqttc");
    assert!(room.any(knows), "the client has another name than it had");
}

#[test]
fn the_ot_half_has_no_word_for_a_publication() {
    none(publications_in_ot, "nothing can be published on the OT broker");
    none(publications_of_a_subscriber, "it is what the OT half has");
    let subscriber = |file: &File| file.room == "client" && file.module == ["subscriber"];
    assert!(FILES.iter().any(subscriber), "no room for it");
}

#[test]
fn the_halves_do_not_know_each_other() {
    none(the_other_half, "the halves share a journal and nothing else");
}

#[test]
fn pure_rooms_have_no_input_output_and_no_clock() {
    none(impure_words, "time is an argument, and so is all that is read");
    for (room, modules) in PURE {
        assert!(FILES.iter().any(|file| file.room == *room), "no room {room}");
        for module in *modules {
            let is_it = |file: &File| file.room == *room && file.module == [*module];
            assert!(FILES.iter().any(is_it), "no module {module} in {room}");
        }
    }
}

#[test]
fn some_crates_are_built_without_the_standard_library() {
    for room in NO_STD {
        let root = FILES.iter().find(|file| file.room == *room && file.module.is_empty()).unwrap();
        assert!(root.no_std, "{room}");
    }
}

/// What was proved is a value with one maker: privacy keeps other modules from making it, this
/// keeps further functions of its own module from it.
#[test]
fn a_proof_is_made_in_one_file() {
    // `Permit` is made by verdicts and by the two questions for a node and a device, `Admitted`
    // from it and for deaths.
    for (room, proof, at, times) in [
        ("sandbox", "Confined", "src/sandbox/lib.rs", 1),
        ("policy", "Permit", "src/policy/admitted.rs", 3),
        ("policy", "Admitted", "src/policy/admitted.rs", 2),
    ] {
        let makers: Vec<String> = FILES
            .iter()
            .filter(|file| file.room == room)
            .flat_map(|file| file.product().map(move |word| (file, word)))
            .filter(|(_, word)| word.kind == Kind::Made && word.last() == proof)
            .map(|(file, word)| file.place(word))
            .collect();
        assert_eq!(makers.len(), times, "{proof}: {makers:?}");
        assert!(makers.iter().all(|place| place.starts_with(&format!("{at}:"))), "{makers:?}");
    }
}
