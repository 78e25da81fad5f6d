//! What people who watch the IT half get to know of the mirror: its notices, as events of the
//! catalogue.

use telemetry::event;

use crate::mirror::{Notice, Unconfirmed};

/// A session that ends at its births once may be chance.
const BIRTH_ENDS_TOLD_FROM: u32 = 2;

/// Emits the event of a notice.
pub(super) fn emit(notice: &Notice) {
    match notice {
        Notice::LinkStale { away_ms, why } => event!(LinkStale, away_ms, why),
        Notice::LinkAlive => event!(LinkAlive),
        Notice::OldFrames { behind_ms } => event!(OldFrames, behind_ms),
        Notice::LateFrames { first, last, frames, used } => {
            event!(LateFrames, first, last, frames, used);
        }
        Notice::Unplaceable { first, last, frames } => {
            event!(ValuesUnplaceable, first, last, frames);
        }
        Notice::Withheld { first, last, frames } => {
            event!(HistoryWithheld, first, last, frames);
        }
        Notice::FramesLost { first, last, cause } => {
            let count = last.saturating_sub(*first).saturating_add(1);
            let key =
                (*cause == journal_read::LostCause::TooLarge).then_some("broker.max-packet-bytes");
            event!(FramesLost, first, last, count, cause = cause.name(), key);
        }
        Notice::CommandRefused { topic, metrics, reason } => {
            let metrics = metrics.join(", ");
            event!(CommandRefused, topic, metrics, reason);
        }
        Notice::RebirthAnswered { node } => event!(RebirthAnswered, node),
        Notice::ValuesDoubted { node } => event!(ValuesDoubted, node),
        Notice::NodeBorn { node, devices, bd_seq } => event!(NodeBorn, node, devices, bd_seq),
        Notice::NodeDead { node, why } => event!(NodeDead, node, why),
        Notice::SessionLost { node, births } => {
            let bytes = births.map(|births| births.bytes);
            event!(SessionLost, node, birth_bytes = bytes);
            if let Some(Unconfirmed { bytes, largest, times }) = *births
                && times >= BIRTH_ENDS_TOLD_FROM
            {
                event!(BirthEndsSession, node, bytes, largest, times);
            }
        }
        Notice::BirthHeld { node, bytes, wait_s } => event!(BirthHeld, node, bytes, wait_s),
        Notice::FrameRefused { entity, reason, over } => {
            let problem = over.map(|over| over.to_string());
            let limit = over.map(|over| over.limit);
            let key = over.and_then(|over| over.cap.key());
            event!(FrameRefused, entity, reason, problem, limit, key);
        }
        Notice::OwnNameUsed { node } => event!(NodeNameTaken, node),
        Notice::OverCapacity { what } => event!(CapacityReached, limit = what),
        Notice::MemoryRefused { node, device, bytes, budget, limit } => {
            event!(MemoryRefused, node, device = device.as_deref(), bytes, budget, limit);
        }
        Notice::JournalStart { relay, epoch, version, policy_digest } => {
            tracing::debug!(target: "it", relay = relay, epoch, version = version,
                policy_digest = policy_digest, "journal segment");
        }
        Notice::PrimaryHost { online } => event!(PrimaryHost, online),
    }
}

#[cfg(test)]
mod tests {
    use journal_read::LostCause;
    use telemetry::Event;
    use telemetry::capture::{capture, triggered};

    use super::*;

    fn emitted(notice: Notice) -> Vec<telemetry::Record> {
        capture(|| emit(&notice))
    }

    #[test]
    fn every_notice_of_the_mirror_is_an_event() {
        let node = || "G/E".to_owned();
        let stale = Notice::LinkStale { away_ms: 11_000, why: "no sign of life" };
        triggered(&emitted(stale), Event::LinkStale);
        triggered(&emitted(Notice::LinkAlive), Event::LinkAlive);
        triggered(&emitted(Notice::OldFrames { behind_ms: 60_000 }), Event::OldFrames);
        let withheld = Notice::Withheld { first: 1, last: 9, frames: 3 };
        triggered(&emitted(withheld), Event::HistoryWithheld);
        let late = Notice::LateFrames { first: 1, last: 9, frames: 3, used: 2 };
        triggered(&emitted(late), Event::LateFrames);
        let unplaceable = Notice::Unplaceable { first: 1, last: 9, frames: 3 };
        triggered(&emitted(unplaceable), Event::ValuesUnplaceable);
        let lost = emitted(Notice::FramesLost { first: 1, last: 9, cause: LostCause::Retention });
        triggered(&lost, Event::FramesLost);
        assert_eq!(lost[0].message(), "frames lost first=1 last=9 count=9 cause=retention");
        let refused = emitted(Notice::CommandRefused {
            topic: "spBv1.0/G/DCMD/E/D".into(),
            metrics: vec!["a".into(), "b c".into()],
            reason: "no rebirth request",
        });
        triggered(&refused, Event::CommandRefused);
        assert_eq!(
            refused[0].message(),
            "command refused topic=spBv1.0/G/DCMD/E/D metrics=\"a, b c\" \
             reason=\"no rebirth request\""
        );
        triggered(&emitted(Notice::RebirthAnswered { node: node() }), Event::RebirthAnswered);
        triggered(&emitted(Notice::ValuesDoubted { node: node() }), Event::ValuesDoubted);
        let born = Notice::NodeBorn { node: node(), devices: 1, bd_seq: 0 };
        triggered(&emitted(born), Event::NodeBorn);
        triggered(&emitted(Notice::NodeDead { node: node(), why: "it died" }), Event::NodeDead);
        let lost = emitted(Notice::SessionLost { node: node(), births: None });
        triggered(&lost, Event::SessionLost);
        let births = Some(Unconfirmed { bytes: 200_000, largest: 150_000, times: 1 });
        let lost = emitted(Notice::SessionLost { node: node(), births });
        assert_eq!(lost.len(), 1, "once may be chance");
        assert_eq!(lost[0].message(), "session lost node=G/E birth_bytes=200000");
        let births = births.map(|births| Unconfirmed { times: 2, ..births });
        let lost = emitted(Notice::SessionLost { node: node(), births });
        triggered(&lost[1..], Event::BirthEndsSession);
        let held = Notice::BirthHeld { node: node(), bytes: 150_000, wait_s: 60 };
        triggered(&emitted(held), Event::BirthHeld);
        let frame = Notice::FrameRefused { entity: node(), reason: "recheck", over: None };
        triggered(&emitted(frame), Event::FrameRefused);
        triggered(&emitted(Notice::OwnNameUsed { node: node() }), Event::NodeNameTaken);
        triggered(&emitted(Notice::OverCapacity { what: "x" }), Event::CapacityReached);
        triggered(&emitted(Notice::PrimaryHost { online: true }), Event::PrimaryHost);
    }
}
