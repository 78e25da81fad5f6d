//! What sort of thing a metric is: what may be proposed as it is, and what a person decides.

use sparkplug::DataType;

use super::observe::MetricSeen;

/// Words in names that ask for a decision: what hosts write, and what a plant keeps to itself.
const WORDS: &[&str] = &[
    "setpoint",
    "setpt",
    "setvalue",
    "set",
    "targetvalue",
    "targetspeed",
    "targettemp",
    "targettemperature",
    "targetpressure",
    "targetlevel",
    "targetflow",
    "targetposition",
    "desired",
    "demand",
    "sollwert",
    "soll",
    "vorgabe",
    "stellwert",
    "consigne",
    "consigna",
    "sp",
    "cmd",
    "command",
    "commands",
    "control",
    "ctrl",
    "write",
    "recipe",
    "recipes",
    "rezept",
    "rezeptur",
    "recette",
    "receta",
    "formula",
    "formulas",
    "ingredient",
    "ingredients",
    "operator",
    "operators",
    "user",
    "users",
    "bediener",
    "benutzer",
    "passwort",
    "kennwort",
    "auftrag",
    "kunde",
    "username",
    "login",
    "password",
    "passwd",
    "pin",
    "secret",
    "secrets",
    "token",
    "credential",
    "credentials",
    "config",
    "configuration",
    "parameter",
    "parameters",
    "license",
    "licence",
    "order",
    "customer",
];

/// Words in names of what people are woken for.
const ALARMS: &[&str] = &[
    "alarm",
    "alarms",
    "alert",
    "alerts",
    "warning",
    "warnings",
    "warn",
    "warnung",
    "warnungen",
    "error",
    "errors",
    "failure",
    "failures",
    "critical",
    "stoerung",
    "stoerungen",
    "störung",
    "störungen",
    "fehler",
    "notaus",
    "alarme",
    "alarma",
    "defaut",
    "défaut",
    "panne",
    "fault",
    "faults",
    "faulted",
    "trip",
    "tripped",
    "emergency",
    "estop",
];
/// Words in names of what only counts up.
const COUNTERS: &[&str] = &[
    "count",
    "counts",
    "counter",
    "counters",
    "cnt",
    "total",
    "totals",
    "totalizer",
    "totalized",
    "totaliser",
    "odometer",
    "cumulative",
    "accumulated",
    "energy",
    "hours",
    "runtime",
    "produced",
    "kwh",
    "mwh",
];

/// Of the words above, those that stand within longer ones: `tempsetpoint`, `Temperatursollwert`.
const COMPOUNDED: &[&str] = &[
    "setpoint",
    "sollwert",
    "stellwert",
    "recipe",
    "rezept",
    "password",
    "passwort",
    "operator",
    "alarm",
    "warnung",
    "stoerung",
    "störung",
    "fehler",
];

/// By datatype.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Numbers,
    /// Booleans and times.
    States,
    Texts,
    /// Bytes, files, arrays, data sets, templates, and whatever has had several datatypes.
    Opaque,
}

impl Kind {
    pub(super) const ALL: [Kind; 4] = [Kind::Numbers, Kind::States, Kind::Texts, Kind::Opaque];

    /// As the end of a rule's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Kind::Numbers => "numbers",
            Kind::States => "states",
            Kind::Texts => "texts",
            Kind::Opaque => "opaque",
        }
    }
}

/// The kind of a metric, and whether its name or a property flags it for a decision.
pub(super) fn kind_of(name: &str, seen: &MetricSeen) -> (Kind, bool) {
    let all = |of: fn(DataType) -> bool| seen.datatypes.iter().all(|datatype| of(*datatype));
    let kind = if all(is_number) {
        Kind::Numbers
    } else if all(|datatype| matches!(datatype, DataType::Boolean | DataType::DateTime)) {
        Kind::States
    } else if all(|datatype| matches!(datatype, DataType::String | DataType::Text | DataType::UUID))
    {
        Kind::Texts
    } else {
        Kind::Opaque
    };
    (kind, seen.writable || word_in(name).is_some())
}

/// Whether a range can be given for it.
pub(super) const fn is_number(datatype: DataType) -> bool {
    is_integer(datatype) || matches!(datatype, DataType::Float | DataType::Double)
}

pub(super) const fn is_integer(datatype: DataType) -> bool {
    matches!(
        datatype,
        DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::UInt64
    )
}

/// Whether a metric is an alarm by its name, and one whose values can be proposed.
pub(super) fn is_alarm(name: &str, seen: &MetricSeen) -> bool {
    let (kind, flagged) = kind_of(name, seen);
    !flagged && kind != Kind::Opaque && find(ALARMS, name).is_some()
}

/// Whether a metric counts by its name.
pub(super) fn is_called_counter(name: &str) -> bool {
    find(COUNTERS, name).is_some()
}

/// The first of [`WORDS`] in a name: `Setpoint/Speed`, `motorSP`, `Set_Point`.
pub(super) fn word_in(name: &str) -> Option<&'static str> {
    find(WORDS, name)
}

fn find(list: &[&'static str], name: &str) -> Option<&'static str> {
    let words = words(name);
    let pairs = words.windows(2).map(|pair| pair.concat());
    let candidates: Vec<String> = words.iter().cloned().chain(pairs).collect();
    let is_in = |word: &str, candidate: &str| {
        candidate == word || (COMPOUNDED.contains(&word) && candidate.contains(word))
    };
    list.iter().find(|word| candidates.iter().any(|candidate| is_in(word, candidate))).copied()
}

/// The words of a name, in lower case: parted by what is no letter, and where a capital follows a
/// small letter.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small_before = false;
    for letter in name.chars() {
        if !letter.is_alphabetic() || (letter.is_uppercase() && small_before) {
            words.push(String::new());
        }
        if letter.is_alphabetic()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
        small_before = letter.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_however_a_name_is_spelled() {
        for name in
            ["Setpoint/Speed", "motor_SP", "MotorSP", "Set Point", "a/SetPoint1", "RECIPE/x"]
                .into_iter()
                .chain(["SetTemp", "TargetSpeed", "Sollwert", "Temperatursollwert", "tempsetpoint"])
                .chain(["Set_Speed", "Rezeptname", "Temperatur/Soll", "Consigne"])
        {
            assert!(word_in(name).is_some(), "{name}");
        }
        for name in [
            "Temperature/Oil",
            "Spindle/Speed",
            "Users2x/a".trim_start_matches("Users2"),
            "ASpeed",
            "Wasp",
        ] {
            assert_eq!(word_in(name), None, "{name}");
        }
    }

    #[test]
    fn alarms_and_counters_are_known_by_their_names() {
        let seen = MetricSeen { datatypes: [DataType::Boolean].into(), ..MetricSeen::default() };
        for name in ["Stoerung", "Sammelstörung", "Warning/Code", "NotAus", "Motor/Fehler", "Error"]
        {
            assert!(is_alarm(name, &seen), "{name}");
        }
        for name in ["Alarm/High", "OilAlarm", "Alarms/3/Active", "E-Stop", "drive_fault", "Trip"] {
            assert!(is_alarm(name, &seen), "{name}");
        }
        for name in ["Default", "Alarm/Setpoint", "Stripper/On", "Running"] {
            assert!(!is_alarm(name, &seen), "{name}");
        }
        for name in ["Counter/Bottles", "TotalEnergy", "Operating Hours", "Energy_kWh"] {
            assert!(is_called_counter(name), "{name}");
        }
        assert!(!is_called_counter("Country") && !is_called_counter("Temperature"));
    }

    #[test]
    fn what_had_several_kinds_of_datatypes_is_opaque() {
        let seen = |datatypes: &[DataType]| MetricSeen {
            datatypes: datatypes.iter().copied().collect(),
            ..MetricSeen::default()
        };
        assert_eq!(kind_of("a", &seen(&[DataType::Int8, DataType::Float])), (Kind::Numbers, false));
        assert_eq!(kind_of("a", &seen(&[DataType::Int8, DataType::String])), (Kind::Opaque, false));
        assert_eq!(kind_of("a", &seen(&[DataType::BooleanArray])), (Kind::Opaque, false));
        let writable = MetricSeen { writable: true, ..seen(&[DataType::Boolean]) };
        assert_eq!(kind_of("a", &writable), (Kind::States, true));
    }
}
