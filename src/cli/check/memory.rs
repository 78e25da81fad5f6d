//! What a half takes of memory at most, by its configuration, and whether the unit lets it have that.

use std::fs;
use std::path::{Path, PathBuf};

use config::{ItConfig, OtConfig, SyslogConfig};
use diagnostic::{Diagnostic, Diagnostics};
use sparkplug::Budget;
use sparkplug::footprint::Term;

use super::lines::item;

/// What fragments: pages that are partly free, in hundredths of all the rest.
const FRAGMENTS_PERCENT: usize = 10;
/// A line of a log server's queue with its record, which several queues share.
const LINE_BYTES: usize = 4 * 1024;
/// What a policy takes in memory for each byte of its files, with tables of its globs, twice while
/// another one is read.
const POLICY_FACTOR: usize = 32;
/// Where units are, the more important ones first.
const UNIT_DIRS: [&str; 3] =
    ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"];

/// The terms of an OT half.
pub(super) fn of_ot(config: &OtConfig) -> Vec<Term> {
    let relay = &config.relay;
    let budget = Budget { node_bytes: relay.max_node_bytes, plant_bytes: relay.max_plant_bytes };
    let packet = usize::try_from(config.broker.max_packet_bytes).unwrap_or(usize::MAX);
    let terms = ot::memory::worst_case(budget, &config.limits, packet);
    let policies = [&config.policy_paths[..], &config.observed_paths].concat();
    complete(terms, &config.syslog, &policies)
}

/// The terms of an IT half.
pub(super) fn of_it(config: &ItConfig) -> Vec<Term> {
    let mirror = &config.mirror;
    let budget = Budget { node_bytes: mirror.max_node_bytes, plant_bytes: mirror.max_plant_bytes };
    let terms = it::memory::worst_case(budget, &config.limits, mirror.max_nodes);
    complete(terms, &config.syslog, &config.policy_paths)
}

/// Adds what both halves have, and what fragments.
pub(super) fn complete(
    mut terms: Vec<Term>,
    syslog: &[SyslogConfig],
    policies: &[PathBuf],
) -> Vec<Term> {
    let lines = syslog.iter().map(|target| target.queue_lines);
    let lines = lines.fold(0_usize, usize::saturating_add);
    if lines > 0 {
        let bytes = lines.saturating_mul(LINE_BYTES);
        terms.push(Term { what: "lines for log servers (syslog.queue-lines)", bytes });
    }
    let bytes = policies.iter().map(|path| policy_bytes(path)).fold(0, usize::saturating_add);
    if bytes > 0 {
        let bytes = bytes.saturating_mul(POLICY_FACTOR);
        terms.push(Term { what: "the policies in these files", bytes });
    }
    let sum = total(&terms);
    let bytes = (sum / 100).saturating_mul(FRAGMENTS_PERCENT);
    terms.push(Term { what: "what fragments", bytes });
    terms
}

fn policy_bytes(path: &Path) -> usize {
    let length = |path: &Path| {
        let length = fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|file| file.len());
        usize::try_from(length.unwrap_or_default()).unwrap_or(usize::MAX)
    };
    let Ok(entries) = fs::read_dir(path) else { return length(path) };
    let files = entries.flatten().map(|entry| entry.path());
    let files = files.filter(|file| file.extension().is_some_and(|ending| ending == "toml"));
    files.map(|file| length(&file)).fold(0, usize::saturating_add)
}

/// All of it.
pub(super) fn total(terms: &[Term]) -> usize {
    terms.iter().map(|term| term.bytes).fold(0, usize::saturating_add)
}

/// Says it in words, term by term, and warns of a unit that lets the half have less.
pub(super) fn describe(
    text: &mut String,
    unit: &str,
    path: &Path,
    terms: &[Term],
    warnings: &mut Diagnostics,
) {
    let all = total(terms);
    item(text, "memory", &format!("{} at most:", mebibytes(all)));
    for term in terms {
        item(text, "", &format!("{:>8} {}", mebibytes(term.bytes), term.what));
    }
    let Some((file, max)) = UNIT_DIRS.iter().find_map(|dir| {
        let file = Path::new(dir).join(unit);
        Some((memory_max(&fs::read_to_string(&file).ok()?)?, file)).map(|(max, file)| (file, max))
    }) else {
        return;
    };
    warnings.extend(too_little(path, &file, max, all));
}

/// That a unit gives a half less than it may take.
fn too_little(path: &Path, unit: &Path, max: usize, all: usize) -> Option<Diagnostic> {
    (max < all).then(|| {
        let (all, max) = (mebibytes(all), mebibytes(max));
        let title = format!(
            "this configuration may take {all} of memory, and {} lets it have {max}",
            unit.display()
        );
        Diagnostic::file_warning("C012", unit, title)
            .help(format!("`MemoryMax={all}` in a drop-in, or smaller keys in {}", path.display()))
    })
}

/// `MemoryMax=` of a unit, in bytes; `None` where it has none.
pub(super) fn memory_max(unit: &str) -> Option<usize> {
    let mut values = unit.lines().filter_map(|line| line.trim().strip_prefix("MemoryMax="));
    let value = values.next_back()?.trim();
    let (digits, unit) = value.split_at(value.trim_end_matches(char::is_alphabetic).len());
    let shift = match unit {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(1_usize.checked_shl(shift)?)
}

/// Rounded up: `1532M`, as systemd writes it.
fn mebibytes(bytes: usize) -> String {
    format!("{}M", bytes.div_ceil(1024 * 1024))
}
