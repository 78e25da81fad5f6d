//! One line per frame, for people.

use std::io::{self, Write};

use journal_format::{Body, Frame};
use journal_read::Lost;
use sparkplug::{Metric, value};
use text::{counted, escape, format_utc_ms};

use super::layout::Message;

/// Characters of one value that are shown; `--json` has all of it.
const MAX_VALUE_CHARS: usize = 200;

/// `{seq} {time} [late] {kind} …`
pub(super) fn frame(
    out: &mut impl Write,
    frame: &Frame,
    message: Option<&Message<'_>>,
    is_late: bool,
) -> io::Result<()> {
    write!(out, "{} {} ", frame.seq, format_utc_ms(frame.appended_ms))?;
    if is_late {
        write!(out, "late ")?;
    }
    match &frame.body {
        None => write!(out, "unknown")?,
        Some(Body::Start(start)) => {
            write!(
                out,
                "start relay=\"{}\" epoch={} version={} policy={} keyframe-every={}s",
                escape(&start.relay_name),
                start.epoch,
                escape(&start.version),
                escape(&start.policy_digest),
                start.keyframe_every_s
            )?;
            if let Some(version) = start.policy_version {
                write!(out, " policy-version={version}")?;
            }
            for signer in &start.policy_signers {
                write!(out, " signer=\"{}\"", escape(signer))?;
            }
            if start.tightened_seq > 0 {
                write!(out, " tightened={}", start.tightened_seq)?;
            }
        }
        Some(Body::Relayed(relayed)) => {
            write!(out, "message {} \"{}\"", escape(&relayed.topic), escape(&relayed.source))?;
            if relayed.loss_before {
                write!(out, " loss-before")?;
            }
            if relayed.synthetic {
                write!(out, " synthetic")?;
            }
            if !relayed.withdrawn.is_empty() {
                write!(out, " withdrawn={}", escape(&relayed.withdrawn))?;
            }
        }
        Some(Body::Keyframe(keyframe)) => {
            write!(out, "keyframe {} \"{}\"", escape(&keyframe.topic), escape(&keyframe.source))?;
            if keyframe.uncertain {
                write!(out, " uncertain")?;
            }
            for device in &keyframe.devices {
                write!(out, " device=\"{}\"", escape(device))?;
            }
        }
        // The reader gives data by names.
        Some(Body::Data(data)) => write!(out, "data layout={}", data.layout)?,
        Some(Body::Heartbeat(heartbeat)) => {
            write!(
                out,
                "heartbeat {} received={} forwarded={} waiting={} nodes={}",
                if heartbeat.ot_connected { "connected" } else { "away" },
                heartbeat.received,
                heartbeat.forwarded,
                heartbeat.waiting,
                heartbeat.nodes
            )?;
            if !heartbeat.ot_connected {
                write!(out, " away-ms={}", heartbeat.ot_away_ms)?;
            }
            for dropped in &heartbeat.dropped {
                write!(
                    out,
                    " {}={}/{}",
                    escape(&dropped.reason),
                    dropped.messages,
                    dropped.metrics
                )?;
            }
        }
    }
    match message.map(|message| (message, &message.payload)) {
        None => {}
        Some((_, Err(error))) => write!(out, " undecodable: {}", escape(&error.to_string()))?,
        Some((message, Ok(payload))) => {
            for metric in &payload.metrics {
                write!(out, " ")?;
                show_metric(out, message, metric)?;
            }
        }
    }
    writeln!(out)
}

/// `{first} to {last} LOST …`
pub(super) fn lost(out: &mut impl Write, lost: &Lost) -> io::Result<()> {
    let cause = lost.cause.name();
    writeln!(
        out,
        "{} to {} LOST {}: {cause}",
        lost.first,
        lost.last,
        counted(lost.frames(), "frame")
    )
}

/// `"name":Datatype=value`, with marks where the metric isn't plain.
fn show_metric(out: &mut impl Write, message: &Message<'_>, metric: &Metric) -> io::Result<()> {
    let datatype = message.datatype(metric);
    match (&metric.name, metric.alias) {
        (Some(name), _) => write!(out, "\"{}\"", escape(name))?,
        (None, Some(alias)) => write!(out, "alias {alias}")?,
        (None, None) => write!(out, "unnamed")?,
    }
    if let Some(datatype) = datatype {
        write!(out, ":{datatype}")?;
    }
    match &metric.value {
        Some(value) if metric.is_null != Some(true) => {
            write!(out, "={}", value::show(datatype, value, MAX_VALUE_CHARS))?;
        }
        _ => write!(out, "=null")?,
    }
    if metric.is_historical == Some(true) {
        write!(out, " (historical)")?;
    }
    Ok(())
}
