//! The comparison as a picture: one row per case, with panels for throughput, latency and CPU.

use std::fmt::Write as _;

use serde_json::Value;

use crate::table;

const WIDTH: f64 = 1_000.0;
const LEFT: f64 = 110.0;
const PANEL: f64 = 280.0;
const GAP: f64 = 16.0;
/// Of a panel, for the number behind the longest bar.
const NUMBER: f64 = 70.0;
const BAR: f64 = 16.0;
const STEP: f64 = 22.0;
const HEAD: f64 = 64.0;
const TITLE: f64 = 30.0;
const FOOT: f64 = 40.0;

/// Processes with their colours, in the order in which they are stacked.
const PROCESSES: [(&str, &str, &str); 4] = [
    ("source", "source broker", "#b8c0cc"),
    ("destination", "destination broker", "#8792a2"),
    ("ot", "relay: ot", "#1f77b4"),
    ("it", "relay: it", "#6baed6"),
];

/// Draws what `side-by-side` gave; an empty picture if it gave nothing.
pub(crate) fn comparison(results: &Value) -> String {
    let cases = results["cases"].as_array().map(Vec::as_slice).unwrap_or_default();
    let heights = cases.iter().map(|case| TITLE + STEP * routes(case).len() as f64 + 10.0);
    let height = HEAD + heights.sum::<f64>() + FOOT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#222\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    let titles = [
        "messages/s (more is better)",
        "p99 latency, ms (less is better)",
        "CPU s per million messages (less is better)",
    ];
    for (panel, title) in titles.iter().enumerate() {
        text(&mut svg, panel_x(panel), 28.0, "font-weight=\"bold\"", title);
    }
    text(&mut svg, panel_x(0), 46.0, "fill=\"#666\"", "without loss");
    text(&mut svg, panel_x(1), 46.0, "fill=\"#666\"", "at half of that rate");
    text(&mut svg, panel_x(2), 46.0, "fill=\"#666\"", "at half of that rate, all processes");
    let mut y = HEAD;
    for case in cases {
        let name = case["case"].as_str().unwrap_or_default();
        text(&mut svg, 12.0, y + 18.0, "font-weight=\"bold\"", name);
        y += TITLE;
        draw_case(&mut svg, case, y);
        y += STEP * routes(case).len() as f64 + 10.0;
    }
    let mut x = panel_x(0);
    for (_, name, colour) in PROCESSES {
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>",
            y + 12.0
        );
        text(&mut svg, x + 18.0, y + 22.0, "", name);
        x += 160.0;
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw_case(svg: &mut String, case: &Value, top: f64) {
    let routes = routes(case);
    let longest = |figure: &dyn Fn(&Value) -> f64| routes.iter().map(figure).fold(0.0, f64::max);
    let rate = |route: &Value| route["messages_per_s"].as_f64().unwrap_or(0.0);
    let p99 = |route: &Value| route["p99_ms"].as_f64().unwrap_or(0.0);
    let cpu = |route: &Value| PROCESSES.iter().map(|(name, ..)| cost(route, name)).sum::<f64>();
    let scales = [longest(&rate), longest(&p99), longest(&cpu)];
    for (row, route) in routes.iter().enumerate() {
        let y = top + row as f64 * STEP;
        let name = route["route"].as_str().unwrap_or_default();
        let style = if name.starts_with("relay") { "font-weight=\"bold\"" } else { "" };
        text(svg, 12.0, y + 12.5, style, name);
        let colour = if name.starts_with("relay") { "#1f77b4" } else { "#8792a2" };
        bar(svg, panel_x(0), y, length(rate(route), scales[0]), colour);
        number(svg, panel_x(0) + length(rate(route), scales[0]), y, rate(route));
        bar(svg, panel_x(1), y, length(p99(route), scales[1]), colour);
        number(svg, panel_x(1) + length(p99(route), scales[1]), y, p99(route));
        let mut x = panel_x(2);
        for (process, _, colour) in PROCESSES {
            let long = length(cost(route, process), scales[2]);
            bar(svg, x, y, long, colour);
            x += long;
        }
        number(svg, x, y, cpu(route));
    }
}

fn routes(case: &Value) -> &[Value] {
    case["routes"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The only broker of the direct route counts as the source.
fn cost(route: &Value, process: &str) -> f64 {
    let processes = &route["processes"];
    let of = |name: &str| processes[name]["cpu_s_per_million_at_half"].as_f64();
    let direct = if process == "source" { of("broker") } else { None };
    of(process).or(direct).unwrap_or(0.0)
}

fn panel_x(panel: usize) -> f64 {
    LEFT + panel as f64 * (PANEL + GAP)
}

fn length(value: f64, longest: f64) -> f64 {
    if longest > 0.0 { value / longest * (PANEL - NUMBER) } else { 0.0 }
}

fn bar(svg: &mut String, x: f64, y: f64, long: f64, colour: &str) {
    let _ = writeln!(
        svg,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{long:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>"
    );
}

fn number(svg: &mut String, x: f64, y: f64, value: f64) {
    text(svg, x + 6.0, y + 12.5, "fill=\"#444\"", &table::number(value));
}

fn text(svg: &mut String, x: f64, y: f64, attributes: &str, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{text}</text>");
}
