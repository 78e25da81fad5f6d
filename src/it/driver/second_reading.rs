//! The second reading of missed frames: beside the live stream, at a pace of its own.

use journal_format::Body;
use journal_read::{From, Item, Position, Reader};
use state::Leave;
use telemetry::event;

use super::{BYTES_PER_TURN, Driver, ERROR_PAUSE, FRAMES_PER_TURN, PUBLISHED_PER_TURN, bytes_of};
use crate::mirror::Now;
use crate::pool::Pool;

/// A second reading of a stretch of the journal.
pub(super) struct SecondReading {
    reader: Reader,
    to: u64,
    /// A frame that waits for its turn in the pace.
    waiting: Option<Item>,
}

impl<P: Pool> Driver<P> {
    /// Reads missed frames again, at their own pace; true if anything came.
    pub(super) fn read_backfill(&mut self, now: Now) -> bool {
        let room = self.link_pace.history_room(self.sessions.queued_bytes());
        if self.mirror.is_catching_up() || room == 0 || now.mono < self.backfill_after {
            return false;
        }
        if self.backfill.is_none() && self.mirror.wants_backfill() {
            self.begin_backfill(now);
        }
        let Some(mut pass) = self.backfill.take() else { return false };
        let mut any = false;
        let mut bytes = 0_usize;
        let room = u64::try_from(room).unwrap_or(u64::MAX).min(PUBLISHED_PER_TURN);
        let end = self.mirror.work().saturating_add(room);
        for _ in 0..FRAMES_PER_TURN {
            if bytes >= BYTES_PER_TURN || self.mirror.work() >= end {
                break;
            }
            let item = match pass.waiting.take() {
                Some(item) => Ok(Some(item)),
                None => pass.reader.next_settled(),
            };
            match item {
                Ok(Some(Item::Frame(frame))) => {
                    if frame.seq >= pass.to {
                        self.mirror.backfill_passed(pass.to);
                        return any;
                    }
                    if matches!(frame.body, Some(Body::Relayed(_))) && self.history.check().is_err()
                    {
                        pass.waiting = Some(Item::Frame(frame));
                        break;
                    }
                    any = true;
                    // What is set aside was counted and told when it came first.
                    if self.begin_again(&frame) == Leave::Work
                        && let Some(Body::Relayed(relayed)) = &frame.body
                    {
                        bytes = bytes.saturating_add(relayed.payload.len());
                        self.mirror.handle_backfill(now, frame.seq, relayed);
                    }
                }
                Ok(Some(Item::Late(frame))) => {
                    if self.history.check().is_err() {
                        pass.waiting = Some(Item::Late(frame));
                        break;
                    }
                    any = true;
                    if self.begin_again(&frame) == Leave::Work {
                        bytes = bytes.saturating_add(bytes_of(&frame));
                        self.mirror.backfill_late(now, pass.reader.settled_to(), &frame);
                    }
                }
                Ok(Some(Item::Lost(lost))) => {
                    any = true;
                    self.mirror.backfill_lost(lost);
                }
                // The stretch lies behind the live reader, so this is a moment in which the
                // journal can't be read.
                ended => {
                    if let Err(error) = ended {
                        event!(JournalUnreadable, error = %error);
                    }
                    self.backfill_after = now.mono.saturating_add(ERROR_PAUSE);
                    self.mirror.backfill_passed(pass.reader.position().seq.min(pass.to));
                    return any;
                }
            }
        }
        let upto = match &pass.waiting {
            Some(Item::Frame(frame)) => frame.seq,
            _ => pass.reader.settled_to(),
        };
        self.mirror.backfill_passed(upto.min(pass.to));
        self.backfill = Some(pass);
        any
    }

    fn begin_backfill(&mut self, now: Now) {
        let Some((from, to)) = self.mirror.begin_backfill() else { return };
        // Any epoch: the stretch lies behind us, and sequence numbers run over all epochs.
        let (epoch, _) = self.mirror.position();
        match Reader::open(&self.settings.journal_dir, From::At(Position { epoch, seq: from })) {
            Ok(reader) => {
                let reader = reader.taking(self.settings.most_frame_bytes);
                self.backfill = Some(SecondReading { reader, to, waiting: None });
            }
            Err(error) => {
                self.backfill_after = now.mono.saturating_add(ERROR_PAUSE);
                event!(JournalUnreadable, error = %error);
            }
        }
    }
}
