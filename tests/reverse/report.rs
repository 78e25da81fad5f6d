//! The table for people, and the JSON for machines.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::channel::Channel;

/// What one run of one channel gave.
#[derive(Clone, Debug)]
pub(crate) enum Figure {
    /// Bits per second.
    Bits(f64),
    /// Refused, and by what.
    Closed(String),
}

/// One channel: the median for each set-up.
pub(crate) struct Row {
    channel: Channel,
    figures: [Figure; 5],
}

impl Row {
    pub(crate) fn new(channel: &Channel, measured: [Vec<Figure>; 5]) -> Row {
        Row { channel: *channel, figures: measured.map(median) }
    }

    pub(crate) fn progress(&self) -> String {
        let figures = self.figures.clone().map(|figure| shown(&figure));
        let [idle, users, sealed, link, ends] = figures;
        let name = self.channel.name();
        format!("{name:20} {idle:>10} {users:>12} {sealed:>20} {link:>20} {ends:>20}")
    }
}

fn median(mut figures: Vec<Figure>) -> Figure {
    if let Some(closed) = figures.iter().find(|figure| matches!(figure, Figure::Closed(_))) {
        return closed.clone();
    }
    let bits = |figure: &Figure| if let Figure::Bits(bits) = figure { *bits } else { 0.0 };
    figures.sort_by(|left, right| bits(left).total_cmp(&bits(right)));
    figures.swap_remove(figures.len() / 2)
}

fn shown(figure: &Figure) -> String {
    match figure {
        Figure::Bits(bits) => format!("{bits:.1}"),
        Figure::Closed(why) => format!("closed ({why})"),
    }
}

pub(crate) fn write(rows: &[Row], slots: usize, rounds: usize) {
    println!("\nbits per second from IT to OT, median of {rounds} rounds of {slots} slots:\n");
    println!(
        "| channel | slot | idle (floor) | users alone | sealed | sealed, with a link between | from `receive` to `send` |"
    );
    println!("|---|---|---|---|---|---|---|");
    for row in rows {
        let [idle, users, sealed, link, ends] = row.figures.clone().map(|figure| shown(&figure));
        let (name, slot) = (row.channel.name(), row.channel.slot().as_millis());
        println!("| {name} | {slot} ms | {idle} | {users} | {sealed} | {link} | {ends} |");
    }
    println!();
    for row in rows {
        println!("{}: {}", row.channel.name(), row.channel.meaning());
    }
    let figures = |figure: &Figure| match figure {
        Figure::Bits(bits) => json!(bits),
        Figure::Closed(why) => json!({ "closed": why }),
    };
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let [idle, users, sealed, link, ends] = &row.figures;
            json!({
                "channel": row.channel.name(),
                "slot_ms": row.channel.slot().as_millis() as u64,
                "idle_bit_per_s": figures(idle),
                "users_bit_per_s": figures(users),
                "sealed_bit_per_s": figures(sealed),
                "link_bit_per_s": figures(link),
                "ends_bit_per_s": figures(ends),
            })
        })
        .collect();
    let mut dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    dir.pop();
    let dir = dir.join("bench");
    fs::create_dir_all(&dir).unwrap();
    let file = dir.join("reverse.json");
    fs::write(&file, serde_json::to_string_pretty(&json!({ "channels": rows })).unwrap()).unwrap();
    println!("\nwritten: {}", file.display());
}
