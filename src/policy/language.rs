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
//! | P110 | warning: a rule whose time is over |
//! | P111 | warning: a forward rule of which a deny rule denies everything |
//! | P112 | warning: a rule that never decides, since another one does |
//! | P113 | warning: a limit that is never reached |
//! | P114 | warning: too many rules to compare them all |
//! | P115 | warning: a rule that decided nothing while the relay ran |
//! | P201 | bad or repeated name of a case |
//! | P202 | bad topic of a case |
//! | P203 | keys of a case that contradict each other |
//! | P204 | a value that isn't one of its datatype, or out of range |
//! | P205 | unknown expectation or reason |
//! | P251 | warning: a case names a rule that doesn't exist |

use diagnostic::{Diagnostic, Diagnostics, Section, SourceFile, UniqueNames};
use toml::de::DeTable;

use super::case::Case;
use super::case_reader::{CASE_KEYS, CaseReader, RuleNames, check_rule_names};
use super::limits::{Limits, LimitsReader};
use super::rename::{Renames, RenamesReader};
use super::rule::{Action, Rule};
use super::rule_reader::{RULE_KEYS, RuleReader};
use super::wording::PolicyWording;

/// Bytes of one policy file. 10,000 rules of a usual length are 2 MB.
const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;
/// Rules of one policy, over all files.
const MAX_RULES: usize = 100_000;
/// Cases of one policy, over all files.
const MAX_CASES: usize = 100_000;

/// What policy files say.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) rules: Vec<Rule>,
    pub(super) cases: Vec<Case>,
    pub(super) limits: Limits,
    pub(super) renames: Renames,
}

/// Reads all of `sources` in order. The content is only to be used if there is no error among
/// the problems.
pub(super) fn read(sources: &[SourceFile]) -> (Content, Diagnostics) {
    let mut limits = LimitsReader::default();
    let mut renames = RenamesReader::default();
    let mut problems = Diagnostics::new();
    let (mut rules, mut cases) = (Vec::new(), Vec::new());
    let mut names = UniqueNames::default();
    let (mut case_names, mut rule_names) = (UniqueNames::default(), RuleNames::new());
    for file in sources {
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
            problems.extend(errors.iter().map(|error| syntax_error(file, error)));
            continue;
        }
        let mut section = Section::top(file, "a policy file", document.get_ref(), &PolicyWording);
        let line_ends: Vec<usize> = file.text.match_indices('\n').map(|(end, _)| end).collect();
        for table in section.tables("rule", "a rule", &mut problems) {
            let start = table.header().start;
            let line = line_ends.partition_point(|end| *end < start).saturating_add(1);
            let rule = RuleReader::new(file, &mut problems, &mut names).read(table, line);
            if rules.len() >= MAX_RULES {
                let title = format!("a policy can't have more than {MAX_RULES} rules");
                problems.push(Diagnostic::file_error("P016", &file.path, title));
                break;
            }
            rules.extend(rule);
        }
        for table in section.tables("case", "a case", &mut problems) {
            if cases.len() >= MAX_CASES {
                let title = format!("a policy can't have more than {MAX_CASES} cases");
                problems.push(Diagnostic::file_error("P016", &file.path, title));
                break;
            }
            let mut reader = CaseReader {
                file,
                problems: &mut problems,
                names: &mut case_names,
                rule_names: &mut rule_names,
                line_ends: &line_ends,
            };
            cases.extend(reader.read(table));
        }
        limits.read(file, &mut section, &mut problems);
        renames.read(file, &mut section, &mut problems);
        let misplaced = |key: &str| match key {
            _ if RULE_KEYS.contains(&key) => Some("it belongs below a `[[rule]]`".to_owned()),
            _ if CASE_KEYS.contains(&key) => Some("it belongs below a `[[case]]`".to_owned()),
            _ => None,
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
        check_rule_names(&rule_names, rules.iter().map(Rule::name), &mut problems);
    }
    problems.sort_by_position(sources);
    (Content { rules, cases, limits: limits.finish(), renames }, problems)
}

/// What the TOML parser says, with a hint where it alone doesn't help.
fn syntax_error(file: &SourceFile, error: &toml::de::Error) -> Diagnostic {
    let problem = Diagnostic::from_toml("P001", file, error);
    if problem.title.contains("escaped value") {
        return problem.help("write text with backslashes in single quotes: `'a\\*b'`");
    }
    if problem.title.contains("must be quoted") || problem.title.contains("basic string") {
        return problem.help("text stands in quotes, such as `group = \"Plant1\"`");
    }
    problem
}
