//! Reads names of datatypes.

use diagnostic::{Diagnostic, Diagnostics, Placed, SourceFile, closest};
use sparkplug::DataType;

/// What PLC programmers call the datatypes (IEC 61131-3), and Sparkplug's names.
const PLC_TYPES: [(&str, DataType); 9] = [
    ("BOOL", DataType::Boolean),
    ("SINT", DataType::Int8),
    ("INT", DataType::Int16),
    ("DINT", DataType::Int32),
    ("LINT", DataType::Int64),
    ("WORD", DataType::UInt16),
    ("DWORD", DataType::UInt32),
    ("REAL", DataType::Float),
    ("LREAL", DataType::Double),
];

/// Reads the name of a datatype that metrics have.
pub fn read_datatype(
    file: &SourceFile,
    name: &Placed<String>,
    problems: &mut Diagnostics,
) -> Option<DataType> {
    let error = |title: String| Diagnostic::error("P014", file, name.span.clone(), title);
    match DataType::from_name(&name.value) {
        Some(DataType::PropertySet | DataType::PropertySetList) => {
            let title = format!("no metric has the datatype `{}`", name.value);
            problems.push(error(title).label("type of a property only"));
            None
        }
        Some(datatype) => Some(datatype),
        None => {
            let known = DataType::ALL.iter().map(|datatype| datatype.name());
            let meant = PLC_TYPES
                .iter()
                .find(|(plc, _)| plc.eq_ignore_ascii_case(&name.value))
                .map(|(_, datatype)| datatype.name())
                .or_else(|| closest(&name.value, known));
            let problem = error(format!("unknown datatype: `{}`", name.value))
                .label("not a datatype of Sparkplug B");
            problems.push(match meant {
                Some(meant) => problem.help(format!("did you mean `{meant}`?")),
                None => problem.help("such as `Float`, `Int32`, `Boolean`, `String`"),
            });
            None
        }
    }
}
