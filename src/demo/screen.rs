//! What a person sees while the demo runs: a table, redrawn in place where stdout is a terminal,
//! and a line now and then where it isn't.

use std::fmt::{Display, Write as _};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use text::{Paint, Tone, counted_grouped, cut_painted, grouped};

use super::attempts::Attempt;
use super::view::{Cable, Side, View, cut};

/// The table is this wide where there is room …
const WIDTH: usize = 100;
/// A terminal that is wider has more of what is said in words, up to …
const WIDEST: usize = 150;
/// … and else has fewer columns, as long as there are so many.
const MIN_WIDTH: usize = 80;
/// Its height with [`SHOWN_REASONS`].
const FULL_HEIGHT: usize = 25;
/// What two boxes add to it: both ends of the link, and the cable.
const LINK_HEIGHT: usize = 3;
/// Lines for reasons of dropping; what has no room is summed up in the last.
const SHOWN_REASONS: usize = 4;
/// Whether the terminal is drawn on.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Alternate screen on, cursor hidden; and back.
const BEGIN: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
const END: &str = "\x1b[?25h\x1b[?1049l";

/// The terminal, in the state in which the demo draws on it.
#[derive(Debug)]
pub(super) struct Screen {
    colour: bool,
}

impl Screen {
    /// Takes the terminal; [`Drop`] gives it back.
    ///
    /// # Errors
    /// stdout can't be written.
    pub(super) fn begin(colour: bool) -> io::Result<Screen> {
        TAKEN.store(true, Ordering::SeqCst);
        let mut stdout = io::stdout().lock();
        stdout.write_all(BEGIN.as_bytes())?;
        stdout.flush()?;
        Ok(Screen { colour })
    }

    /// Draws the table over the earlier one, in one write and without clearing first, so that
    /// nothing flickers.
    pub(super) fn draw(&self, view: &View) {
        let rows = rustix::termios::tcgetwinsize(io::stdout())
            .map_or(usize::MAX, |size| size.ws_row.into());
        let columns = columns();
        let mut text = String::from("\x1b[H");
        let reasons = reasons(rows, view.cable.is_some());
        let lines = table(view, self.colour, reasons, columns);
        for (index, line) in lines.iter().take(rows).enumerate() {
            if index > 0 {
                text.push_str("\r\n");
            }
            text.push_str(line);
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        // A terminal that is gone is no reason to stop: the summary counts.
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }
}

/// Lines for reasons of dropping that make the table fit into so many rows, from the 24 of old on. Between
/// two boxes, fewer than all also take two rules away.
fn reasons(rows: usize, has_link: bool) -> usize {
    let fewer = SHOWN_REASONS.saturating_sub(1);
    match has_link {
        false if rows < FULL_HEIGHT => fewer,
        true if rows < FULL_HEIGHT.saturating_add(LINK_HEIGHT) => {
            let others = FULL_HEIGHT.saturating_add(LINK_HEIGHT).saturating_sub(SHOWN_REASONS + 2);
            rows.saturating_sub(others).clamp(1, fewer)
        }
        _ => SHOWN_REASONS,
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back, if it was taken.
pub(super) fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(END.as_bytes()).and_then(|()| stdout.flush());
}

/// Columns of the table on this terminal, or where there is none.
pub(super) fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
    let columns = size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
    columns.map_or(WIDTH, |columns| columns.clamp(MIN_WIDTH, WIDEST))
}

/// What of the table there is room for.
#[derive(Clone, Copy, Debug)]
struct Layout {
    ink: Paint,
    width: usize,
    /// Devices, and the sequence number of the plant's side, have columns.
    full: bool,
}

impl Layout {
    /// Columns of the left half, the plant.
    fn left(self) -> usize {
        if self.full { 48 } else { 35 }
    }
}

/// The table, line by line, with `reasons` lines for reasons of dropping.
pub(super) fn table(view: &View, colour: bool, reasons: usize, columns: usize) -> Vec<String> {
    let ink = Paint::new(colour);
    let layout = Layout { ink, width: columns, full: columns >= WIDTH };
    let left = layout.left();
    let mut lines = vec![title(view, layout), rule('┬', layout)];
    let [ot, it] = if layout.full { ["OT broker ", "IT broker "] } else { ["", ""] };
    lines.push(halves(
        ink.paint(Tone::Strong, fill(&format!(" THE PLANT  {ot}{}", view.ot_broker), left)),
        ink.paint(Tone::Strong, format!("SEEN FROM IT  {it}{}", view.it_broker)),
    ));
    let right = match layout.full {
        true => format!("state  {:>7} {:>7} {:>6} {:>4}", "devices", "metrics", "msg/s", "seq"),
        false => format!("state  {:>7} {:>6}", "metrics", "msg/s"),
    };
    lines.push(halves(
        ink.paint(Tone::Faint, fill(&format!(" node        {right}"), left)),
        ink.paint(Tone::Faint, &right),
    ));
    for row in &view.rows {
        let plant = format!(" {:<11} {}", row.name, side(&row.plant, layout));
        // Colour codes have no width: the padding is that of the plain text.
        let plain = Layout { ink: Paint::new(false), ..layout };
        let width = format!(" {:<11} {}", row.name, side(&row.plant, plain)).chars().count();
        let plant = format!("{plant}{}", " ".repeat(left.saturating_sub(width)));
        let note = ink.paint(Tone::Faint, &row.note);
        lines.push(halves(&plant, format!("{}  {note}", side(&row.it, layout))));
    }
    lines.push(rule('┴', layout));
    relay(view, layout, &mut lines);
    lines.extend(view.cable.as_ref().map(|cable| cable_line(cable, layout)));
    lines.push(host_line(view, layout));
    let has_rules = view.cable.is_none() || reasons >= SHOWN_REASONS;
    if has_rules {
        lines.push(rule('─', layout));
    }
    drops(view, layout, reasons, &mut lines);
    if has_rules {
        lines.push(rule('─', layout));
    }
    lines.push(ink.paint(Tone::Strong, " TRIED FROM IT"));
    lines.extend(view.attempts.iter().map(|attempt| attempt_line(attempt, layout)));
    // Whatever a line quotes, none may be broken by the terminal.
    lines.iter().map(|line| cut_painted(line, columns)).collect()
}

/// One line for those who keep a log.
pub(super) fn progress(view: &View) -> String {
    let plant: f64 = view.rows.iter().map(|row| row.plant.rate).sum();
    let it: f64 = view.rows.iter().map(|row| row.it.rate).sum();
    let (p50, _) = view.latency;
    let mut line = format!(
        "{:>6.1} s  plant {plant:.0} msg/s, IT {it:.0} msg/s, dropped {}",
        view.elapsed.as_secs_f64(),
        counted_grouped(view.dropped_messages(), "message"),
    );
    let _ = write!(line, ", latency p50 {}", milliseconds(p50));
    let _ = write!(line, ", violations {}", view.violations);
    if let Some(Cable { cut_for: Some(time), missing, .. }) = &view.cable {
        let seconds = time.as_secs_f64();
        let _ =
            write!(line, "; the cable has been out for {seconds:.1} s, {missing} frames missing");
    }
    for row in view.rows.iter().filter(|row| row.plant.state == "dead") {
        let _ = write!(line, "; {} is dead, IT says {}", row.name, row.it.state);
    }
    line
}

fn title(view: &View, layout: Layout) -> String {
    let ink = layout.ink;
    let time = match view.run_for {
        Some(run_for) => {
            format!("{} of {}", clock(view.elapsed.min(run_for)), clock(run_for))
        }
        None => format!("{}   Ctrl-C ends it", clock(view.elapsed)),
    };
    let (name, what) = match (&view.cable, layout.full) {
        (None, true) => (" sparkdiode demo", "   a plant, two brokers, both halves of the relay"),
        (None, false) => (" sparkdiode demo", "   a plant, two brokers, both halves"),
        (Some(_), true) => {
            (" sparkdiode demo --two-boxes", "   two boxes, and a cable with one way")
        }
        (Some(_), false) => (" sparkdiode demo --two-boxes", "   two boxes, one cable"),
    };
    let used = name.len().saturating_add(what.len()).saturating_add(time.chars().count());
    let space = " ".repeat(layout.width.saturating_sub(used).saturating_sub(1));
    format!("{}{}{space}{time}", ink.paint(Tone::Strong, name), ink.paint(Tone::Faint, what))
}

fn side(side: &Side, layout: Layout) -> String {
    let ink = layout.ink;
    let state = fill(side.state, 6);
    let state = match side.state {
        "alive" => ink.paint(Tone::Good, &state),
        "dead" => ink.paint(Tone::Alarming, &state),
        _ => ink.paint(Tone::Faint, &state),
    };
    let seq = side.seq.map_or("–".to_owned(), |seq| seq.to_string());
    let number = |number: usize| match side.state {
        "alive" => grouped(number as u64),
        _ => "–".to_owned(),
    };
    let (devices, metrics) = (number(side.devices), number(side.metrics));
    match layout.full {
        true => format!("{state} {devices:>7} {metrics:>7} {:>6.1} {seq:>4}", side.rate),
        false => format!("{state} {metrics:>7} {:>6.1}", side.rate),
    }
}

fn relay(view: &View, layout: Layout, lines: &mut Vec<String>) {
    let ink = layout.ink;
    for half in &view.halves {
        let usage = match (&half.ended, half.usage) {
            (Some(ended), _) => ink.paint(Tone::Alarming, format!("ended: {ended}")),
            (None, Some(usage)) if !layout.full => format!(
                "CPU {:>4.1} %  memory {:>4.0} MB",
                usage.cpu_percent,
                usage.resident_bytes as f64 / 1e6
            ),
            (None, Some(usage)) => format!(
                "pid {:<7}  CPU {:>4.1} %  memory {:>4.0} MB",
                half.pid,
                usage.cpu_percent,
                usage.resident_bytes as f64 / 1e6
            ),
            (None, None) => format!("pid {:<7}", half.pid),
        };
        let usage = fill(&usage, if layout.full { 46 } else { 30 });
        let title = match half.name {
            "ot" | "it" => format!(" {} HALF", half.name.to_uppercase()),
            end => format!(" {:<7}", end.to_uppercase()),
        };
        let title = ink.paint(Tone::Strong, title);
        lines.push(format!("{title}  {usage}{}", half.note));
    }
}

/// Whether the cable is in, and what is missing behind it.
fn cable_line(cable: &Cable, layout: Layout) -> String {
    let ink = layout.ink;
    let width = if layout.full { 17 } else { 15 };
    let state = match cable.cut_for {
        None => ink.paint(Tone::Good, fill("plugged in", width)),
        Some(time) => {
            ink.paint(Tone::Alarming, fill(&format!("OUT for {:.0} s", time.as_secs_f64()), width))
        }
    };
    let key = match (cable.has_key, cable.cut_for) {
        (false, _) => "",
        (true, None) => "c cuts it",
        (true, Some(_)) => "c plugs it in",
    };
    // What follows stands below the words about the ends.
    let key = fill(key, if layout.full { 29 } else { 15 });
    let missing = counted_grouped(cable.missing, "frame");
    let missing = match cable.cut_for {
        None => format!("{missing} on the way"),
        Some(_) => format!("{missing} can't cross"),
    };
    let came_back = match cable.came_back {
        0 => String::new(),
        some => ink.paint(Tone::Alarming, format!(", {} CAME BACK", grouped(some))),
    };
    format!("{}  {state}{key}{missing}{came_back}", ink.paint(Tone::Strong, " CABLE  "))
}

fn drops(view: &View, layout: Layout, reasons: usize, lines: &mut Vec<String>) {
    let ink = layout.ink;
    let head = format!(
        "{}{}",
        ink.paint(Tone::Strong, fill(" DROPPED ON THE OT SIDE", 25)),
        ink.paint(Tone::Faint, "messages   metrics  why"),
    );
    lines.push(head);
    let line = |name: &str, messages: u64, metrics: u64, why: &str| {
        let counts = format!("{:>10}{:>10}", grouped(messages), grouped(metrics));
        cut(&format!(" {name:<22}{counts}  {why}"), layout.width)
    };
    let fits = view.drops.len() <= reasons;
    let shown = if fits { reasons } else { reasons.saturating_sub(1) };
    for drop in view.drops.iter().take(shown) {
        lines.push(line(&drop.reason, drop.messages, drop.metrics, drop.meaning));
    }
    if !fits {
        let rest = view.drops.iter().skip(shown);
        let (messages, metrics) = rest.fold((0_u64, 0_u64), |(messages, metrics), drop| {
            (messages.saturating_add(drop.messages), metrics.saturating_add(drop.metrics))
        });
        lines.push(line("other reasons", messages, metrics, ""));
    } else {
        // As many lines as before: what is below must not jump.
        for _ in view.drops.len()..reasons.min(SHOWN_REASONS) {
            lines.push(String::new());
        }
    }
}

fn attempt_line(attempt: &Attempt, layout: Layout) -> String {
    let ink = layout.ink;
    let outcome = attempt.outcome();
    let outcome = match attempt.passed() {
        Some(true) => ink.paint(Tone::Good, &outcome),
        Some(false) if !outcome.starts_with("sent") => ink.paint(Tone::Alarming, &outcome),
        _ => ink.paint(Tone::Faint, &outcome),
    };
    let width = if layout.full { 52 } else { 40 };
    format!(" {} {outcome}", fill(&cut(&attempt.title, width), width))
}

fn host_line(view: &View, layout: Layout) -> String {
    let ink = layout.ink;
    let (p50, p99) = view.latency;
    let verdict = match view.violations {
        0 => ink.paint(Tone::Good, "0 violations"),
        some => ink.paint(Tone::Alarming, counted_grouped(some, "violation")),
    };
    let first = match &view.first_violation {
        None => {
            format!("plant to host: p50 {}, p99 {}", milliseconds(p50), milliseconds(p99))
        }
        Some(first) => cut(first, layout.width.saturating_sub(34)),
    };
    format!("{} {verdict}    {first}", ink.paint(Tone::Strong, " STRICT HOST"))
}

fn halves(left: impl Display, right: impl Display) -> String {
    format!("{left} │ {right}")
}

fn rule(joint: char, layout: Layout) -> String {
    let left = layout.left();
    let mut rule = "─".repeat(left.saturating_add(1));
    rule.push(joint);
    rule.push_str(&"─".repeat(layout.width.saturating_sub(left).saturating_sub(2)));
    rule
}

fn fill(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

/// `03:07`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, seconds) = (seconds.div_euclid(60), seconds.rem_euclid(60));
    format!("{minutes:02}:{seconds:02}")
}

/// Microseconds as milliseconds.
pub(super) fn milliseconds(us: Option<u32>) -> String {
    us.map_or("–".to_owned(), |us| format!("{:.1} ms", f64::from(us) / 1e3))
}

#[cfg(test)]
mod tests {
    use super::super::relay::Usage;
    use super::super::view::{Drop, HalfView, Row};
    use super::*;

    fn view() -> View<'static> {
        let side =
            || Side { state: "alive", devices: 3, metrics: 123_456, rate: 1_234.5, seq: Some(255) };
        let row = |name| Row { name, plant: side(), it: side(), note: "back, bdSeq 255".into() };
        let half = |name| HalfView {
            name,
            pid: 4_194_304,
            usage: Some(Usage { cpu_percent: 100.0, cpu_s: 1.0, resident_bytes: 2_000_000_000 }),
            ended: None,
            note: "received 123,456,789, forwarded 123,456,789".into(),
        };
        let drop = |_| Drop {
            reason: "data_before_birth".into(),
            messages: 123_456_789,
            metrics: 123_456_789,
            meaning: "Data or death of an edge node or device whose birth isn't known.",
        };
        View {
            elapsed: Duration::from_secs(61),
            run_for: None,
            ot_broker: "127.0.0.1:65535".parse().unwrap(),
            it_broker: "127.0.0.1:65535".parse().unwrap(),
            rows: ["Line1", "Line2", "Utilities", "Warehouse", "Vision", "Pilot"].map(row).into(),
            halves: vec![half("ot"), half("it")],
            drops: (0..9).map(drop).collect(),
            attempts: &[],
            latency: (Some(999_999), None),
            violations: 7,
            first_violation: Some("x".repeat(200)),
            cable: None,
        }
    }

    /// The same with a link in the middle, whose cable is out.
    fn view_of_two_boxes() -> View<'static> {
        let mut view = view();
        let ends = ["send", "receive"].map(|name| HalfView {
            name,
            pid: 4_194_304,
            usage: Some(Usage { cpu_percent: 100.0, cpu_s: 1.0, resident_bytes: 2_000_000_000 }),
            ended: None,
            note: "123,456,789 packets sent, 0 came back".into(),
        });
        view.halves.splice(1..1, ends);
        view.cable = Some(Cable {
            cut_for: Some(Duration::from_secs(3_600)),
            missing: 123_456_789,
            came_back: 0,
            has_key: true,
        });
        view
    }

    #[test]
    fn between_two_boxes_all_of_it_has_room_from_24_rows_on() {
        for rows in 24..40 {
            let reasons = reasons(rows, true);
            for columns in [80, 100, 120] {
                let lines = table(&view_of_two_boxes(), false, reasons, columns);
                // With the three lines of what is tried.
                assert!(lines.len() <= rows - 3, "{rows}: {}", lines.len());
                let cable = lines.iter().find(|line| line.starts_with(" CABLE ")).unwrap();
                assert!(cable.contains("OUT for 3600 s"), "{cable}");
                assert!(cable.contains("c plugs it in"), "{cable}");
                assert!(cable.ends_with("123,456,789 frames can't cross"), "{cable}");
                for line in &lines {
                    assert!(line.chars().count() <= columns, "{columns}: {line}");
                }
            }
        }
    }

    #[test]
    fn the_table_fits_from_80_columns_on_and_its_joints_stand_below_each_other() {
        for (columns, colour) in
            [(80, false), (80, true), (99, false), (100, false), (100, true), (150, true)]
        {
            let lines = table(&view(), colour, 3, columns);
            // With the three lines of what is tried.
            assert!(lines.len() <= 24 - 3, "{}", lines.len());
            let plain: Vec<String> = table(&view(), false, 3, columns);
            for line in &plain {
                assert!(line.chars().count() <= columns, "{columns}: {line}");
            }
            let joint = |line: &String| line.chars().position(|letter| "┬│┴".contains(letter));
            let joints: Vec<usize> = plain.iter().filter_map(joint).collect();
            assert!(joints.windows(2).all(|pair| pair[0] == pair[1]), "{columns}: {joints:?}");
            assert!(
                plain[0].starts_with(" sparkdiode demo") && plain[0].ends_with("Ctrl-C ends it")
            );
        }
    }
}
