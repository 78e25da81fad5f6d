//! `[status]` and `[metrics]` of both files: what a half writes about itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::reader::{Reader, code};

/// `every-s`: a person who watches sees a number that moves, and a disk hardly notices.
const DEFAULT_EVERY_S: u64 = 2;
/// `summary-every-s`: a line a minute is what a SOC's search finds a minute's account by.
const DEFAULT_SUMMARY_EVERY_S: u64 = 60;
/// How node_exporter's collector knows its files.
const TEXTFILE_END: &str = ".prom";

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

/// `[status]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawStatus {
    every_s: Option<Spanned<i64>>,
    summary_every_s: Option<Spanned<i64>>,
}

/// `[metrics]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawMetrics {
    textfile: Option<Spanned<String>>,
}

impl StatusConfig {
    /// The directory of the textfile.
    pub fn textfile_directory(&self) -> Option<PathBuf> {
        self.textfile.as_deref().and_then(Path::parent).map(Path::to_owned)
    }

    pub(super) fn read(
        reader: &mut Reader,
        status: Option<Spanned<RawStatus>>,
        metrics: Option<Spanned<RawMetrics>>,
    ) -> StatusConfig {
        let status = status.map(Spanned::into_inner).unwrap_or_default();
        let metrics = metrics.map(Spanned::into_inner).unwrap_or_default();
        let every_s = reader.number("every-s", status.every_s.as_ref(), 1..=60, DEFAULT_EVERY_S);
        let summary_every_s = reader.number(
            "summary-every-s",
            status.summary_every_s.as_ref(),
            10..=86_400,
            DEFAULT_SUMMARY_EVERY_S,
        );
        let textfile = metrics.textfile.map(|textfile| {
            if !textfile.get_ref().ends_with(TEXTFILE_END) {
                let title = format!("bad value of `textfile`: `{}`", textfile.get_ref());
                let problem = reader
                    .error(code::VALUE, textfile.span(), title)
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
