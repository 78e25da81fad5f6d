//! What the machine is, for whoever reads the numbers later.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

pub(crate) fn describe() -> Value {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = field(&cpuinfo, "model name").unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory_kib = field(&meminfo, "MemTotal")
        .and_then(|text| text.split_whitespace().next())
        .and_then(|number| number.parse::<u64>().ok())
        .unwrap_or(0);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or_default().to_owned();
    let mosquitto = mosquitto_version();
    let memory = (memory_kib + 512 * 1024) / (1024 * 1024);
    let summary = format!(
        "{cores} × {model}, {memory} GiB, Linux {}, {mosquitto}, load {load} at the start",
        kernel.split('-').next().unwrap_or_default().trim(),
    );
    json!({
        "summary": summary, "processor": model, "cores": cores, "memory_kib": memory_kib,
        "kernel": kernel.trim(), "mosquitto": mosquitto, "load_at_start": load,
    })
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

fn mosquitto_version() -> String {
    let output = Command::new(crate::brokers::MOSQUITTO).arg("-h").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let first = text.unwrap_or_default().lines().next().unwrap_or_default().to_owned();
    if first.is_empty() { "no mosquitto".into() } else { first }
}
