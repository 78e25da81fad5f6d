//! Journals as they were written are sound, and what is damaged is found and placed.

use std::fs;

use journal_format::{Heartbeat, Start};
use journal_write::{Durability, Writer, WriterOptions};

use super::*;

fn options(dir: &Path) -> WriterOptions {
    WriterOptions {
        dir: dir.to_path_buf(),
        relay_name: "test".into(),
        segment_bytes: 200,
        retain_bytes: 1 << 20,
        retain_age: None,
        durability: Durability::Process,
    }
}

fn journal(dir: &Path) {
    let mut writer = Writer::open(options(dir), 5).unwrap();
    let epoch = writer.epoch();
    for _ in 0..30 {
        if writer.wants_segment() {
            let start = Body::Start(Start { epoch, ..Start::default() });
            writer.begin_segment(5, std::iter::once(start)).unwrap();
        }
        writer.push(5, &Body::Heartbeat(Heartbeat::default())).unwrap();
    }
    writer.commit().unwrap();
}

fn defects(dir: &Path) -> Vec<Defect> {
    verify(dir).unwrap().findings.into_iter().map(|finding| finding.defect).collect()
}

#[test]
fn a_journal_as_written_is_sound_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    journal(dir.path());
    let verification = verify(dir.path()).unwrap();
    assert!(verification.is_sound(), "{verification}");
    assert!(verification.segments > 3);
    assert_eq!(verification.range, Some((1, verification.frames)));
}

#[test]
fn a_missing_directory_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let error = verify(&dir.path().join("absent")).unwrap_err();
    assert!(error.to_string().ends_with("no such file or directory (2)"), "{error}");
}

#[test]
fn every_flipped_bit_is_found_and_placed() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let first = segment::list(dir.path()).unwrap()[0];
    let path = segment::path(dir.path(), first);
    let good = fs::read(&path).unwrap();
    for index in 0..good.len() {
        let mut flipped = good.clone();
        flipped[index] ^= 1;
        fs::write(&path, &flipped).unwrap();
        let found = verify(dir.path()).unwrap();
        assert!(!found.is_sound(), "byte {index}");
        assert_eq!(found.lost_frames, u64::from(index >= 512), "byte {index}: {found}");
        assert!(found.findings[0].offset <= index as u64);
    }
}

#[test]
fn a_missing_segment_is_named_by_its_frames() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    journal(dir.path());
    let segments = segment::list(dir.path()).unwrap();
    fs::remove_file(segment::path(dir.path(), segments[1])).unwrap();
    let (first, last) = (segments[1], segments[2] - 1);
    assert_eq!(defects(dir.path()), [Defect::Missing { first, last }]);
}

#[test]
fn a_torn_tail_is_no_damage_but_garbage_is() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let last = *segment::list(dir.path()).unwrap().last().unwrap();
    let path = segment::path(dir.path(), last);
    let good = fs::read(&path).unwrap();
    fs::write(&path, &good[..good.len() - 3]).unwrap();
    let found = verify(dir.path()).unwrap();
    assert!(found.is_sound() && found.torn_bytes > 0, "{found}");
    let mut garbage = good;
    garbage.extend_from_slice(&[0; 40]);
    fs::write(&path, garbage).unwrap();
    assert_eq!(defects(dir.path()), [Defect::Garbage { bytes: 40 }]);
}

#[test]
fn a_segment_without_a_head_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(options(dir.path()), 5).unwrap();
    let heartbeat = Body::Heartbeat(Heartbeat::default());
    writer.begin_segment(5, std::iter::once(heartbeat)).unwrap();
    assert_eq!(defects(dir.path()), [Defect::NotOfHead { seq: 1 }, Defect::NoStart]);
}
