//! Mistakes of ours, reported: the places of [`mistake!`](mistake::mistake) that were reached.

use crate::event;

/// Reports every place that was reached since the last call; to be called about once a second.
pub(super) fn report_mistakes() {
    for mistake in mistake::take() {
        let place = format!("{}:{}", mistake.file, mistake.line);
        event!(Mistake, place, words = mistake.words, count = mistake.count);
    }
}

#[cfg(test)]
mod tests {
    use mistake::Place;

    use super::*;
    use crate::Event;
    use crate::capture::{capture, triggered};

    #[test]
    fn a_mistake_is_reported_with_its_place_when_its_count_grew() {
        static PLACE: Place = Place::new("src/a.rs", 7, "a node without a birth");
        assert!(capture(report_mistakes).is_empty());
        PLACE.note();
        PLACE.note();
        let reported = capture(report_mistakes);
        triggered(&reported, Event::Mistake);
        let line = reported[0].message();
        let fields = "place=src/a.rs:7 words=\"a node without a birth\" count=2";
        assert!(line.ends_with(fields), "{line}");
        assert!(capture(report_mistakes).is_empty());
    }
}
