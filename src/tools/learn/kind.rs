//! What sort of thing a metric is: what may be proposed as it is, and what a person decides.

use sparkplug::DataType;

use super::observe::MetricSeen;

/// Words in names that ask for a decision: what hosts write, and what a plant keeps to itself.
const WORDS: &[&str] = &[
    "setpoint",
    "setpt",
    "setvalue",
    "sp",
    "cmd",
    "command",
    "commands",
    "control",
    "ctrl",
    "write",
    "recipe",
    "recipes",
    "formula",
    "formulas",
    "ingredient",
    "ingredients",
    "operator",
    "operators",
    "user",
    "users",
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

/// The first of [`WORDS`] in a name: `Setpoint/Speed`, `motorSP`, `Set_Point`.
pub(super) fn word_in(name: &str) -> Option<&'static str> {
    let words = words(name);
    let pairs = words.windows(2).map(|pair| pair.concat());
    let candidates: Vec<String> = words.iter().cloned().chain(pairs).collect();
    WORDS.iter().find(|word| candidates.iter().any(|candidate| candidate == *word)).copied()
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
