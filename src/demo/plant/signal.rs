//! Signals of the simulated plant: what a metric is, and its value at any time. A value is a
//! function of the signal and the time alone, so that every run shows the same plant.

use sparkplug::{
    DataType, Metric, Parameter, ParameterValue, Property, PropertySet, PropertyValue, Template,
    Value,
};

/// Name of the template that motors are instances of.
pub(crate) const MOTOR: &str = "Motor";
/// The metric with the time at which its message was published, in microseconds since the
/// epoch: the host measures the way by it.
pub(crate) const PUBLISHED: &str = "Diagnostics/Published";

/// The metric with the number of data messages of its edge node or device so far, which births
/// have too: the host sees by it what is lost.
pub(crate) const COUNT: &str = "Diagnostics/Count";

/// One metric of the plant.
#[derive(Clone, Debug)]
pub(super) struct Signal {
    pub(super) name: String,
    pub(super) course: Course,
    pub(super) unit: &'static str,
    /// Must never be seen on IT.
    pub(super) secret: bool,
}

/// How a value goes with the time. Periods are in seconds, phases in parts of a period.
#[derive(Clone, Debug)]
pub(super) enum Course {
    /// Float.
    Sine { middle: f32, swing: f32, period: f64, phase: f64 },
    /// Double: rises from `low` to `high`, then starts again.
    Ramp { low: f64, high: f64, period: f64, phase: f64 },
    /// UInt64: pieces made.
    Counter { start: u64, per_s: f64 },
    /// Int32: wanders in steps.
    Steps { middle: i32, swing: i32, period: f64, phase: f64 },
    /// Boolean.
    Switch { period: f64, phase: f64 },
    /// String: one word after the other.
    States { words: &'static [&'static str], period: f64, phase: f64 },
    /// Float that nobody changes.
    Setting(f32),
    /// String that nobody changes.
    Text(String),
    /// Instance of the template [`MOTOR`].
    Motor { phase: f64 },
    /// UInt64: data messages so far.
    Count,
    /// Int64: the time of publication.
    Published,
}

/// When a value is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Seconds of the demo.
    pub(super) at_s: f64,
    /// Microseconds since the epoch.
    pub(super) wall_us: u64,
    /// Data messages of the edge node or device so far.
    pub(super) count: u64,
}

impl Signal {
    pub(super) fn new(name: impl Into<String>, course: Course, unit: &'static str) -> Signal {
        Signal { name: name.into(), course, unit, secret: false }
    }

    /// The same, never to be seen on IT.
    pub(super) fn secret(self) -> Signal {
        Signal { secret: true, ..self }
    }

    pub(super) fn datatype(&self) -> DataType {
        match self.course {
            Course::Sine { .. } | Course::Setting(_) => DataType::Float,
            Course::Ramp { .. } => DataType::Double,
            Course::Counter { .. } | Course::Count => DataType::UInt64,
            Course::Steps { .. } => DataType::Int32,
            Course::Switch { .. } => DataType::Boolean,
            Course::States { .. } | Course::Text(_) => DataType::String,
            Course::Motor { .. } => DataType::Template,
            Course::Published => DataType::Int64,
        }
    }

    pub(super) fn value(&self, moment: Moment) -> Value {
        let Moment { at_s, wall_us, count } = moment;
        match &self.course {
            Course::Sine { middle, swing, period, phase } => {
                Value::Float(middle + swing * wave(at_s, *period, *phase) as f32)
            }
            Course::Ramp { low, high, period, phase } => {
                Value::Double(low + (high - low) * turn(at_s, *period, *phase))
            }
            Course::Counter { start, per_s } => {
                // Float to integer saturates; counters of a demo are far below.
                Value::Long(start.saturating_add((at_s * per_s) as u64))
            }
            Course::Steps { middle, swing, period, phase } => {
                let offset = f64::from(*swing) * wave(at_s, *period, *phase);
                // Two's complement in a u32 (Sparkplug 3.0 §6.4.16).
                Value::Int(middle.saturating_add(offset.round() as i32).cast_unsigned())
            }
            Course::Switch { period, phase } => Value::Boolean(turn(at_s, *period, *phase) < 0.5),
            Course::States { words, period, phase } => {
                let place = (turn(at_s, *period, *phase) * words.len() as f64) as usize;
                Value::String(words.get(place).copied().unwrap_or("Idle").to_owned())
            }
            Course::Setting(value) => Value::Float(*value),
            Course::Text(text) => Value::String(text.clone()),
            Course::Motor { phase } => Value::Template(Box::new(motor(at_s, *phase))),
            Course::Count => Value::Long(count),
            Course::Published => Value::Long(wall_us),
        }
    }

    /// Engineering properties, as real edge nodes have them.
    pub(super) fn properties(&self) -> Option<PropertySet> {
        if self.unit.is_empty() {
            return None;
        }
        let text = |text: &str| PropertyValue {
            r#type: Some(DataType::String.code()),
            is_null: None,
            value: Some(Property::String(text.to_owned())),
        };
        let number = |number: f32| PropertyValue {
            r#type: Some(DataType::Float.code()),
            is_null: None,
            value: Some(Property::Float(number)),
        };
        let mut keys = vec!["engUnit".to_owned()];
        let mut values = vec![text(self.unit)];
        if let Course::Sine { middle, swing, .. } = self.course {
            keys.extend(["engLow".to_owned(), "engHigh".to_owned()]);
            values.extend([number(middle - swing), number(middle + swing)]);
        }
        Some(PropertySet { keys, values })
    }
}

/// The definition of [`MOTOR`], which belongs into the birth of its edge node.
pub(super) fn motor_definition() -> Template {
    Template {
        version: Some("1.0".into()),
        metrics: members(
            Value::Float(0.0),
            Value::Float(0.0),
            Value::Boolean(false),
            Value::Int(0),
        ),
        parameters: vec![rated(0.0)],
        template_ref: None,
        is_definition: Some(true),
    }
}

fn motor(at_s: f64, phase: f64) -> Template {
    let running = turn(at_s, 40.0, phase) < 0.8;
    let speed = if running { 1_450.0 + 30.0 * wave(at_s, 9.0, phase) as f32 } else { 0.0 };
    let current = if running { 11.0 + wave(at_s, 5.0, phase) as f32 } else { 0.0 };
    let hours = (at_s / 36.0 + phase * 9_000.0) as u32;
    Template {
        version: None,
        metrics: members(
            Value::Float(speed),
            Value::Float(current),
            Value::Boolean(running),
            Value::Int(hours),
        ),
        parameters: vec![rated(7.5)],
        template_ref: Some(MOTOR.into()),
        is_definition: Some(false),
    }
}

fn members(speed: Value, current: Value, running: Value, hours: Value) -> Vec<Metric> {
    [
        ("Speed", DataType::Float, speed),
        ("Current", DataType::Float, current),
        ("Running", DataType::Boolean, running),
        ("Hours", DataType::Int32, hours),
    ]
    .into_iter()
    .map(|(name, datatype, value)| Metric {
        name: Some(name.into()),
        datatype: Some(datatype.code()),
        value: Some(value),
        ..Metric::default()
    })
    .collect()
}

fn rated(kilowatts: f32) -> Parameter {
    Parameter {
        name: Some("Rated power".into()),
        r#type: Some(DataType::Float.code()),
        value: Some(ParameterValue::Float(kilowatts)),
    }
}

/// Part of the period that has passed, 0 to 1.
fn turn(at_s: f64, period: f64, phase: f64) -> f64 {
    (at_s / period + phase).rem_euclid(1.0)
}

/// -1 to 1.
fn wave(at_s: f64, period: f64, phase: f64) -> f64 {
    (std::f64::consts::TAU * turn(at_s, period, phase)).sin()
}
