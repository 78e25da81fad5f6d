//! `sparkdiode policy test`: runs the cases of policies.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use config::policies;
use mistake::mistake;
use policy::{Mode, Policy, Rule};
use serde_json::{Value as Json, json};
use sparkplug::Topic;
use text::{Paint, counted, escape};
use tools::cases::Case;
use tools::dry_run::case::{self, CaseReport, Check, Got};
use tools::dry_run::coverage::{Coverage, coverage};
use tools::explain::{self, Relation};

use crate::cli::{Exit, Failure, report};

/// Run the `[[case]]` tables of a policy.
///
/// Each case gives a message, or several over some time, and what is expected of it. It is
/// handed to the relay's own pipeline, on a clock of its own: hours of a case take milliseconds.
/// The files that are named are one policy together, as for the relay. Exits with 0 if
/// everything is as expected, with 1 if not, with 78 if the policy has an error.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sparkdiode policy test policies\n  \
                        sparkdiode policy test --strict policies/line4.toml policies/site.toml\n  \
                        sparkdiode policy test --name temperature policies\n\n\
                        A case in a policy file:\n  \
                        [[case]]\n  \
                        name = \"oven temperatures of line 4 cross\"\n  \
                        topic = \"spBv1.0/Plant1/DDATA/Line4/Oven1\"\n  \
                        metric = \"Temperature/Oil\"\n  \
                        datatype = \"Float\"\n  \
                        value = 61.5\n  \
                        expect = \"forward\"     # or \"drop\", with reason = \"…\" and rule = \"…\"\n\n\
                        All keys of cases: `sparkdiode help policies` (Reference: cases); one key: `sparkdiode explain KEY`;\n\
                        how policies are written: `sparkdiode policy --help`, whole in `sparkdiode help policy`.")]
pub(super) struct TestArgs {
    /// Policy files and directories of them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Fail if a rule has no case in which something is forwarded, or none in which something
    /// is dropped.
    #[arg(long, conflicts_with = "name")]
    strict: bool,
    /// Only cases whose name contains this.
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Each file is a policy of its own.
    #[arg(long)]
    each: bool,
    /// Say nothing about cases that pass.
    #[arg(long, short)]
    quiet: bool,
    /// One JSON object with everything.
    #[arg(long)]
    json: bool,
}

/// A policy whose cases were run.
struct Tested<'a> {
    policy: &'a Policy,
    cases: Vec<(&'a Case, CaseReport)>,
    /// In the order of the rules; `None` where only some cases were run.
    coverage: Option<Vec<Coverage>>,
}

#[derive(Default)]
struct Totals {
    passed: usize,
    failed: usize,
    rules: usize,
    uncovered: usize,
}

pub(super) fn run(arguments: &TestArgs) -> Result<Exit, Failure> {
    let sets: Vec<Vec<PathBuf>> = if arguments.each {
        let sources = policies::load_sources(&arguments.paths)?;
        sources.into_iter().map(|source| vec![source.path]).collect()
    } else {
        vec![arguments.paths.clone()]
    };
    let policies: Result<Vec<(Policy, Vec<Case>)>, Failure> =
        sets.iter().map(|set| super::read_with_cases(set)).collect();
    let policies = policies?;
    let paint = report::paint();
    let (mut text, mut totals) = (String::new(), Totals::default());
    let mut json = Vec::new();
    for (policy, cases) in &policies {
        let tested = test(policy, cases, arguments.name.as_deref());
        totals.add(&tested);
        if arguments.json {
            json.push(tested.json());
        } else {
            tested.describe(&mut text, arguments, paint);
        }
    }
    if let Some(name) = arguments.name.as_ref().filter(|_| totals.cases() == 0) {
        let message = format!("no case has `{}` in its name", escape(name));
        return Err(Failure::new(Exit::Usage, message));
    }
    let passed = totals.failed == 0 && (!arguments.strict || totals.uncovered == 0);
    if arguments.json {
        let summary = json!({
            "passed": passed,
            "cases": totals.cases(),
            "failed": totals.failed,
            "rules": totals.rules,
            "rules_without_cases": totals.uncovered,
        });
        report::json(&json!({ "policies": json, "summary": summary }))?;
    } else {
        totals.summarise(&mut text, arguments.strict, paint);
        report::output(&text)?;
    }
    Ok(if passed { Exit::Ok } else { Exit::Failed })
}

fn test<'a>(policy: &'a Policy, cases: &'a [Case], name: Option<&str>) -> Tested<'a> {
    let chosen = cases.iter().filter(|case| name.is_none_or(|name| case.name().contains(name)));
    let cases: Vec<_> = chosen.map(|case| (case, case::run(policy, case))).collect();
    let coverage = name
        .is_none()
        .then(|| coverage(policy, cases.iter().map(|(case, report)| (*case, report))));
    Tested { policy, cases, coverage }
}

impl Tested<'_> {
    fn describe(&self, text: &mut String, arguments: &TestArgs, paint: Paint) {
        let mut file = None;
        for (case, report) in &self.cases {
            if report.passed() && arguments.quiet {
                continue;
            }
            if file != Some(case.path()) {
                file = Some(case.path());
                line(text, &paint.strong(case.path().display()));
            }
            if report.passed() {
                line(text, &format!("  {}    {}", paint.good("ok"), escape(case.name())));
            } else {
                line(text, &format!("  {}  {}", paint.bad("FAIL"), escape(case.name())));
                for check in report.checks.iter().filter(|check| !check.passed) {
                    self.failure(text, case, report, check, paint);
                }
            }
        }
        for (rule, missing) in self.uncovered() {
            let word = if arguments.strict { paint.bad("error") } else { paint.odd("warning") };
            let place = format!("{}:{}", rule.path().display(), rule.line());
            line(text, &format!("{word}: rule `{}` has no case {missing}", rule.name()));
            line(text, &format!(" {} {place}", paint.faint("-->")));
        }
    }

    /// What was expected, what happened, and which rules had a say.
    fn failure(
        &self,
        text: &mut String,
        case: &Case,
        report: &CaseReport,
        check: &Check,
        paint: Paint,
    ) {
        let place = format!("{}:{}", case.path().display(), check.line);
        let mut about = escape(&check.topic).to_string();
        if let (Some(metric), Some(datatype)) = (&check.metric, check.datatype) {
            about = format!("{about}  {} ({datatype})", escape(metric));
        }
        let when = match report.checks.iter().map(|check| check.step).max() {
            Some(last) if last > 0 => {
                let ms = check.at.as_millis();
                format!("  step {} at {ms} ms", check.step.saturating_add(1))
            }
            _ => String::new(),
        };
        line(text, &format!("        {}", paint.faint(format!("{place}{when}"))));
        line(text, &format!("        {about}"));
        let got = check.got_in_words(self.policy);
        line(text, &format!("          expected  {}", paint.good(&check.expected)));
        line(text, &format!("          got       {}", paint.bad(got)));
        for (index, why) in self.why(case, check).iter().enumerate() {
            let label = if index == 0 { "because" } else { "" };
            line(text, &format!("          {label:<9} {why}"));
        }
    }

    /// The rules that select the metric's entity, and how each relates to it.
    fn why(&self, case: &Case, check: &Check) -> Vec<String> {
        let mut why = Vec::new();
        if let Got::Dropped { reason, .. } = &check.got {
            why.push(reason.meaning().trim_end_matches('.').to_owned());
        }
        why.extend(check.notes.iter().map(|note| escape(note).to_string()));
        let (Ok(Topic::Entity(topic)), Some(metric)) = (Topic::parse(&check.topic), &check.metric)
        else {
            return why;
        };
        // Schedules are as they were then.
        let mut policy = self.policy.clone();
        let since_ms = u64::try_from(check.at.as_millis()).unwrap_or(u64::MAX);
        let _ = policy.set_time(case.at_ms().saturating_add(since_ms));
        for related in explain::relations(&policy, topic.entity, metric, check.datatype) {
            let Some(rule) = policy.rule(related.rule) else {
                mistake!("a rule was looked at that the policy hasn't");
                continue;
            };
            let says = match related.relation {
                Relation::OtherEntity(key) => format!("is about others, by its `{key}`"),
                Relation::OtherMetric => "selects the entity, but not this metric".to_owned(),
                Relation::OtherDatatype => "selects the metric, but not this datatype".to_owned(),
                Relation::Forwards => "forwards it".to_owned(),
                Relation::Denies => "denies it".to_owned(),
                Relation::Redacts => "keeps it in births without a value".to_owned(),
                Relation::Closed => "is about it, but not at this time".to_owned(),
                Relation::Observes => "is about it, but only observes".to_owned(),
            };
            why.push(format!("`{}` {says}", rule.name()));
        }
        why
    }

    /// Rules that some case is missing for, and what is missing.
    fn uncovered(&self) -> impl Iterator<Item = (&Rule, &'static str)> {
        let coverage = self.coverage.iter().flatten();
        self.policy.rules().iter().zip(coverage).filter_map(|(rule, coverage)| {
            // It does nothing that a case could show.
            if rule.mode() == Mode::Observe {
                return None;
            }
            let missing = match (coverage.admits, coverage.drops) {
                (true, true) => return None,
                (false, true) => "in which something is forwarded",
                (true, false) => "in which something is dropped",
                (false, false) => "at all",
            };
            Some((rule, missing))
        })
    }

    fn json(&self) -> Json {
        let cases = self.cases.iter().map(|(case, report)| {
            let checks = report.checks.iter().map(|check| {
                json!({
                    "step": check.step,
                    "at_ms": u64::try_from(check.at.as_millis()).unwrap_or(u64::MAX),
                    "line": check.line,
                    "topic": check.topic,
                    "metric": check.metric,
                    "datatype": check.datatype.map(|datatype| datatype.name()),
                    "expected": check.expected,
                    "got": super::json::got(self.policy, check),
                    "observed_by": super::json::name(self.policy, check.observed_by),
                    "notes": check.notes,
                    "passed": check.passed,
                })
            });
            json!({
                "name": case.name(),
                "file": case.path().display().to_string(),
                "line": case.line(),
                "passed": report.passed(),
                "checks": checks.collect::<Vec<_>>(),
            })
        });
        let rules = self.policy.rules().iter().zip(self.coverage.iter().flatten());
        let rules = rules.map(|(rule, coverage)| {
            json!({
                "name": rule.name(),
                "file": rule.path().display().to_string(),
                "line": rule.line(),
                "case_forwards": coverage.admits,
                "case_drops": coverage.drops,
            })
        });
        json!({
            "digest": self.policy.digest(),
            "cases": cases.collect::<Vec<_>>(),
            "rules": rules.collect::<Vec<_>>(),
        })
    }
}

impl Totals {
    fn cases(&self) -> usize {
        self.passed.saturating_add(self.failed)
    }

    fn add(&mut self, tested: &Tested<'_>) {
        let passed = tested.cases.iter().filter(|(_, report)| report.passed()).count();
        self.passed = self.passed.saturating_add(passed);
        self.failed = self.failed.saturating_add(tested.cases.len().saturating_sub(passed));
        self.rules = self.rules.saturating_add(tested.policy.rules().len());
        self.uncovered = self.uncovered.saturating_add(tested.uncovered().count());
    }

    fn summarise(&self, text: &mut String, strict: bool, paint: Paint) {
        let cases = self.cases();
        let mut summary = if self.failed > 0 {
            let failed = paint.bad(format!("{} failed", self.failed));
            format!("{}: {} passed, {failed}", counted(cases, "case"), self.passed)
        } else {
            format!("{}: {}", counted(cases, "case"), paint.good("all passed"))
        };
        if cases == 0 {
            summary = "no cases".to_owned();
        }
        if self.uncovered > 0 {
            let rules = counted(self.uncovered, "rule");
            let rules = format!("{rules} of {} without the cases to show them", self.rules);
            summary = format!("{summary}; {}", if strict { paint.bad(rules) } else { rules });
        }
        if !text.is_empty() {
            line(text, "");
        }
        line(text, &summary);
        if self.uncovered > 0 {
            line(
                text,
                "hint: a case counts for the rule that decides in it; where none decides, say \
                 `about = \"rule\"`",
            );
        }
    }
}

fn line(text: &mut String, content: &str) {
    // Writing to a `String` can't fail.
    let _ = writeln!(text, "{content}");
}
