//! What the simulated plant consists of: six edge nodes, fourteen devices, some three thousand
//! metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::signal::{COUNT, Course, PUBLISHED, Signal};

/// The Sparkplug group of everything in the plant.
pub(crate) const GROUP: &str = "Plant1";
/// The edge node that dies and comes back.
pub(crate) const MORTAL: &str = "Warehouse";
/// The edge node and device whose setpoint somebody on IT tries to write.
pub(crate) const TARGET: (&str, &str) = ("Line1", "Filler");
/// The metric of [`TARGET`].
pub(crate) const SETPOINT: &str = "Setpoint/Speed";
/// Names that the policy denies, and text that only secret values contain: whatever of it is
/// seen on IT has leaked.
pub(crate) const FORBIDDEN: [&str; 4] = ["Recipe", "Operator", "CONFIDENTIAL", "Pilot"];

/// Signals at the end of every edge node and device that describe the messages themselves.
pub(super) const DIAGNOSTICS: usize = 2;

const STATES: &[&str] = &["Running", "Running", "Running", "Starved", "Blocked", "Cleaning"];
/// Multiples of this part are spread over the period evenly and never repeat.
const GOLDEN: f64 = 0.618_033_988_749_895;

/// One edge node.
#[derive(Clone, Debug)]
pub(crate) struct NodeSpec {
    pub(crate) name: &'static str,
    /// Publishes aliases in data, as most gateways do; otherwise names.
    pub(super) aliases: bool,
    /// Its birth defines the template of motors.
    pub(super) templates: bool,
    pub(crate) treatment: Treatment,
    pub(super) signals: Vec<Signal>,
    pub(crate) devices: Vec<DeviceSpec>,
}

/// What the demo's policy does with an edge node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Treatment {
    Forwarded,
    /// Its rate is limited: data is missing on IT.
    Limited,
    Denied,
}

/// One device.
#[derive(Clone, Debug)]
pub(crate) struct DeviceSpec {
    pub(crate) name: &'static str,
    pub(super) signals: Vec<Signal>,
    /// Data is published this often.
    pub(super) every: Duration,
}

impl NodeSpec {
    /// All metrics of the node and its devices, secret or not, as their births have them.
    pub(crate) fn metrics(&self) -> usize {
        let devices = self.devices.iter().map(|device| device.signals.len());
        // bdSeq and the two of Node Control.
        let own = self.signals.len().saturating_add(3).saturating_add(self.templates.into());
        devices.fold(own, usize::saturating_add)
    }

    /// The metrics that IT must see, by device (`None`: the node itself, without `bdSeq`,
    /// `Node Control/*` and template definitions).
    pub(crate) fn visible(&self) -> BTreeMap<Option<&str>, BTreeSet<&str>> {
        let mut visible = BTreeMap::new();
        visible.insert(None, open_names(&self.signals));
        for device in &self.devices {
            visible.insert(Some(device.name), open_names(&device.signals));
        }
        visible
    }
}

/// The plant.
pub(crate) fn nodes() -> Vec<NodeSpec> {
    vec![
        NodeSpec {
            name: "Line1",
            aliases: true,
            templates: false,
            treatment: Treatment::Forwarded,
            signals: node_signals(0),
            devices: vec![
                machine("Filler", filler(72, 0), 200),
                machine("Capper", capper(66, 1), 200),
                machine("Labeler", labeler(60, 2), 250),
            ],
        },
        NodeSpec {
            name: "Line2",
            aliases: false,
            templates: false,
            treatment: Treatment::Forwarded,
            signals: node_signals(3),
            devices: vec![
                machine("Filler", filler(72, 4), 200),
                machine("Capper", capper(66, 5), 200),
                machine("Packer", labeler(54, 6), 250),
            ],
        },
        NodeSpec {
            name: "Utilities",
            aliases: true,
            templates: true,
            treatment: Treatment::Forwarded,
            signals: node_signals(7),
            devices: vec![
                machine("Boiler", utility(90, 12, 8), 500),
                machine("Chiller", utility(70, 10, 9), 500),
                machine("Compressor", utility(60, 8, 10), 500),
            ],
        },
        NodeSpec {
            name: MORTAL,
            aliases: false,
            templates: false,
            treatment: Treatment::Forwarded,
            signals: node_signals(11),
            devices: vec![
                machine("Crane1", crane(90, 12), 250),
                machine("Crane2", crane(90, 13), 250),
            ],
        },
        NodeSpec {
            name: "Vision",
            aliases: true,
            templates: false,
            treatment: Treatment::Limited,
            signals: node_signals(14),
            devices: vec![
                machine("Camera1", camera(30, 15), 20),
                machine("Camera2", camera(30, 16), 20),
            ],
        },
        NodeSpec {
            name: "Pilot",
            aliases: true,
            templates: false,
            treatment: Treatment::Denied,
            signals: node_signals(17),
            devices: vec![machine("Mixer", filler(40, 18), 200)],
        },
    ]
}

fn open_names(signals: &[Signal]) -> BTreeSet<&str> {
    signals.iter().filter(|signal| !signal.secret).map(|signal| signal.name.as_str()).collect()
}

fn machine(name: &'static str, mut signals: Vec<Signal>, every_ms: u64) -> DeviceSpec {
    signals.extend(diagnostics());
    DeviceSpec { name, signals, every: Duration::from_millis(every_ms) }
}

fn node_signals(index: u32) -> Vec<Signal> {
    let phase = spread(index, 0);
    let mut signals = vec![
        Signal::new("Node Info/Firmware", Course::Text("4.2.1".into()), ""),
        Signal::new("Node Info/Uptime", Course::Counter { start: 86_400, per_s: 1.0 }, "s"),
        Signal::new("Node Info/Load", sine(35.0, 20.0, 17.0, phase), "%"),
        Signal::new("Node Info/Temperature", sine(48.0, 6.0, 60.0, phase), "degC"),
    ];
    signals.extend(diagnostics());
    signals
}

/// The last signals of everything; every data message has them.
fn diagnostics() -> [Signal; DIAGNOSTICS] {
    [Signal::new(COUNT, Course::Count, ""), Signal::new(PUBLISHED, Course::Published, "us")]
}

/// What every machine of a line has, and what nobody outside may see.
fn line_machine(index: u32) -> Vec<Signal> {
    let phase = spread(index, 0);
    vec![
        Signal::new("State", Course::States { words: STATES, period: 45.0, phase }, ""),
        Signal::new("Speed", sine(420.0, 25.0, 21.0, phase), "1/min"),
        Signal::new(SETPOINT, Course::Setting(420.0), "1/min"),
        Signal::new("Counter/Good", Course::Counter { start: 1_000, per_s: 7.0 }, ""),
        Signal::new("Counter/Rejected", Course::Counter { start: 12, per_s: 0.2 }, ""),
        Signal::new("Recipe/Name", Course::Text("CONFIDENTIAL Cola 7".into()), "").secret(),
        Signal::new("Recipe/Syrup", sine(18.4, 0.2, 11.0, phase), "%").secret(),
        Signal::new("Recipe/Carbonation", sine(6.1, 0.1, 13.0, phase), "g/l").secret(),
        Signal::new("Operator/Name", Course::Text("CONFIDENTIAL M. Curie".into()), "").secret(),
    ]
}

fn filler(heads: u32, index: u32) -> Vec<Signal> {
    let mut signals = line_machine(index);
    for head in 1..=heads {
        let phase = spread(index, head);
        let name = |field: &str| format!("Head {head:02}/{field}");
        signals.extend([
            Signal::new(name("Flow"), sine(31.0, 4.0, 6.0, phase), "l/min"),
            Signal::new(name("Pressure"), sine(2.4, 0.3, 8.0, phase), "bar"),
            Signal::new(name("Valve"), Course::Switch { period: 4.0, phase }, ""),
            Signal::new(name("Fills"), Course::Counter { start: 500, per_s: 0.25 }, ""),
        ]);
    }
    signals
}

fn capper(heads: u32, index: u32) -> Vec<Signal> {
    let mut signals = line_machine(index);
    for head in 1..=heads {
        let phase = spread(index, head);
        let name = |field: &str| format!("Head {head:02}/{field}");
        let torque = Course::Steps { middle: 180, swing: 25, period: 5.0, phase };
        signals.extend([
            Signal::new(name("Torque"), torque, "Ncm"),
            Signal::new(name("Angle"), ramp(0.0, 360.0, 3.0, phase), "deg"),
            Signal::new(name("Caps"), Course::Counter { start: 700, per_s: 0.25 }, ""),
            Signal::new(name("Fault"), Course::Switch { period: 300.0, phase }, ""),
        ]);
    }
    signals
}

fn labeler(stations: u32, index: u32) -> Vec<Signal> {
    let mut signals = line_machine(index);
    for station in 1..=stations {
        let phase = spread(index, station);
        let name = |field: &str| format!("Station {station:02}/{field}");
        let offset = Course::Steps { middle: 0, swing: 40, period: 7.0, phase };
        signals.extend([
            Signal::new(name("Offset"), offset, "um"),
            Signal::new(name("Roll"), ramp(1_200.0, 0.0, 240.0, phase), "m"),
            Signal::new(name("Temperature"), sine(62.0, 3.0, 33.0, phase), "degC"),
            Signal::new(name("Labels"), Course::Counter { start: 900, per_s: 0.3 }, ""),
        ]);
    }
    signals
}

fn utility(sensors: u32, motors: u32, index: u32) -> Vec<Signal> {
    let mut signals = vec![Signal::new(
        "State",
        Course::States { words: STATES, period: 60.0, phase: spread(index, 0) },
        "",
    )];
    for motor in 1..=motors {
        let course = Course::Motor { phase: spread(index, motor) };
        signals.push(Signal::new(format!("Pump {motor:02}"), course, ""));
    }
    for sensor in 1..=sensors {
        let phase = spread(index, sensor);
        let name = |field: &str| format!("Circuit {sensor:02}/{field}");
        signals.extend([
            Signal::new(name("Temperature"), sine(74.0, 9.0, 50.0, phase), "degC"),
            Signal::new(name("Pressure"), sine(5.5, 0.4, 14.0, phase), "bar"),
            Signal::new(name("Energy"), Course::Counter { start: 40_000, per_s: 1.6 }, "kWh"),
        ]);
    }
    signals
}

fn crane(slots: u32, index: u32) -> Vec<Signal> {
    let phase = spread(index, 0);
    let mut signals = vec![
        Signal::new("State", Course::States { words: STATES, period: 30.0, phase }, ""),
        Signal::new("Position/X", ramp(0.0, 92.0, 24.0, phase), "m"),
        Signal::new("Position/Y", sine(8.0, 7.0, 9.0, phase), "m"),
        Signal::new("Load", Course::Steps { middle: 600, swing: 500, period: 12.0, phase }, "kg"),
    ];
    for slot in 1..=slots {
        let phase = spread(index, slot);
        let name = |field: &str| format!("Slot {slot:03}/{field}");
        signals.extend([
            Signal::new(name("Occupied"), Course::Switch { period: 90.0, phase }, ""),
            Signal::new(name("Moves"), Course::Counter { start: 60, per_s: 0.05 }, ""),
        ]);
    }
    signals
}

fn camera(zones: u32, index: u32) -> Vec<Signal> {
    let phase = spread(index, 0);
    let mut signals = vec![
        Signal::new("State", Course::States { words: STATES, period: 30.0, phase }, ""),
        Signal::new("Frames", Course::Counter { start: 0, per_s: 50.0 }, ""),
    ];
    for zone in 1..=zones {
        let phase = spread(index, zone);
        let name = |field: &str| format!("Zone {zone:02}/{field}");
        let score = Course::Steps { middle: 930, swing: 60, period: 1.0, phase };
        signals.extend([
            Signal::new(name("Score"), score, ""),
            Signal::new(name("Brightness"), sine(120.0, 15.0, 2.0, phase), ""),
        ]);
    }
    signals
}

fn sine(middle: f32, swing: f32, period: f64, phase: f64) -> Course {
    Course::Sine { middle, swing, period, phase }
}

fn ramp(low: f64, high: f64, period: f64, phase: f64) -> Course {
    Course::Ramp { low, high, period, phase }
}

/// A phase for the part `part` of device `device`.
fn spread(device: u32, part: u32) -> f64 {
    (f64::from(device) * 7.0 + f64::from(part)) * GOLDEN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plant_is_large_and_its_secrets_are_recognised() {
        let nodes = nodes();
        let devices: usize = nodes.iter().map(|node| node.devices.len()).sum();
        let metrics: usize = nodes.iter().map(NodeSpec::metrics).sum();
        assert!(nodes.len() >= 4 && devices >= 10, "{} {devices}", nodes.len());
        assert!(metrics >= 3_000, "{metrics}");
        for node in nodes.iter().filter(|node| node.treatment != Treatment::Denied) {
            for signal in node.devices.iter().flat_map(|device| &device.signals) {
                let known =
                    FORBIDDEN.iter().any(|word| signal.name.split('/').any(|part| part == *word));
                assert_eq!(signal.secret, known, "{}", signal.name);
            }
        }
    }

    #[test]
    fn names_are_unique_within_an_entity() {
        for node in nodes() {
            for device in &node.devices {
                let names: BTreeSet<_> = device.signals.iter().map(|signal| &signal.name).collect();
                assert_eq!(names.len(), device.signals.len(), "{}/{}", node.name, device.name);
            }
        }
    }
}
