//! `ot.toml`, `it.toml`, `send.toml` and `receive.toml`, as a person may write them.

use std::path::Path;
use std::time::Duration;

use config::{ItConfig, OtConfig, ReceiveConfig, SendConfig};
use diagnostic::{Diagnostics, SourceFile};

use crate::diagnostics;

/// Below this directory nothing exists, so that a name in the text can't lead anywhere.
const NOWHERE: &str = "/nonexistent/sparkdiode/fuzz.toml";

/// Reads any text as each of the files.
///
/// - What is refused has an error, and every message names a place within the text.
/// - What is accepted is within the bounds that the documentation gives.
/// - Reading twice gives the same.
pub fn configuration(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Some(text) = &within(text) else { return };
    let text = text.as_str();
    let file = || SourceFile::new(NOWHERE, text);
    match OtConfig::check(file()) {
        Ok((config, warnings)) => {
            told(&warnings, text, false);
            ot(&config);
            let (again, _) = OtConfig::check(file()).expect("the same text");
            assert_eq!(format!("{config:?}"), format!("{again:?}"));
        }
        Err(problems) => told(&problems, text, true),
    }
    match ItConfig::check(file()) {
        Ok((config, warnings)) => {
            told(&warnings, text, false);
            it(&config);
        }
        Err(problems) => told(&problems, text, true),
    }
    match SendConfig::check(file()) {
        Ok((config, warnings)) => {
            told(&warnings, text, false);
            send(&config);
        }
        Err(problems) => told(&problems, text, true),
    }
    match ReceiveConfig::check(file()) {
        Ok((config, warnings)) => {
            told(&warnings, text, false);
            receive(&config);
        }
        Err(problems) => told(&problems, text, true),
    }
}

/// The text with every path within [`NOWHERE`]: one that is absolute would have files read.
fn within(text: &str) -> Option<String> {
    let is_plain = !text.contains(['\\']) && !text.contains("\"\"\"") && !text.contains("'''");
    let mut text = text.replace("..", "._");
    while text.contains("\"/") || text.contains("'/") {
        text = text.replace("\"/", "\"").replace("'/", "'");
    }
    is_plain.then_some(text)
}

fn told(problems: &Diagnostics, text: &str, refused: bool) {
    assert_eq!(problems.has_errors(), refused, "{problems}");
    diagnostics::check(problems, &[text]);
}

fn ot(config: &OtConfig) {
    let relay = &config.relay;
    let seconds = |from, to| Duration::from_secs(from)..=Duration::from_secs(to);
    assert!(seconds(5, 3_600).contains(&relay.keyframe_every), "{relay:?}");
    assert!(seconds(0, 60).contains(&relay.reorder_timeout), "{relay:?}");
    assert!(seconds(5, 604_800).contains(&relay.doubt_after), "{relay:?}");
    assert!((1..=100_000).contains(&relay.max_nodes), "{relay:?}");
    assert!((1..=100_000).contains(&relay.max_devices_per_node), "{relay:?}");
    assert!(config.journal.segment_bytes <= config.journal.retain_bytes, "{config:?}");
    assert!(!config.policy_paths.is_empty(), "a policy is named");
    let paths = config.policy_paths.iter().chain([&config.journal.path, &config.state_dir]);
    assert!(paths.into_iter().all(|path| path.starts_with(base())), "{config:?}");
    assert!(!config.client_id.is_empty() && !config.name.is_empty());
}

fn it(config: &ItConfig) {
    assert!((1..=100_000).contains(&config.mirror.max_nodes), "{config:?}");
    assert!((1..=100_000).contains(&config.mirror.max_devices_per_node), "{config:?}");
    assert!(config.journal_path.starts_with(base()), "{config:?}");
    assert!(config.mirror.stale_after > Duration::ZERO, "{config:?}");
    assert!(!config.client_id_prefix.is_empty(), "{config:?}");
}

fn send(config: &SendConfig) {
    let options = &config.options;
    assert!((256..=65_507).contains(&options.datagram_bytes), "{config:?}");
    assert!(options.rates.bytes_per_s >= 1_200 && options.rates.packets_per_s >= 20, "{config:?}");
    assert!(options.second_pass.after < options.second_pass.window, "{config:?}");
    assert!((1..=8).contains(&config.paths.len()), "{config:?}");
    let spoken = |path: &config::SendPath| path.to.ip().is_multicast() || path.to.port() == 0;
    assert!(!config.paths.iter().any(spoken), "{config:?}");
    assert!(config.journal_path.starts_with(base()), "{config:?}");
}

fn receive(config: &ReceiveConfig) {
    let options = &config.options;
    assert_eq!(options.paths, config.paths.len());
    assert!((1..=8).contains(&config.paths.len()), "{config:?}");
    assert!((1..=4_096).contains(&options.max_blocks), "{config:?}");
    assert!(options.reorder <= Duration::from_secs(120), "{config:?}");
    assert!(config.journal.path.starts_with(base()), "{config:?}");
}

fn base() -> &'static Path {
    Path::new(NOWHERE).parent().unwrap_or(Path::new("/"))
}
