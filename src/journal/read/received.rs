//! What a reader knows of whoever sent a journal that was received over a link: its clock, and layouts
//! that came late.

use journal_format::header::Header;
use journal_format::note::{Clock, Ends};
use journal_format::{Body, Frame, Layouts};

/// What a reader holds of layouts that came late.
const MAX_LATE_LAYOUT_BYTES: usize = 64 << 20;

/// What a reader knows of whoever sent the journal.
#[derive(Debug)]
pub(crate) struct Received {
    /// Times are given by the clock of this machine.
    pub(crate) by_own_clock: bool,
    /// By how much the sender's clock is ahead, if anybody knows.
    ahead_ms: Option<i64>,
    /// Layouts that came late: they are good for data that came late.
    layouts: Layouts,
    epoch: u64,
    /// How the link is.
    pub(crate) ends: Option<Ends>,
}

impl Default for Received {
    fn default() -> Received {
        let layouts = Layouts::new(MAX_LATE_LAYOUT_BYTES);
        Received { by_own_clock: false, ahead_ms: None, layouts, epoch: 0, ends: None }
    }
}

impl Received {
    pub(crate) fn begin_segment(&mut self, epoch: u64) {
        self.layouts.begin_segment(epoch);
        self.epoch = epoch;
    }

    pub(crate) fn set_clock(&mut self, clock: Clock) {
        self.ahead_ms = clock.ahead_ms;
    }

    /// The frame with its time by the clock of this machine, if that is wanted.
    pub(crate) fn dated(&self, frame: Frame, header: &Header) -> Frame {
        if !self.by_own_clock || !header.received {
            return frame;
        }
        let here = self.ahead_ms.map(|ahead_ms| {
            let appended_ms = i64::try_from(frame.appended_ms).unwrap_or(i64::MAX);
            u64::try_from(appended_ms.saturating_sub(ahead_ms)).unwrap_or(0)
        });
        Frame { appended_ms: here.unwrap_or(0), ..frame }
    }

    /// By names, if its layout is known: a number means one layout for as long as the writer runs.
    pub(crate) fn by_names(
        &mut self,
        body: Body,
        epoch: u64,
        known: &Layouts,
        most: usize,
    ) -> Option<Body> {
        let Body::Data(data) = &body else {
            if epoch == self.epoch {
                self.layouts.learn(&body);
            }
            return Some(body);
        };
        if epoch != self.epoch {
            return None;
        }
        let layout = known.of(data).or_else(|| self.layouts.of(data))?;
        layout.by_names(data, most).map(Body::Relayed)
    }
}
