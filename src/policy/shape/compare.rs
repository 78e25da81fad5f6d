//! How two shapes let values of one datatype cross, compared step by step: what one shows of them
//! that the other doesn't. That it shows no more is only said where it is certain.

use sparkplug::DataType;

use super::disarm::{Disarm, Fields, Names};
use super::numbers::{OutOfRange, Range, can_round};
use super::pseudonym::Pseudonym;
use super::texts::{Allowed, AllowedValues, Length};
use super::words::Aspect;
use super::{Refusal, RuleShapes, Shape, is_bytes, is_number};
use crate::contrast::{Contrast, Matter, Shows};
use crate::rule::DataTypes;
use crate::rule::glob::Glob;

impl RuleShapes {
    /// Whether it takes members out of templates.
    pub fn removes_members(&self) -> bool {
        let tables = self.tables.iter().map(|table| &table.shape);
        !self.members.is_empty()
            || tables.chain([&self.base]).any(|shape| shape.disarm.says_members())
    }
}

impl Shape {
    /// What of values of `datatype` crosses otherwise under `after`, a line for each step.
    pub(crate) fn contrasts(&self, after: &Shape, datatype: DataType) -> Vec<Contrast> {
        let before = self;
        // What is added to a shape has to be compared.
        let Shape {
            max_age,
            max_future,
            step,
            range,
            length,
            allowed,
            pseudonym,
            open,
            disarm,
            deadband,
            min_interval: _,
        } = after;
        let number = is_number(datatype);
        let has_range = number && (before.range.is_some() || range.is_some());
        let rounds = |shape: &Shape| shape.step.filter(|step| can_round(*step, datatype));
        let of_step = match (rounds(before), step.filter(|step| can_round(*step, datatype))) {
            (was, is) if was == is => None,
            (Some(_), None) => Some(Shows::More),
            // A number just out of the range may be rounded into it.
            (None, Some(_)) if !has_range => Some(Shows::Less),
            _ => Some(Shows::Otherwise),
        };
        let of_range = if number { compare_ranges(before.range, *range) } else { None };
        let of_deadband = match (before.deadband, *deadband) {
            (was, is) if was == is || !number => None,
            (None, _) => Some(Shows::Less),
            (Some(_), None) => Some(Shows::More),
            (Some(was), Some(is)) => {
                let wide = |one: Option<f64>| one.unwrap_or(0.0);
                let narrower = wide(is.absolute) <= wide(was.absolute)
                    && wide(is.percent) <= wide(was.percent);
                Some(if narrower { Shows::More } else { Shows::Otherwise })
            }
        };
        let of_interval = match (before.interval(datatype), after.interval(datatype)) {
            (was, is) if was == is => None,
            (was, is) if is.unwrap_or_default() < was.unwrap_or_default() => Some(Shows::More),
            _ => Some(Shows::Less),
        };
        let found = [
            (Aspect::Open, compare_insides(before, after, *open, datatype)),
            (Aspect::Age, compare_caps(before.max_age, *max_age)),
            (Aspect::Future, compare_caps(before.max_future, *max_future)),
            (Aspect::Step, of_step),
            (Aspect::Range, of_range),
            (Aspect::Length, compare_lengths(before.length.as_ref(), length.as_ref(), datatype)),
            (Aspect::Allowed, compare_allowed(before.allowed.as_ref(), allowed.as_ref(), datatype)),
            (Aspect::Pseudonym, compare_pseudonyms(before.pseudonym.as_ref(), pseudonym.as_ref())),
            (Aspect::Deadband, of_deadband),
            (Aspect::Interval, of_interval),
        ];
        let (was, is) = (before.aspects(), after.aspects());
        let found = found.into_iter().chain(before.disarm.compare(disarm, datatype));
        let mut contrasts: Vec<Contrast> = found
            .filter_map(|(aspect, shows)| {
                let said = |aspects: &[(Aspect, String)]| {
                    aspects.iter().find(|(one, _)| *one == aspect).map(|(_, words)| words.clone())
                };
                let words =
                    |said: Option<String>| said.unwrap_or_else(|| aspect.unsaid().to_owned());
                let (now, was) = (said(&is), said(&was));
                Some(Contrast {
                    shows: shows?,
                    matter: matter(aspect, before.allowed.as_ref().or(allowed.as_ref())),
                    is_unsaid: now.is_none(),
                    now: words(now),
                    before: words(was),
                })
            })
            .collect();
        if before.spaces(datatype) && contrasts.iter().any(|contrast| contrast.shows == Shows::Less)
        {
            contrasts.push(Contrast::held_back());
        }
        contrasts
    }
}

/// What an aspect is about; `allowed`: which values are.
fn matter(aspect: Aspect, allowed: Option<&Allowed>) -> Matter {
    match aspect {
        Aspect::Age | Aspect::Future => Matter::Times,
        Aspect::Allowed if allowed.is_some_and(Allowed::is_of_numbers) => Matter::Values,
        Aspect::Length | Aspect::Allowed | Aspect::Pseudonym => Matter::Texts,
        Aspect::Step | Aspect::Range | Aspect::Open => Matter::Values,
        Aspect::Properties
        | Aspect::Metadata
        | Aspect::Columns
        | Aspect::Members
        | Aspect::Parameters => Matter::Beside,
        Aspect::Deadband | Aspect::Interval => Matter::Spacing,
    }
}

/// What is limited by a number: without one, by nothing.
fn compare_caps<T: PartialOrd>(before: Option<T>, after: Option<T>) -> Option<Shows> {
    match (before, after) {
        (None, None) => None,
        (None, Some(_)) => Some(Shows::Less),
        (Some(_), None) => Some(Shows::More),
        (Some(was), Some(is)) if was == is => None,
        (Some(was), Some(is)) => Some(if is < was { Shows::Less } else { Shows::More }),
    }
}

/// Which of both shows more, where it is known whether each shows no more than the other.
fn ordered(no_more: bool, no_less: bool) -> Option<Shows> {
    match (no_more, no_less) {
        (true, true) => None,
        (true, false) => Some(Shows::Less),
        (false, true) => Some(Shows::More),
        (false, false) => Some(Shows::Otherwise),
    }
}

/// Whether a refusal shows no more than another one: a null tells that there was something.
fn refuses_as_much(is: Refusal, was: Refusal) -> bool {
    is == Refusal::Drop || was == Refusal::Null
}

fn compare_ranges(before: Option<Range>, after: Option<Range>) -> Option<Shows> {
    let rank = |otherwise| match otherwise {
        OutOfRange::Drop => 0,
        OutOfRange::Null => 1,
        // Tells at which end a value is.
        OutOfRange::Clamp => 2,
    };
    let no_more =
        |is: &Range, was: &Range| is.is_within(was) && rank(is.otherwise) <= rank(was.otherwise);
    match (before, after) {
        (None, None) => None,
        (None, Some(_)) => Some(Shows::Less),
        (Some(_), None) => Some(Shows::More),
        (Some(was), Some(is)) if was == is => None,
        (Some(was), Some(is)) => ordered(no_more(&is, &was), no_more(&was, &is)),
    }
}

fn compare_lengths(
    before: Option<&Length>,
    after: Option<&Length>,
    datatype: DataType,
) -> Option<Shows> {
    let of = |length: Option<&Length>| -> Length {
        let mut length = length.cloned().unwrap_or_default();
        // Texts stand beside values of every datatype.
        length.max_bytes = length.max_bytes.filter(|_| is_bytes(datatype));
        length.content_types = length.content_types.filter(|_| datatype == DataType::File);
        length
    };
    let (was, is) = (of(before), of(after));
    let caps = |length: &Length| length.max_length.is_some() || length.max_bytes.is_some();
    let no_more = |is: &Length, was: &Length| {
        let below = |is: Option<u64>, was: Option<u64>| match (is, was) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(is), Some(was)) => is <= was,
        };
        let types = |length: &Length| length.content_types.clone().unwrap_or_default();
        let (listed, known) = (types(is), types(was));
        below(is.max_length, was.max_length)
            && below(is.max_bytes, was.max_bytes)
            && listed.iter().all(|one| known.iter().any(|other| other.eq_ignore_ascii_case(one)))
            && (!caps(was) || refuses_as_much(is.otherwise, was.otherwise))
    };
    ordered(no_more(&is, &was), no_more(&was, &is))
}

fn compare_allowed(
    before: Option<&Allowed>,
    after: Option<&Allowed>,
    datatype: DataType,
) -> Option<Shows> {
    // Texts stand beside values of every datatype.
    let is_about = |one: &&Allowed| one.looks_at(datatype) || !one.is_of_numbers();
    let of = |allowed: Option<&Allowed>| allowed.filter(is_about).cloned();
    let takes = |is: &AllowedValues, was: &AllowedValues| match (is, was) {
        (AllowedValues::Texts(is), AllowedValues::Texts(was)) => is.is_subset(was),
        (AllowedValues::Numbers(is), AllowedValues::Numbers(was)) => is.is_subset(was),
        (AllowedValues::Texts(is), AllowedValues::Pattern(was)) => {
            is.iter().all(|text| was.matches_all(text))
        }
        (is, was) => is == was,
    };
    let no_more = |is: &Allowed, was: &Allowed| {
        takes(&is.values, &was.values) && refuses_as_much(is.otherwise, was.otherwise)
    };
    match (of(before), of(after)) {
        (None, None) => None,
        (None, Some(_)) => Some(Shows::Less),
        (Some(_), None) => Some(Shows::More),
        (Some(was), Some(is)) => ordered(no_more(&is, &was), no_more(&was, &is)),
    }
}

/// What of templates crosses that no check looks at; of other datatypes that decides whether they
/// cross, and not as what.
fn compare_insides(
    before: &Shape,
    after: &Shape,
    open: Option<DataTypes>,
    datatype: DataType,
) -> Option<Shows> {
    if datatype != DataType::Template {
        return None;
    }
    let (was, is) = (before.open.unwrap_or_default(), open.unwrap_or_default());
    match (before.restricts(), after.restricts()) {
        (false, false) => None,
        (false, true) => Some(Shows::Less),
        (true, false) => Some(Shows::More),
        (true, true) => ordered(is.is_subset_of(was), was.is_subset_of(is)),
    }
}

fn compare_pseudonyms(before: Option<&Pseudonym>, after: Option<&Pseudonym>) -> Option<Shows> {
    match (before, after) {
        (was, is) if was == is => None,
        (None, _) | (Some(Pseudonym::Matches(_)), Some(Pseudonym::Whole)) => Some(Shows::Less),
        (_, None) | (Some(Pseudonym::Whole), _) => Some(Shows::More),
        _ => Some(Shows::Otherwise),
    }
}

impl Disarm {
    /// What may cross beside and inside of values, under `self` and under `after`.
    fn compare(&self, after: &Disarm, datatype: DataType) -> [(Aspect, Option<Shows>); 5] {
        let [was_properties, was_columns, was_members, was_parameters] =
            self.said().map(|(_, names)| names);
        let [properties, columns, members, parameters] = after.said().map(|(_, names)| names);
        let is = |of: DataType| datatype == of;
        let within = |is: Option<&Names>, was: Option<&Names>| match (is, was) {
            (_, None) => true,
            (None, Some(was)) => was.iter().any(Glob::matches_all),
            (Some(is), Some(was)) => names_within(is, was),
        };
        let none: Names = Names::from([]);
        let or_none = |names: Option<&Names>| names.cloned().unwrap_or_else(|| none.clone());
        let compared = |is: Option<&Names>, was: Option<&Names>| {
            let (is, was) = (or_none(is), or_none(was));
            ordered(names_within(&is, &was), names_within(&was, &is))
        };
        let of_properties = match (was_properties, properties) {
            (None, None) => None,
            // The usual ones are some names, of short values.
            (None, Some(is)) if is.is_empty() => Some(Shows::Less),
            (Some(was), None) if was.is_empty() => Some(Shows::More),
            (Some(was), None) if was.iter().any(Glob::matches_all) => Some(Shows::Less),
            (None, Some(is)) if is.iter().any(Glob::matches_all) => Some(Shows::More),
            (None, Some(_)) | (Some(_), None) => Some(Shows::Otherwise),
            (Some(was), Some(is)) => ordered(names_within(is, was), names_within(was, is)),
        };
        let of_members = ordered(within(members, was_members), within(was_members, members));
        [
            (Aspect::Properties, of_properties),
            (Aspect::Metadata, compare_metadata(self.said_metadata(), after.said_metadata())),
            (Aspect::Columns, compared(columns, was_columns).filter(|_| is(DataType::DataSet))),
            (Aspect::Members, of_members.filter(|_| is(DataType::Template))),
            (
                Aspect::Parameters,
                compared(parameters, was_parameters).filter(|_| is(DataType::Template)),
            ),
        ]
    }

    fn says_members(&self) -> bool {
        let [_, _, (_, members), _] = self.said();
        members.is_some()
    }
}

fn compare_metadata(before: Option<Fields>, after: Option<Fields>) -> Option<Shows> {
    match (before, after) {
        (None, None) => None,
        // Short descriptions cross where nothing is said, all of them where they are named.
        (None, Some(is)) if is.is_none() => Some(Shows::Less),
        (Some(was), None) if was.is_none() => Some(Shows::More),
        (None, Some(is)) if is.has_description() => Some(Shows::More),
        (Some(was), None) if was.has_description() => Some(Shows::Less),
        (None, Some(_)) | (Some(_), None) => Some(Shows::Otherwise),
        (Some(was), Some(is)) => ordered(is.is_within(was), was.is_within(is)),
    }
}

/// Whether every name that one of `is` matches is matched by one of `was`, as far as it is certain.
fn names_within(is: &[Glob], was: &[Glob]) -> bool {
    let takes = |wide: &Glob, narrow: &Glob| {
        wide.matches_all()
            || narrow.literal().is_some_and(|literal| wide.matches(literal))
            || wide.to_string() == narrow.to_string()
    };
    is.iter().all(|narrow| was.iter().any(|wide| takes(wide, narrow)))
}
