//! What is between two boxes: both ends of the link, and the cable.

use std::time::Duration;

use clock::Clock;
use journal_read::compare;

use super::{Demo, LOOK_EVERY};
use crate::DemoError;
use crate::relay::{Half, JournalView, Usage, Workplace};
use crate::two_boxes::{NEAR, TwoBoxes, packets};

/// How long behind a cable that is plugged in all edge nodes may take to be born on IT.
const BORN_WITHIN: Duration = Duration::from_secs(2);

/// The link of a demo with two boxes. The ends are dropped before what they run in.
pub(crate) struct Between {
    pub(super) send: Half,
    pub(super) receive: Half,
    /// What the receiving end has written.
    pub(super) received: JournalView,
    pub(super) usage: [Option<Usage>; 2],
    /// Packets that went over the cable from the plant's box, and those that came back.
    pub(super) packets: (u64, u64),
    pub(super) boxes: TwoBoxes,
    /// Since when it is cut, and when it was plugged in last.
    cut_since: Option<Duration>,
    plugged_at: Option<Duration>,
    pub(super) cuts: Vec<Duration>,
}

/// What became of it.
pub(crate) struct LinkEnding {
    pub(crate) packets: (u64, u64),
    pub(crate) late: u64,
    /// How long the cable was out, each time.
    pub(crate) cuts: Vec<Duration>,
    /// What both journals have in common; why they aren't the same.
    pub(crate) equal: u64,
    pub(crate) difference: Option<String>,
    pub(crate) usage: [Option<Usage>; 2],
    pub(crate) ended: [(&'static str, Option<std::process::ExitStatus>); 2],
}

impl Between {
    /// Starts the receiving end, then the sending end: where nobody listens the kernel would want to say so.
    pub(super) fn start(
        workplace: &Workplace,
        boxes: TwoBoxes,
        clock: Clock,
    ) -> Result<Between, DemoError> {
        let receive = workplace.start("receive", clock, Some(&boxes))?;
        let send = workplace.start("send", clock, Some(&boxes))?;
        Ok(Between {
            send,
            receive,
            received: JournalView::open(&workplace.received())?,
            usage: [None, None],
            packets: (0, 0),
            boxes,
            cut_since: None,
            plugged_at: None,
            cuts: Vec::new(),
        })
    }

    /// Follows the journal, and the cable.
    pub(super) fn look(&mut self) {
        self.received.look();
        self.send.new_log_lines();
        self.receive.new_log_lines();
        if let Some(packets) = packets(self.send.pid(), NEAR) {
            self.packets = packets;
        }
    }

    pub(super) fn measure(&mut self, now: Duration) {
        self.usage = [self.send.usage(now), self.receive.usage(now)];
    }

    /// Pulls the cable out, or plugs it in.
    pub(super) fn cut(&mut self, now: Duration, is_cut: bool) -> Result<(), DemoError> {
        if is_cut == self.boxes.is_cut {
            return Ok(());
        }
        self.boxes.cut(is_cut)?;
        match is_cut {
            true => self.cut_since = Some(now),
            false => {
                let since = self.cut_since.take().unwrap_or(now);
                self.cuts.push(now.saturating_sub(since));
                self.plugged_at = Some(now);
            }
        }
        Ok(())
    }

    /// For how long the cable has been out.
    pub(super) fn cut_for(&self, now: Duration) -> Option<Duration> {
        self.cut_since.map(|since| now.saturating_sub(since))
    }
}

impl Demo {
    /// IT doesn't see the plant, or is about to see it again.
    pub(super) fn is_blind(&self, now: Duration) -> bool {
        self.between.as_ref().is_some_and(|between| {
            let is_lately = |at: Duration| now.saturating_sub(at) < BORN_WITHIN;
            between.boxes.is_cut || between.plugged_at.is_some_and(is_lately)
        })
    }

    pub(super) fn is_cut(&self) -> bool {
        self.between.as_ref().is_some_and(|between| between.boxes.is_cut)
    }

    /// Pulls the cable out, or plugs it in; what IT should see meanwhile, it can't.
    pub(super) fn cut(&mut self, now: Duration, is_cut: bool) -> Result<(), DemoError> {
        let Some(between) = &mut self.between else { return Ok(()) };
        between.cut(now, is_cut)?;
        if let (true, Some(downtime)) = (is_cut, self.downtimes.last_mut()) {
            downtime.cable_was_cut();
        }
        Ok(())
    }

    /// Frames that the plant's box has written and the enterprise's hasn't: on the way, or missing.
    pub(super) fn missing(&self) -> u64 {
        let Some(Between { received, .. }) = &self.between else { return 0 };
        self.journal.frames.saturating_sub(received.frames).saturating_sub(received.late)
    }

    /// Stops the link after the OT half has ended, once all of its journal has crossed, and compares.
    pub(super) async fn end_link(&mut self, within: Duration) -> Option<LinkEnding> {
        let mut wait = Duration::ZERO;
        while self.missing() > 0 && wait < within {
            tokio::time::sleep(LOOK_EVERY).await;
            wait = wait.saturating_add(LOOK_EVERY);
            self.look();
        }
        let workplace = &self.workplace;
        let between = self.between.as_mut()?;
        between.look();
        let sent = between.send.stop();
        let received = between.receive.stop();
        between.received.look();
        let (equal, difference) = match compare(&workplace.journal(), &workplace.received()) {
            Ok(both) if both.is_equal() && both.newer == 0 => (both.equal, None),
            Ok(both) => {
                let missing = both.missing_in_other.frames.saturating_add(both.newer);
                let different = both.different.frames;
                (both.equal, Some(format!("{missing} missing, {different} different")))
            }
            Err(error) => (0, Some(error.to_string())),
        };
        Some(LinkEnding {
            packets: between.packets,
            late: between.received.late,
            cuts: std::mem::take(&mut between.cuts),
            equal,
            difference,
            usage: between.usage,
            ended: [("sending", sent), ("receiving", received)],
        })
    }
}
