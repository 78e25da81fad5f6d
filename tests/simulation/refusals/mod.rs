//! What becomes of what is refused, as the page `refusals` of the manual has it: for every reason, what
//! is refused for it goes through both halves, and what IT shows afterwards is compared with the table
//! ([`Reason::consequence`]).

mod cases;
mod rig;
mod special;

use account::{Consequence, Reason, Refused};

use crate::sim::host::Shown;
use cases::{Case, Told, cases};
use rig::{Picture, Rig};

/// So long the halves have time for what follows at once …
const SOON_MS: u64 = 1_500;
/// … and for the next keyframe.
const LATER_MS: u64 = 7_000;

#[test]
fn what_is_refused_leaves_on_it_what_the_table_says() {
    let mut failures = Vec::new();
    for reason in Reason::ALL.iter().copied() {
        for told in cases(reason) {
            if let Told::Case(case) = told
                && let Err(why) = carry_out(reason, &case)
            {
                failures.push(format!("{reason}, {:?} of {}: {why}", case.refused, case.of));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Where a reason has consequences, there is a case for each, or it is said why there can be none.
#[test]
fn every_consequence_has_a_case() {
    for reason in Reason::ALL.iter().copied() {
        let told = cases(reason);
        assert!(told.iter().any(|told| matches!(told, Told::Case(_))), "{reason} has no case");
        for refused in Refused::ALL {
            let has_consequence = reason.consequence(refused) != Consequence::Nothing;
            let is_told = told.iter().any(|told| match told {
                Told::Case(case) => case.refused == refused,
                Told::Never(never, why) => *never == refused && !why.is_empty(),
            });
            assert!(is_told || !has_consequence, "{reason}, {refused:?}");
        }
    }
}

fn carry_out(reason: Reason, case: &Case) -> Result<(), String> {
    let mut rig = Rig::new(case.setup);
    let born = rig.picture();
    (case.before)(&mut rig);
    let before = rig.picture();
    let dropped = rig.dropped(reason);
    (case.act)(&mut rig);
    for (ms, when) in [(SOON_MS, "soon"), (LATER_MS, "after a keyframe")] {
        rig.pass(ms);
        if case.is_counted && rig.dropped(reason) <= dropped {
            return Err("nothing was dropped for this reason".into());
        }
        let follows = case.follows.unwrap_or(reason.consequence(case.refused));
        judge(case, follows, &before, &rig.picture())
            .map_err(|why| format!("{when} not {follows:?}: {why}"))?;
        if case.is_brief {
            return Ok(());
        }
    }
    rig.bear_anew();
    let healed = rig.picture();
    if healed != born {
        return Err(format!("its next birth doesn't heal it: {healed:?}"));
    }
    Ok(())
}

/// Compares what IT shows with what follows.
fn judge(
    case: &Case,
    follows: Consequence,
    before: &Picture,
    after: &Picture,
) -> Result<(), String> {
    let mut wanted = before.clone();
    for (entity, metric, number) in case.now {
        let shown = wanted.get_mut(*entity).and_then(|metrics| metrics.get_mut(*metric));
        *shown.ok_or("the case speaks of what isn't there")? =
            Shown { number: Some(*number), is_good: true };
    }
    let node = case.of.split('/').next().unwrap_or_default();
    let is_of = |entity: &str, whole: &str| {
        entity == whole || entity.strip_prefix(whole).is_some_and(|rest| rest.starts_with('/'))
    };
    match follows {
        Consequence::Nothing => {}
        Consequence::MetricBad => {
            let metric = case.metric.ok_or("the case names no metric")?;
            let shown = wanted.get_mut(case.of).and_then(|metrics| metrics.get_mut(metric));
            *shown.ok_or("the case speaks of what isn't there")? =
                Shown { number: None, is_good: false };
        }
        Consequence::Doubted => {
            let shown = after.get(case.of).ok_or("it is dead")?;
            let is_old = |(name, shown): &(&String, &Shown)| {
                let old = before.get(case.of).and_then(|metrics| metrics.get(*name));
                shown.is_good && old == Some(*shown)
            };
            if let Some(good) = shown.iter().find(is_old) {
                return Err(format!("{good:?} is good"));
            }
            // Those of the same edge node may be doubted with it, and live.
            if let Some(gone) =
                before.keys().find(|name| is_of(name, node) && !after.contains_key(*name))
            {
                return Err(format!("{gone} is dead"));
            }
            let others = |picture: &Picture| -> Picture {
                let others = picture.iter().filter(|(name, _)| !is_of(name, node));
                others.map(|(name, metrics)| (name.clone(), metrics.clone())).collect()
            };
            return equal(&others(&wanted), &others(after));
        }
        Consequence::Buried => wanted.retain(|name, _| !is_of(name, case.of)),
    }
    equal(&wanted, after)
}

fn equal(wanted: &Picture, after: &Picture) -> Result<(), String> {
    if wanted == after {
        return Ok(());
    }
    Err(format!("\n wanted {wanted:?}\n  found {after:?}"))
}
