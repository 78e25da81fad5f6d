//! What happens on sessions with the broker, for everything that keeps account of them.

use telemetry::event;

use super::Driver;
use crate::failover::Moved;
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
        let published = event.published_bytes() > 0;
        if published && self.sessions.has_left(node) {
            // STATE at a server that isn't used any more, say.
            return;
        }
        let mut moved = None;
        match event {
            SessionEvent::Ready => {
                self.connect_queue.answered(now.mono, node, true);
                self.births.stands(node);
                self.broker.ready(now.mono, node);
                self.failover.ready(now.mono, node);
            }
            SessionEvent::Confirmed => self.births.confirmed(now.mono, node),
            SessionEvent::Lost { .. } | SessionEvent::Closed => {
                let well = matches!(event, SessionEvent::Closed);
                self.connect_queue.answered(now.mono, node, well);
                self.births.ended(node);
                self.broker.ended(node);
                if well {
                    self.failover.closed(node);
                } else if self.stop_by.is_none() {
                    moved = self.failover.lost(now.mono, node);
                }
            }
            SessionEvent::Received { .. }
            | SessionEvent::TooLarge { .. }
            | SessionEvent::Impossible { .. } => {}
        }
        self.mirror.set_broker_stands(self.broker.stands());
        self.mirror.handle_session(now, node, event);
        if let Some(moved) = moved {
            self.moved(&moved);
        }
    }

    /// All sessions go to another server.
    pub(super) fn moved(&mut self, moved: &Moved) {
        let Moved { before, now: broker, why } = moved;
        event!(ServerChanged, broker, before, why = *why);
        self.broker.server_changed(broker.clone());
        self.sessions.leave_server();
        self.mirror.server_changed();
        self.mirror.set_broker_stands(self.broker.stands());
    }

    /// Sessions that wait for their turn to connect end before they begin.
    pub(super) fn drop_unopened(&mut self, now: Now) {
        for node in self.connect_queue.cancel_all() {
            self.mirror.handle_session(now, node, SessionEvent::Lost { connect_sent: false });
        }
    }
}
