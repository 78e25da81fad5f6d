//! What the mirror asks for is carried out, in turns that are short: what is left is carried out in the
//! next one, and nothing is read from the journal before that.

use super::Driver;
use crate::mirror::{Now, Outgoing, SessionEvent};
use crate::pool::Pool;

/// What is carried out before session events, timers, saving and signs of life get their turn, and its
/// bytes.
const CARRIED_PER_TURN: usize = 2_048;
const BYTES_CARRIED_PER_TURN: usize = 2 * 1024 * 1024;

impl<P: Pool> Driver<P> {
    /// Carries out what the mirror asks, as far as a turn goes; true if it asked anything.
    pub(super) fn carry_out(&mut self, now: Now) -> bool {
        let (mut any, mut carried, mut bytes) = (false, 0, 0_usize);
        while carried < CARRIED_PER_TURN
            && bytes < BYTES_CARRIED_PER_TURN
            && let Some(outgoing) = self.mirror.poll_outgoing()
        {
            any = true;
            carried = carried.saturating_add(1);
            if let Outgoing::Publish { payload, .. } = &outgoing {
                bytes = bytes.saturating_add(payload.len());
            }
            match outgoing {
                Outgoing::Open { node, spec } => self.connect_queue.push(node, spec),
                Outgoing::Publish { node, topic, payload, qos } => {
                    self.births.sent(now.mono, node);
                    self.sessions.publish(node, topic, payload, qos);
                }
                Outgoing::Hurry { node } => self.sessions.hurry(node),
                Outgoing::Barrier { node } => self.sessions.barrier(node, self.settings.data_qos),
                Outgoing::Close { node } => {
                    if self.connect_queue.cancel(node) {
                        let lost = SessionEvent::Lost { connect_sent: false };
                        self.mirror.handle_session(now, node, lost);
                    } else {
                        self.sessions.close(node);
                    }
                }
            }
        }
        if !self.mirror.has_outgoing() {
            self.births.settle();
        }
        self.open_sessions(now);
        any
    }
}
