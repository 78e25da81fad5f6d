//! What happens on sessions with the broker, for everything that keeps account of them.

use super::Driver;
use crate::mirror::{NodeId, Now, SessionEvent};
use crate::pool::Pool;

impl<P: Pool> Driver<P> {
    /// Takes what happened on the session of a node.
    pub(super) fn session_event(
        &mut self,
        now: Now,
        node: NodeId,
        generation: u64,
        event: SessionEvent,
    ) {
        self.sessions.commands_taken(event.published_bytes());
        let ended = matches!(event, SessionEvent::Lost { .. } | SessionEvent::Closed);
        if !self.sessions.is_current(node, generation, ended) {
            return;
        }
        match event {
            SessionEvent::Ready => {
                self.connect_queue.answered(now.mono, node, true);
                self.births.stands(node);
                self.broker.ready(now.mono, node);
            }
            SessionEvent::Confirmed => self.births.confirmed(now.mono, node),
            SessionEvent::Lost { .. } | SessionEvent::Closed => {
                let well = matches!(event, SessionEvent::Closed);
                self.connect_queue.answered(now.mono, node, well);
                self.births.ended(node);
                self.broker.ended(node);
            }
            SessionEvent::Received { .. }
            | SessionEvent::TooLarge { .. }
            | SessionEvent::Impossible { .. } => {}
        }
        self.mirror.set_broker_stands(self.broker.stands());
        self.mirror.handle_session(now, node, event);
    }

    /// Sessions that wait for their turn to connect end before they begin.
    pub(super) fn drop_unopened(&mut self, now: Now) {
        for node in self.connect_queue.cancel_all() {
            self.mirror.handle_session(now, node, SessionEvent::Lost { connect_sent: false });
        }
    }
}
