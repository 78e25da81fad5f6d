//! An appliance where the package is installed: its units read configurations that are there already.
//! What is found is told, what is missing is made, nothing is changed.

use std::fs;
use std::path::{Path, PathBuf};

use super::samples::{IT, IT_BROKER, NAME, OT, OT_BROKER, SetUp, files};
use super::{Failure, InitArgs, NewFile, shell_word, write_all};

/// Where units are, the more important ones first.
const UNIT_DIRS: [&str; 3] = ["etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system"];
const UNIT: &str = "sparkdiode-ot.service";
/// What they read, as they are shipped.
const DIRECTORY: &str = "/etc/sparkdiode";
const READS: &str = "--config /etc/sparkdiode/ot.toml";

/// The units of a relay on this machine.
pub(super) struct Installed {
    root: PathBuf,
    unit: PathBuf,
}

impl Installed {
    /// Looks for units below `root` that read what shipped ones read.
    pub(super) fn find(root: &Path) -> Option<Installed> {
        let units = UNIT_DIRS.map(|directory| root.join(directory).join(UNIT));
        let unit = units.into_iter().find(|unit| unit.is_file())?;
        let text = fs::read_to_string(&unit).ok()?;
        let reads =
            text.lines().any(|line| line.starts_with("ExecStart=") && line.ends_with(READS));
        reads.then(|| Installed { root: root.to_owned(), unit })
    }

    /// Whether the units read what is in `directory`.
    pub(super) fn reads(&self, directory: &Path) -> bool {
        let own = self.at(DIRECTORY);
        match (directory.canonicalize(), own.canonicalize()) {
            (Ok(one), Ok(other)) => one == other,
            _ => std::path::absolute(directory).is_ok_and(|directory| directory == own),
        }
    }

    /// One line about them.
    pub(super) fn words(&self) -> String {
        format!("found {}, which reads {DIRECTORY}/ot.toml", self.unit.display())
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.at(DIRECTORY).join(name)).ok()
    }
}

/// What is at one place of an installed appliance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// The package's own, in which nothing is set yet.
    Shipped,
    /// Somebody's, or one of another version's.
    Own,
    Missing,
}

impl Found {
    fn of(text: Option<&str>, shipped: &str) -> Found {
        match text {
            None => Found::Missing,
            Some(text) if text == shipped => Found::Shipped,
            Some(_) => Found::Own,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Found::Shipped => "as it is shipped: its addresses are samples",
            Found::Own => "isn't the sample of this version; left as it is",
            Found::Missing => "missing",
        }
    }
}

/// Tells what is there, makes what isn't, and says what is left to do.
pub(super) fn complete(
    installed: &Installed,
    arguments: &InitArgs,
    is_root: bool,
    set_up: impl FnOnce() -> Result<SetUp, Failure>,
) -> Result<String, Failure> {
    let ot = Found::of(installed.text("ot.toml").as_deref(), OT);
    let it = Found::of(installed.text("it.toml").as_deref(), IT);
    let policies = policies(&installed.at(DIRECTORY).join("policies"));
    let mut text = format!("{}:\n", installed.words());
    for (name, words) in [
        ("ot.toml", ot.words().to_owned()),
        ("it.toml", it.words().to_owned()),
        ("policies", policies_words(policies.as_deref())),
    ] {
        text.push_str(&format!("  {DIRECTORY}/{name:<10}{words}\n"));
    }

    // A rule beside those of somebody would let out what nobody asked for.
    let no_policy = policies.as_ref().is_some_and(Vec::is_empty);
    let is_wanted = |file: &NewFile| match file.name.as_str() {
        "ot.toml" => ot == Found::Missing,
        "it.toml" => it == Found::Missing,
        _ => no_policy && ot != Found::Own,
    };
    let wanted: Vec<NewFile> =
        files(arguments, Path::new(DIRECTORY)).into_iter().filter(is_wanted).collect();
    let mut made: Vec<String> = Vec::new();
    if is_root {
        write_all(&installed.at(DIRECTORY), &wanted)?;
        made.extend(wanted.iter().map(|file| format!("{DIRECTORY}/{}", file.name)));
    }
    let set_up = set_up()?;
    made.extend(set_up.made.iter().map(ToString::to_string));
    if made.is_empty() {
        text.push_str("nothing was made, and nothing changed\n");
    } else {
        text.push_str("nothing of it was changed; made:\n");
        made.iter().for_each(|path| text.push_str(&format!("  {path}\n")));
    }

    text.push_str("\nNext, as root:\n");
    if !is_root && !wanted.is_empty() {
        text.push_str(&format!("  sparkdiode init --appliance {DIRECTORY}   # what is missing\n"));
    }
    let steps = set_up.to_do.into_iter().chain(steps(installed, arguments, ot, it));
    steps.for_each(|line| text.push_str(&format!("  {line}\n")));
    Ok(text)
}

/// What is left to do, in this order.
fn steps(installed: &Installed, arguments: &InitArgs, ot: Found, it: Found) -> Vec<String> {
    let mut steps = Vec::new();
    for net in ["ot.net", "it.net"] {
        let text = installed.text(net);
        if text.is_none_or(|text| text.lines().any(|line| line.trim_end() == "INTERFACE=")) {
            steps.push(format!("editor {DIRECTORY}/{net}   # NIC, address and peers"));
        }
    }
    let ot_values = [("address", OT_BROKER, &arguments.ot_broker), ("name", NAME, &arguments.name)];
    let it_values = [("address", IT_BROKER, &arguments.it_broker)];
    for (file, found, values) in [("ot.toml", ot, &ot_values[..]), ("it.toml", it, &it_values[..])]
    {
        let text = installed.text(file).unwrap_or_default();
        let given = values.iter().filter_map(|(key, sample, given)| {
            let line = format!("{key} = \"{}\"", given.as_ref()?);
            if found == Found::Shipped {
                let script = format!("s|^{key} = \"{sample}\"|{line}|");
                return Some(format!("sed -i {} {DIRECTORY}/{file}", shell_word(&script)));
            }
            let is_set = text.lines().any(|own| own == line);
            (!is_set).then(|| format!("editor {DIRECTORY}/{file}   # {line}"))
        });
        // What was missing has been written with them.
        steps.extend(given.filter(|_| found != Found::Missing));
        let has_address = values.first().is_some_and(|(_, _, given)| given.is_some());
        if found == Found::Shipped && !has_address {
            steps.push(format!("editor {DIRECTORY}/{file}   # the address of its broker"));
        }
    }
    for side in ["ot", "it"] {
        let directory = format!("{DIRECTORY}/credentials/{side}");
        let is_empty =
            fs::read_dir(installed.at(&directory)).map(|mut files| files.next().is_none());
        let yours = match is_empty {
            Ok(false) => continue,
            Ok(true) => format!("yours of {side}"),
            // Nobody but root sees whether they are there.
            Err(_) => format!("yours of {side}, unless they are there"),
        };
        steps.push(format!("install -m 0600 ca.pem client.pem client.key {directory}   # {yours}"));
    }
    if ot != Found::Own {
        steps.push(format!("editor {DIRECTORY}/policies/*.toml   # what may leave"));
    }
    let both = format!("{DIRECTORY}/ot.toml {DIRECTORY}/it.toml");
    steps.push(format!("sparkdiode check {both}"));
    steps.push(format!("sparkdiode doctor {both}"));
    steps.push("systemctl enable --now sparkdiode.target sparkdiode-ot sparkdiode-it".to_owned());
    steps
}

/// The policies of a directory; `None` if it can't be read.
fn policies(directory: &Path) -> Option<Vec<String>> {
    if !directory.exists() {
        return Some(Vec::new());
    }
    let entries = fs::read_dir(directory).ok()?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".toml")).collect();
    names.sort();
    Some(names)
}

fn policies_words(policies: Option<&[String]>) -> String {
    match policies {
        None => "can't be read".to_owned(),
        Some([]) => "no policy is in it".to_owned(),
        Some(names) => text::clean(&names.join(", "), 200),
    }
}

#[cfg(test)]
mod tests;
