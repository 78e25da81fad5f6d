//! What the pace of a link is used for, in figures.

use std::path::Path;

use config::SendConfig;
use diagnostic::{Diagnostic, Diagnostics};
use text::{counted_grouped, rough_size};

use super::super::lines::item;
use super::{scaled, time};

/// What a datagram has beside its symbol: header, kind, places, tag, and the length of the symbol.
const AROUND_BYTES: u64 = 40 + 1 + 16 + 14 + 2;
/// Of the pace, for new frames: with less, something is set that wasn't meant.
const LEAST_FOR_NEW: u64 = 10;

/// Shares of a link's pace, bytes per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shares {
    /// What the paces of bytes and of datagrams come to.
    all: u64,
    /// Frames that are new, while the second pass has its share.
    new: u64,
    /// Frames, of which all go again.
    again: u64,
}

impl Shares {
    fn of(config: &SendConfig) -> Shares {
        let options = &config.options;
        let datagram = u64::try_from(options.datagram_bytes).unwrap_or(u64::MAX);
        let rates = options.rates;
        let all = rates.bytes_per_s.min(rates.packets_per_s.saturating_mul(datagram));
        let share = u64::from(options.second_pass.share_percent);
        let overhead = u64::from(options.blocks.overhead_permille);
        // Of each datagram its content, of each content what isn't repair.
        let frames = |bytes: u64| {
            let content = scaled(bytes, datagram.saturating_sub(AROUND_BYTES), datagram.max(1));
            scaled(content, 1_000, overhead.saturating_add(1_000))
        };
        let part = |percent: u64| scaled(all, percent, 100);
        Shares { all, new: frames(part(100_u64.saturating_sub(share))), again: frames(part(share)) }
    }
}

/// Says it in words, and warns of a pace that leaves next to nothing.
pub(super) fn describe(
    text: &mut String,
    path: &Path,
    config: &SendConfig,
    warnings: &mut Diagnostics,
) {
    let options = &config.options;
    let shares = Shares::of(config);
    let Shares { all, new, again } = shares;
    let packets = options.rates.packets_per_s;
    let datagram = options.datagram_bytes;
    let pace = format!(
        "{}/s at most in {}/s of at most {datagram} bytes, whatever arrives",
        rough_size(all),
        counted_grouped(packets, "datagram")
    );
    item(text, "pace", &pace);
    item(text, "", &format!("{}/s of it for new frames at least", rough_size(new)));
    let blocks = &options.blocks;
    let percent = blocks.overhead_permille / 10;
    let symbols = counted_grouped(blocks.symbols, "datagram");
    let repair = format!(
        "{percent} % in blocks of up to {symbols} or {}, spread over {}",
        time(blocks.close_after),
        time(blocks.spread)
    );
    item(text, "repair", &repair);
    let lost = blocks.close_after.saturating_add(blocks.spread);
    item(
        text,
        "",
        &format!("so a frame that is lost and repaired comes up to {} later", time(lost)),
    );
    let pass = &options.second_pass;
    if pass.share_percent == 0 {
        item(text, "again", "nothing is sent a second time but by `sparkdiode resend`");
    } else {
        let times = format!(
            "what is {} old is sent again until it is {} old",
            time(pass.after),
            time(pass.window)
        );
        item(text, "again", &times);
        item(text, "", &format!("as far as it is {}/s of frames or less", rough_size(again)));
    }
    if new < scaled(all, LEAST_FOR_NEW, 100) {
        let title =
            format!("of {}/s only {}/s are left for new frames", rough_size(all), rough_size(new));
        let problem = Diagnostic::file_warning(super::beside::CODE, path, title)
            .help("`[repair] overhead-percent` and `[second-pass] share-percent` take the rest, or datagrams are too short");
        warnings.push(problem);
    }
}
