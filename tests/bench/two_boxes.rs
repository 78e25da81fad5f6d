//! Both ends of a link as real processes, sealed, each in a network of its own, over a cable with faults:
//! what is lost for good, what it costs, how long frames take, and what comes back. Needs root, `ip` and
//! `nft`. Fails where the link keeps less than it promises, or a packet of any kind came back. With `--through`
//! the whole relay is around it.

mod cases;
mod run;
mod through;

use serde_json::{Value, json};
use two_networks::is_missing;

use crate::options::Options;
use crate::table;

pub(crate) fn run(options: &Options) -> Value {
    if let Some(why) = is_missing() {
        println!("SKIPPED: two-boxes: {why}");
        return json!([]);
    }
    if options.through {
        return through::run(options);
    }
    let mut rows = Vec::new();
    let mut results = Vec::new();
    for case in cases::cases().into_iter().filter(|case| options.wants_case(case.name)) {
        let measured = run::run(&case, &options.binary);
        let is_kept = case.is_kept(&measured);
        rows.push(vec![
            case.name.to_owned(),
            case.goal(),
            case.told(&measured),
            measured.came_back.to_string(),
            if is_kept { "yes" } else { "no" }.to_owned(),
        ]);
        println!("{}: {} ({})", case.name, case.told(&measured), case.goal());
        results.push(json!({
            "case": case.name, "frames": measured.frames, "lost": measured.lost,
            "twice": measured.twice, "different": measured.different, "late": measured.late,
            "overhead": measured.overhead, "seconds": measured.seconds,
            "complete_after_s": measured.complete_after_s, "cpu_send_s": measured.cpu_send_s,
            "cpu_receive_s": measured.cpu_receive_s, "payload_bytes": measured.payload_bytes,
            "ms_p50": measured.ms_p50, "ms_p99": measured.ms_p99, "flipped": measured.flipped,
            "foreign": measured.foreign, "overflowed": measured.overflowed,
            "came_back": measured.came_back, "stopped": measured.stopped, "violated": !is_kept,
        }));
    }
    println!();
    table::print(
        "both ends in networks of their own, over a cable (packets of any kind that came back)",
        &["case", "goal", "measured", "back", "kept"],
        &rows,
    );
    json!(results)
}

/// Whether the link kept less than it promises.
pub(crate) fn is_violated(results: &Value) -> bool {
    let cases = results.as_array().into_iter().flatten();
    cases.into_iter().any(|case| case["violated"] == true)
}
