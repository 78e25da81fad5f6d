//! The language of policy files: from text to [`Rule`]s, or to everything that is wrong with it.
//!
//! | code | problem |
//! |---|---|
//! | P001 | not TOML |
//! | P002 | unknown key |
//! | P003 | value of the wrong type |
//! | P004 | missing key |
//! | P005 | bad rule name |
//! | P006 | rule name used twice |
//! | P007 | unknown action |
//! | P008 | a rule that selects by nothing |
//! | P009 | bad topic filter |
//! | P010 | something that can never cross (commands, STATE, other namespaces) |
//! | P011 | message type named in a topic filter |
//! | P012 | bad glob |
//! | P013 | keys that contradict each other |
//! | P014 | unknown datatype |
//! | P015 | bad rate |
//! | P016 | over a cap |
//! | P017 | empty list |
//! | P018 | unknown word for `priority` or `mode` |
//! | P030 | bad moment or bad hours of the week |
//! | P031 | limits of nodes or of the link given twice |
//! | P032 | bad entry in a table of names |
//! | P033 | two things with the same name on IT |
//! | P040 | bad shape |
//! | P041 | bad regular expression |
//! | P042 | no key for pseudonyms |
//! | P101 | warning: control metrics never cross |
//! | P102 | warning: a character that is no wildcard here |
//! | P103 | warning: nothing is forwarded |
//! | P104 | warning: a forward rule that denies all that it forwards |
//! | P105 | warning: a pattern of another language, which is taken literally |
//!
//! P11x are those of the lint, P2xx those of [`Annotations`]: cases.

mod annotations;
mod datatype;
pub(crate) mod foreign;
mod keys;
pub(crate) mod rate_reader;
mod rule_reader;
mod wording;

use diagnostic::{Diagnostic, Diagnostics, Section, SourceFile, UniqueNames};
use toml::de::DeTable;

pub(crate) use self::annotations::RulesAlone;
pub use self::annotations::{Annotations, PolicyFile};
pub use self::datatype::read_datatype;
pub(crate) use self::keys::RULE_KEYS;
use self::rule_reader::RuleReader;
use self::wording::PolicyWording;
use crate::limits::{Limits, LimitsReader};
use crate::names::{Renames, RenamesReader};
use crate::rule::{Action, Rule};

/// Bytes of one policy file. 10,000 rules of a usual length are 2 MB.
const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;
/// Rules of one policy, over all files.
const MAX_RULES: usize = 100_000;

/// What policy files say.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) rules: Vec<Rule>,
    pub(crate) limits: Limits,
    pub(crate) renames: Renames,
}

/// Reads all of `sources` in order. The content is only to be used if there is no error among
/// the problems.
pub(crate) fn read<'s>(
    sources: &[&'s SourceFile],
    annotations: &mut dyn Annotations<'s>,
) -> (Content, Diagnostics) {
    let mut limits = LimitsReader::default();
    let mut renames = RenamesReader::default();
    let mut problems = Diagnostics::new();
    let mut rules = Vec::new();
    let mut names = UniqueNames::default();
    for &file in sources {
        if file.text.len() > MAX_FILE_BYTES {
            let title = format!(
                "a policy file can't be larger than {MAX_FILE_BYTES} bytes: {}",
                file.text.len()
            );
            problems.push(Diagnostic::file_error("P016", &file.path, title));
            continue;
        }
        let (document, errors) = DeTable::parse_recoverable(&file.text);
        if !errors.is_empty() {
            let quotes = "text stands in quotes, such as `group = \"Plant1\"`";
            problems.extend(Diagnostic::syntax("P001", file, &errors, quotes));
            continue;
        }
        let has = |key: &str| document.get_ref().contains_key(key);
        if has("broker") && has("journal") && !has("rule") {
            let title = "this is the configuration of a half, where a policy is wanted";
            problems.push(
                Diagnostic::file_error("P002", &file.path, title)
                    .help("policies are the files that its `[policies] paths` names"),
            );
            continue;
        }
        let mut section = Section::top(file, "a policy file", document.get_ref(), &PolicyWording);
        let policy_file = PolicyFile::new(file);
        for table in section.tables("rule", "a rule", &mut problems) {
            let line = policy_file.line(&table.header());
            let rule = RuleReader::new(file, &mut problems, &mut names).read(table, line);
            if rules.len() >= MAX_RULES {
                let title = format!("a policy can't have more than {MAX_RULES} rules");
                problems.push(Diagnostic::file_error("P016", &file.path, title));
                break;
            }
            rules.extend(rule);
        }
        annotations.read(&policy_file, &mut section, &mut problems);
        limits.read(file, &mut section, &mut problems);
        renames.read(file, &mut section, &mut problems);
        let misplaced = |key: &str| match RULE_KEYS.contains(&key) {
            true => Some("it belongs below a `[[rule]]`".to_owned()),
            false => annotations.misplaced(key),
        };
        section.finish(misplaced, &mut problems);
    }
    let renames = renames.finish(&rules, sources, &mut problems);
    let forwards = rules.iter().any(|rule| rule.action() == Action::Forward);
    if let (false, false, Some(file)) = (forwards, problems.has_errors(), sources.first()) {
        problems.push(
            Diagnostic::warning("P103", file, 0..0, "nothing is forwarded")
                .label("no rule of this policy says `action = \"forward\"`")
                .help("what no rule forwards is dropped"),
        );
    }
    if !problems.has_errors() {
        // A rule with an error isn't among them; its name would look like a wrong one.
        annotations.finish(&rules, &renames, &mut problems);
    }
    problems.sort_by_position(sources.iter().copied());
    (Content { rules, limits: limits.finish(), renames }, problems)
}
