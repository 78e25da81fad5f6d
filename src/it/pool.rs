//! What the driver asks of the sessions: those of the network, or a test's.

use std::sync::Arc;

use crate::mirror::{NodeId, Qos, SessionSpec};

/// The sessions of all nodes.
pub(crate) trait Pool {
    /// Bytes that were handed over and are not written to the network yet.
    fn queued_bytes(&self) -> usize;
    /// Bytes that were written to the network, of all sessions since the start.
    fn taken_bytes(&self) -> u64;
    /// The queued bytes without those of the session that has most of them.
    fn queued_bytes_of_others(&self) -> usize;
    /// Starts a session. Its end is [`Lost`](crate::mirror::SessionEvent::Lost) or [`Closed`](crate::mirror::SessionEvent::Closed).
    fn open(&mut self, node: NodeId, spec: SessionSpec);
    /// Queues a publication behind all earlier ones of this session. A session whose queue is
    /// full is given up: its end is [`Lost`](crate::mirror::SessionEvent::Lost), and what it held is read again from
    /// the journal.
    fn publish(&mut self, node: NodeId, topic: Arc<str>, payload: Vec<u8>, qos: Qos);
    /// All that was published on this session so far goes before what others have, where they share a
    /// budget.
    fn hurry(&mut self, node: NodeId);
    /// Asks for [`Confirmed`](crate::mirror::SessionEvent::Confirmed) behind everything published so far. At QoS 1 that
    /// is when all of it is acknowledged; at QoS 0, when the broker answers a request that
    /// follows it.
    fn barrier(&mut self, node: NodeId, data_qos: Qos);
    /// Sends what is queued and, once all of it at QoS 1 is acknowledged, DISCONNECT. The NDEATH
    /// is, and it comes last: its PUBACK says that the broker holds what came before, at either
    /// QoS. A DISCONNECT queued right here would overtake publications that wait for room in the
    /// in-flight window, and with them the NDEATH.
    fn close(&mut self, node: NodeId);
    /// Ends the sessions with a server that isn't used any more, with NDEATH and DISCONNECT as
    /// [`close`](Pool::close) does; those that don't stand yet, without. Their end is
    /// [`Lost`](crate::mirror::SessionEvent::Lost).
    fn leave_server(&mut self);
    /// Whether the session of this node is one of those.
    fn has_left(&self, node: NodeId) -> bool;
    /// Whether `generation` is the current session of this node. An end forgets the session.
    fn is_current(&mut self, node: NodeId, generation: u64, ended: bool) -> bool;
    /// What the broker has refused to sessions that stand is asked for again.
    fn ask_again(&mut self);
    /// Waiting commands of so many bytes were taken.
    fn commands_taken(&self, bytes: usize);
    /// Ends every session at once, without farewell: the broker sends the wills.
    fn abort(&mut self);
}
