//! `[status]` and `[metrics]` of both files: what a half writes about itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use diagnostic::Section;

use super::code;
use super::reader::Reader;

/// `every-s`: a person who watches sees a number that moves, and a disk hardly notices.
const DEFAULT_EVERY_S: u64 = 2;
/// `summary-every-s`: a line a minute is what a SOC's search finds a minute's account by.
const DEFAULT_SUMMARY_EVERY_S: u64 = 60;
/// How node_exporter's collector knows its files.
const TEXTFILE_END: &str = ".prom";

/// `[health] publish-every-s`: a host's trend has enough of it, and its historian not too much.
const DEFAULT_HEALTH_EVERY_S: u64 = 10;
/// `[health] group`: no plant has a group of this name.
const DEFAULT_HEALTH_GROUP: &str = "sparkdiode";

/// `[health]` of `it.toml`: the relay's own edge node on IT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthConfig {
    pub group: String,
    /// `None`: the relay's name.
    pub edge_node: Option<String>,
    /// Values that have changed are told this often. 1 s to 1 h.
    pub every: Duration,
}

impl HealthConfig {
    /// `None`: it is switched off.
    pub(super) fn read(reader: &mut Reader, top: &mut Section<'_, '_>) -> Option<HealthConfig> {
        let keys = &["enabled", "group", "edge-node", "publish-every-s"];
        let section = &mut reader.table(top, "health", keys);
        let enabled = reader.boolean(section, "enabled", true);
        let group = reader.text(section, "group", level_fault);
        let edge_node = reader.text(section, "edge-node", level_fault);
        let every_s = reader.number(section, "publish-every-s", 1..=3_600, DEFAULT_HEALTH_EVERY_S);
        reader.close(section);
        enabled.then(|| HealthConfig {
            group: group.unwrap_or_else(|| DEFAULT_HEALTH_GROUP.to_owned()),
            edge_node,
            every: Duration::from_secs(every_s),
        })
    }
}

/// A group or an edge node is one topic level (Sparkplug 3.0 §4.1.2).
pub(super) fn level_fault(name: &str) -> Option<String> {
    let fits = (1..=128).contains(&name.len())
        && !name.chars().any(|letter| "+#/".contains(letter) || letter.is_control());
    (!fits).then(|| "wanted 1 to 128 characters without `+`, `#`, `/`".to_owned())
}

/// What a half writes about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusConfig {
    /// Status file and textfile are written this often. 1 to 60 s.
    pub every: Duration,
    /// The summary event comes this often. 10 s to 24 h.
    pub summary_every: Duration,
    /// File for node_exporter's textfile collector.
    pub textfile: Option<PathBuf>,
}

impl StatusConfig {
    /// The directory of the textfile.
    pub fn textfile_directory(&self) -> Option<PathBuf> {
        self.textfile.as_deref().and_then(Path::parent).map(Path::to_owned)
    }

    pub(super) fn read(reader: &mut Reader, top: &mut Section<'_, '_>) -> StatusConfig {
        let section = &mut reader.table(top, "status", &["every-s", "summary-every-s"]);
        let every_s = reader.number(section, "every-s", 1..=60, DEFAULT_EVERY_S);
        let summary_every_s =
            reader.number(section, "summary-every-s", 10..=86_400, DEFAULT_SUMMARY_EVERY_S);
        reader.close(section);
        let section = &mut reader.table(top, "metrics", &["textfile"]);
        let textfile = section.string("textfile", &mut reader.problems);
        reader.close(section);
        let textfile = textfile.map(|textfile| {
            if !textfile.value.ends_with(TEXTFILE_END) {
                let title = format!("bad value of `textfile`: `{}`", textfile.value);
                let problem = reader
                    .error(code::VALUE, textfile.span.clone(), title)
                    .label("wanted a file name that ends with `.prom`")
                    .help("node_exporter's textfile collector reads no others");
                reader.push(problem);
            }
            reader.path("textfile", &textfile).path
        });
        StatusConfig {
            every: Duration::from_secs(every_s),
            summary_every: Duration::from_secs(summary_every_s),
            textfile,
        }
    }
}
