//! Content disarm: what may cross beside a value and inside of it. Beside every value Sparkplug
//! has room for anything: properties of any name, file names, checksums, parameters. By default
//! only what engineers call a value by crosses, and texts go the way of those in values: what a rule
//! says of these holds beside them too.

use std::sync::Arc;

use sparkplug::{
    DataSet, DataType, MetaData, Metric, Property, PropertySet, PropertyValue, Value, steps,
};

use super::Shape;
use super::pseudonym::{Pseudonym, Pseudonyms};
use super::texts::{Allowed, Length};
use crate::rule::glob::Glob;

/// Bytes of a text property or description that cross by default: a long sentence in any script.
const MAX_TEXT_BYTES: usize = 1024;

/// Bytes of the name of a property, with those of all sets that it is in: a longer one doesn't
/// cross.
const MAX_PATH_BYTES: usize = 4 * 1024;

/// Quality of a value (Sparkplug 3.0 §6.4.8): it crosses whatever a rule says, since a value
/// without it would look good.
pub(super) const QUALITY: &str = "Quality";

/// Names of engineering properties, in small letters without what separates words: how edge
/// libraries and SCADA systems call unit, range, quality, description, and whether a value can
/// be written.
const ENGINEERING: [&str; 30] = [
    "description",
    "desc",
    "documentation",
    "tooltip",
    "engunit",
    "engunits",
    "engineeringunit",
    "engineeringunits",
    "unit",
    "units",
    "uom",
    "unitofmeasure",
    "englow",
    "enghigh",
    "engmin",
    "engmax",
    "engineeringlow",
    "engineeringhigh",
    "engrange",
    "low",
    "high",
    "lowlimit",
    "highlimit",
    "min",
    "max",
    "minimum",
    "maximum",
    "range",
    "quality",
    "readonly",
];

/// What may cross beside and inside of values. What isn't said is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Disarm {
    /// By default the engineering properties.
    properties: Option<Names>,
    /// By default the description.
    metadata: Option<Fields>,
    /// Columns of data sets; by default none, and so no data set.
    columns: Option<Names>,
    /// Members of templates; by default all, since these are what a rule admits or denies by
    /// their paths.
    members: Option<Names>,
    /// Parameters of templates; by default none.
    parameters: Option<Names>,
}

/// What becomes of texts beside a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextsBeside<'a> {
    length: Option<&'a Length>,
    allowed: Option<&'a Allowed>,
    pseudonym: Option<&'a Pseudonym>,
    /// `None`: those that are to be replaced stay as they are, for comparisons of what came.
    how: Option<Pseudonyms<'a>>,
}

impl<'a> TextsBeside<'a> {
    pub(super) fn of(shape: &'a Shape, how: Option<Pseudonyms<'a>>) -> TextsBeside<'a> {
        TextsBeside {
            length: shape.length.as_ref(),
            allowed: shape.allowed.as_ref(),
            pseudonym: shape.pseudonym.as_ref(),
            how,
        }
    }

    /// What crosses of a text: nothing, itself (`Some(None)`), or another in its place. As for values,
    /// the checks look at what the plant sent, and what was replaced already stays.
    fn shaped(self, text: &str) -> Option<Option<String>> {
        // Whether a text is a pseudonym, only the key's owner knows.
        let is_replaced = match (self.pseudonym, self.how) {
            (None, _) | (_, None) => false,
            (Some(_), Some(Pseudonyms::Check)) => true,
            (Some(pseudonym), Some(Pseudonyms::Make(key))) => {
                pseudonym.is_replaced(DataType::String, text, key)
            }
        };
        let fits = self.length.is_none_or(|length| !length.is_too_long(text))
            && self.allowed.is_none_or(|allowed| allowed.allows_text(text));
        if !is_replaced && !fits {
            return None;
        }
        match (self.pseudonym, self.how) {
            (Some(pseudonym), Some(how)) => pseudonym.replace(DataType::String, text, how).ok(),
            _ => Some(None),
        }
    }
}

/// Names that may cross; an empty list is none.
pub(super) type Names = Arc<[Glob]>;

/// Fields of [`MetaData`], as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(u8);

impl Fields {
    const IS_MULTI_PART: u8 = 1;
    const CONTENT_TYPE: u8 = 1 << 1;
    const SIZE: u8 = 1 << 2;
    const SEQ: u8 = 1 << 3;
    const FILE_NAME: u8 = 1 << 4;
    const FILE_TYPE: u8 = 1 << 5;
    const MD5: u8 = 1 << 6;
    const DESCRIPTION: u8 = 1 << 7;

    /// The names that a policy uses, in the specification's order.
    pub(super) const NAMES: [&'static str; 8] = [
        "is-multi-part",
        "content-type",
        "size",
        "seq",
        "file-name",
        "file-type",
        "md5",
        "description",
    ];
    const DEFAULT: Fields = Fields(Fields::DESCRIPTION);
    /// What a host needs to put a file together, and to know what it is.
    const OF_BYTES: u8 =
        Fields::IS_MULTI_PART | Fields::CONTENT_TYPE | Fields::SIZE | Fields::SEQ | Fields::MD5;

    /// The set with the field called `name`, if there is one.
    pub(super) fn with(self, name: &str) -> Option<Fields> {
        let index = Fields::NAMES.iter().position(|known| *known == name)?;
        Some(Fields(self.0 | 1_u8.wrapping_shl(u32::try_from(index).ok()?)))
    }

    pub(super) fn names(self) -> Vec<&'static str> {
        let named = Fields::NAMES.iter().enumerate();
        let contained = named.filter(|(index, _)| self.0 & (1 << index) != 0);
        contained.map(|(_, name)| *name).collect()
    }

    pub(super) fn is_none(self) -> bool {
        self.0 == 0
    }

    pub(super) fn has_description(self) -> bool {
        self.has(Fields::DESCRIPTION)
    }

    /// Whether `other` has all of them.
    pub(super) fn is_within(self, other: Fields) -> bool {
        self.0 & !other.0 == 0
    }

    fn has(self, field: u8) -> bool {
        self.0 & field != 0
    }
}

impl Disarm {
    pub(super) fn new(
        properties: Option<Names>,
        metadata: Option<Fields>,
        columns: Option<Names>,
        members: Option<Names>,
        parameters: Option<Names>,
    ) -> Disarm {
        Disarm { properties, metadata, columns, members, parameters }
    }

    /// Takes over from `base` what isn't said here.
    pub(super) fn or(self, base: &Disarm) -> Disarm {
        Disarm {
            properties: self.properties.or_else(|| base.properties.clone()),
            metadata: self.metadata.or(base.metadata),
            columns: self.columns.or_else(|| base.columns.clone()),
            members: self.members.or_else(|| base.members.clone()),
            parameters: self.parameters.or_else(|| base.parameters.clone()),
        }
    }

    /// Whether columns of data sets may cross.
    pub(super) fn has_columns(&self) -> bool {
        self.columns.as_ref().is_some_and(|columns| !columns.is_empty())
    }

    /// Whether a member of a template may cross: `path` is its name, with those of the members
    /// that it is in, below the metric. Ask from the metric downwards.
    pub(super) fn takes_member(&self, path: &str) -> bool {
        self.members.as_deref().is_none_or(|members| matches(members, path))
    }

    /// Whether a parameter of a template may cross; `path` as for members.
    pub(super) fn takes_parameter(&self, path: &str) -> bool {
        self.parameters.as_deref().is_some_and(|parameters| matches(parameters, path))
    }

    pub(super) fn takes_column(&self, name: &str) -> bool {
        self.columns.as_deref().is_some_and(|columns| matches(columns, name))
    }

    /// What was said, in the order of the keys.
    pub(super) fn said(&self) -> [(&'static str, Option<&Names>); 4] {
        [
            ("properties", self.properties.as_ref()),
            ("columns", self.columns.as_ref()),
            ("members", self.members.as_ref()),
            ("parameters", self.parameters.as_ref()),
        ]
    }

    pub(super) fn said_metadata(&self) -> Option<Fields> {
        self.metadata
    }

    fn takes_property(&self, path: &str, value: &PropertyValue) -> bool {
        match &self.properties {
            Some(names) => matches(names, path),
            None => is_engineering(path) && is_plain(value),
        }
    }
}

impl Shape {
    /// Takes out of a metric what may not cross beside and inside of its value; whether there was
    /// anything.
    pub(super) fn disarm(
        &self,
        datatype: DataType,
        metric: &mut Metric,
        how: Pseudonyms<'_>,
    ) -> bool {
        disarm(self, self.length.as_ref(), datatype, metric, how)
    }

    /// The same for what isn't a value of its own: a template's definition, or a member.
    pub fn disarm_definition(&self, metric: &mut Metric, how: Pseudonyms<'_>) -> bool {
        let datatype = metric.datatype.and_then(DataType::from_code);
        disarm(self, None, datatype.unwrap_or(DataType::String), metric, how)
    }

    /// The properties of a metric that may cross, as the plant sent them.
    pub(super) fn crossing_properties(&self, properties: &PropertySet) -> PropertySet {
        let mut crossing = properties.clone();
        retain_properties(&self.disarm, TextsBeside::of(self, None), &mut crossing, "");
        crossing
    }
}

/// `length` is what may be told of a file.
fn disarm(
    shape: &Shape,
    length: Option<&Length>,
    datatype: DataType,
    metric: &mut Metric,
    how: Pseudonyms<'_>,
) -> bool {
    let texts = TextsBeside::of(shape, Some(how));
    let mut changed = false;
    if let Some(properties) = &mut metric.properties {
        changed |= retain_properties(&shape.disarm, texts, properties, "");
        if properties.keys.is_empty() {
            metric.properties = None;
        }
    }
    if let Some(metadata) = &metric.metadata {
        let value = metric.value.as_ref();
        let crossing = crossing_metadata(shape, texts, length, datatype, value, metadata);
        changed |= crossing.as_ref() != Some(&**metadata);
        metric.metadata = crossing.map(Box::new);
    }
    match &mut metric.value {
        Some(Value::DataSet(table)) => changed |= retain_columns(&shape.disarm, table),
        Some(Value::Template(template)) => {
            // Which members there are was decided with the definition. Recursion is bounded by
            // the depth that was decoded.
            for member in &mut template.metrics {
                changed |= shape.disarm_definition(member, how);
            }
        }
        _ => {}
    }
    changed
}

/// `path`: of the set that these properties are in. Whether anything changed.
fn retain_properties(
    disarm: &Disarm,
    texts: TextsBeside<'_>,
    set: &mut PropertySet,
    path: &str,
) -> bool {
    let uneven = set.keys.len() != set.values.len();
    let before = set.keys.len();
    let keys = std::mem::take(&mut set.keys);
    let values = std::mem::take(&mut set.values);
    let mut changed = uneven;
    for (key, mut value) in keys.into_iter().zip(values) {
        steps::take(path.len().saturating_add(key.len()).div_ceil(64));
        if path.len().saturating_add(key.len()) > MAX_PATH_BYTES {
            continue;
        }
        let below = if path.is_empty() { key.clone() } else { format!("{path}/{key}") };
        let is_quality = path.is_empty()
            && key == QUALITY
            && matches!(value.value, None | Some(Property::Int(_)));
        if !is_quality && !disarm.takes_property(&below, &value) {
            continue;
        }
        match &mut value.value {
            Some(Property::Set(inner)) => {
                changed |= retain_properties(disarm, texts, inner, &below)
            }
            Some(Property::SetList(list)) => {
                for inner in &mut list.sets {
                    changed |= retain_properties(disarm, texts, inner, &below);
                }
            }
            Some(Property::String(text)) => {
                steps::take(text.len().div_ceil(64));
                let shaped = texts.shaped(text);
                let Some(shaped) = shaped else { continue };
                if let Some(replaced) = shaped {
                    *text = replaced;
                    changed = true;
                }
            }
            _ => {}
        }
        set.keys.push(key);
        set.values.push(value);
    }
    changed || set.keys.len() != before
}

fn crossing_metadata(
    shape: &Shape,
    texts: TextsBeside<'_>,
    length: Option<&Length>,
    datatype: DataType,
    value: Option<&Value>,
    metadata: &MetaData,
) -> Option<MetaData> {
    let said = shape.disarm.metadata;
    // What tells of a file's content has no meaning without it.
    let of_bytes = value.is_some() && matches!(datatype, DataType::Bytes | DataType::File);
    let mut fields = said.unwrap_or(Fields::DEFAULT);
    if of_bytes && length.is_some() {
        fields.0 |= Fields::OF_BYTES;
    } else {
        fields.0 &= !Fields::OF_BYTES;
    }
    let by_name = |field: u8| said.is_some_and(|said| said.has(field));
    let text = |field: u8, text: &Option<String>| {
        let short = |text: &&String| by_name(field) || text.len() <= MAX_TEXT_BYTES;
        let text = text.as_ref().filter(|_| fields.has(field)).filter(short)?;
        Some(texts.shaped(text)?.unwrap_or_else(|| text.clone()))
    };
    let content_types = length.and_then(|length| length.content_types.as_ref());
    let is_listed = |content_type: &str| {
        content_types
            .is_some_and(|types| types.iter().any(|one| one.eq_ignore_ascii_case(content_type)))
    };
    let content_type = |content_type: &String| match is_listed(content_type) {
        true => Some(content_type.clone()),
        false if by_name(Fields::CONTENT_TYPE) => {
            Some(texts.shaped(content_type)?.unwrap_or_else(|| content_type.clone()))
        }
        false => None,
    };
    let is_md5 =
        |md5: &&String| md5.len() == 32 && md5.bytes().all(|digit| digit.is_ascii_hexdigit());
    let crossing = MetaData {
        is_multi_part: metadata.is_multi_part.filter(|_| fields.has(Fields::IS_MULTI_PART)),
        content_type: metadata
            .content_type
            .as_ref()
            .filter(|_| fields.has(Fields::CONTENT_TYPE))
            .and_then(content_type),
        size: metadata.size.filter(|_| fields.has(Fields::SIZE)),
        seq: metadata.seq.filter(|_| fields.has(Fields::SEQ)),
        file_name: text(Fields::FILE_NAME, &metadata.file_name),
        file_type: text(Fields::FILE_TYPE, &metadata.file_type),
        md5: metadata.md5.as_ref().filter(|_| fields.has(Fields::MD5)).filter(is_md5).cloned(),
        description: text(Fields::DESCRIPTION, &metadata.description),
    };
    (crossing != MetaData::default()).then_some(crossing)
}

fn retain_columns(disarm: &Disarm, table: &mut DataSet) -> bool {
    if table.columns.iter().all(|column| disarm.takes_column(column)) {
        return false;
    }
    let keep: Vec<bool> = table.columns.iter().map(|column| disarm.takes_column(column)).collect();
    retain(&mut table.columns, &keep);
    retain(&mut table.types, &keep);
    for row in &mut table.rows {
        steps::take(row.elements.len().saturating_add(1));
        retain(&mut row.elements, &keep);
    }
    table.num_of_columns = Some(u64::try_from(table.columns.len()).unwrap_or(u64::MAX));
    true
}

/// What has no flag goes.
fn retain<T>(items: &mut Vec<T>, keep: &[bool]) {
    let mut keep = keep.iter();
    items.retain(|_| keep.next().copied().unwrap_or(false));
}

fn matches(names: &[Glob], name: &str) -> bool {
    names.iter().any(|glob| glob.matches(name))
}

/// Whether a property is called like one that engineers use: capitals, `_`, `-`, `.` and spaces
/// don't count.
fn is_engineering(key: &str) -> bool {
    let mut plain = String::new();
    for character in key.chars().filter(|character| !matches!(character, '_' | '-' | '.' | ' ')) {
        if plain.len() > 32 {
            return false;
        }
        plain.push(character.to_ascii_lowercase());
    }
    ENGINEERING.contains(&plain.as_str())
}

/// A number, a boolean, or a text that isn't long.
fn is_plain(value: &PropertyValue) -> bool {
    match &value.value {
        None => true,
        Some(Property::Set(_) | Property::SetList(_)) => false,
        Some(Property::String(text)) => text.len() <= MAX_TEXT_BYTES,
        Some(_) => true,
    }
}
