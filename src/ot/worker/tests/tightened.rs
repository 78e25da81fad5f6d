//! The mark of a tighter policy: written by the reload, repeated by every segment, and by a start
//! under another policy.

use std::collections::VecDeque;

use journal_format::Start;

use super::*;

const ALL: &str = "[[rule]]\nname = \"all\"\naction = \"forward\"\ntopic = \"spBv1.0/+/+/#\"\n";

fn policy(text: &str) -> Work {
    let (policy, _) = Policy::parse(&[SourceFile::new("test.toml", text)]).unwrap();
    Work::Policy(Box::new(policy.into()))
}

/// The numbers of `Start` frames and what they say of the mark.
fn marks(worker: &mut Worker, dir: &Path) -> Vec<(u64, u64)> {
    worker.writer.commit().unwrap();
    let mut reader = Reader::open(&dir.join("journal"), From::Oldest).unwrap();
    let mut marks = Vec::new();
    while let Some(item) = reader.next().unwrap() {
        if let Item::Frame(frame) = item
            && let Some(Body::Start(Start { tightened_seq, .. })) = frame.body
        {
            marks.push((frame.seq, tightened_seq));
        }
    }
    marks
}

/// Ends as by SIGTERM: journal and state are free again.
fn end(worker: Worker) {
    let now = worker.clock.now();
    worker.finish(now);
}

#[test]
fn a_tightening_reload_marks_its_place_and_every_segment_repeats_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut worker, _work, _receipts) = build(dir.path());
    let now = worker.clock.now();
    let (mut batch, mut out) = (VecDeque::new(), Vec::new());
    let mut reload = |worker: &mut Worker, text: &str| {
        batch.push_back(arrived(vec![delivered(1, "spBv1.0/G/NBIRTH/E", 0, birth())]));
        batch.push_back(policy(text));
        assert!(worker.work_off(now, &mut batch, false, &mut out));
    };
    reload(
        &mut worker,
        &format!("{ALL}[[rule]]\nname = \"more\"\naction = \"forward\"\ngroup = \"x\"\n"),
    );
    let told = marks(&mut worker, dir.path());
    assert!(told.len() == 2 && told.iter().all(|(_, mark)| *mark == 0), "{told:?}");
    let denying = format!("{ALL}[[rule]]\nname = \"no\"\naction = \"deny\"\ngroup = \"x\"\n");
    reload(&mut worker, &denying);
    worker.begin_segment(now).unwrap();
    let told = marks(&mut worker, dir.path());
    let (seq, mark) = told[2];
    assert_eq!(seq, mark, "{told:?}");
    assert!(told[3].0 > seq && told[3].1 == mark, "{told:?}");
}

#[test]
fn a_start_carries_the_mark_on_and_marks_where_the_policy_is_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let (mut worker, _work, _receipts) = build(dir.path());
    assert_eq!(marks(&mut worker, dir.path()), [(1, 0)]);
    end(worker);
    let (mut worker, _work, _receipts) = build(dir.path());
    let told = marks(&mut worker, dir.path());
    assert_eq!(told[1].1, 0, "the same policy: {told:?}");
    let now = worker.clock.now();
    let (mut batch, mut out) = (VecDeque::from([policy("")]), Vec::new());
    assert!(worker.work_off(now, &mut batch, false, &mut out));
    let mark = marks(&mut worker, dir.path())[2].1;
    assert!(mark > 0);
    end(worker);
    // The files on disk have the policy of before again: nobody knows what that means.
    let (mut worker, _work, _receipts) = build(dir.path());
    let told = marks(&mut worker, dir.path());
    let (seq, again) = told[3];
    assert!(seq > mark && again == seq, "{told:?}");
    end(worker);
    let (mut worker, _work, _receipts) = build(dir.path());
    let told = marks(&mut worker, dir.path());
    assert_eq!(told[4].1, again, "{told:?}");
}
