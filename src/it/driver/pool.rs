//! What the driver asks of the sessions: those of the network, or a test's.

use std::sync::Arc;

use crate::connection::Sessions;
use crate::mirror::{NodeId, Qos, SessionSpec};

/// The sessions of all nodes, as [`Sessions`] describes them.
pub(crate) trait Pool {
    /// Bytes that were handed over and are not written to the network yet.
    fn queued_bytes(&self) -> usize;
    /// Bytes that were written to the network since the start.
    fn taken_bytes(&self) -> u64;
    /// Bytes of births that will follow as soon as their sessions stand.
    fn expected_bytes(&self) -> usize;
    /// As `queued_bytes`, without the session that has most.
    fn queued_bytes_of_others(&self) -> usize;
    /// Starts a session.
    fn open(&mut self, node: NodeId, spec: SessionSpec);
    /// Queues a publication.
    fn publish(&mut self, node: NodeId, topic: Arc<str>, payload: Vec<u8>, qos: Qos);
    /// Asks for an answer behind everything published so far.
    fn barrier(&mut self, node: NodeId, data_qos: Qos);
    /// Ends a session behind what is queued.
    fn close(&mut self, node: NodeId);
    /// Whether `generation` is the current session of this node. An end forgets the session.
    fn is_current(&mut self, node: NodeId, generation: u64, ended: bool) -> bool;
    /// The session of this node stands.
    fn stands(&mut self, node: NodeId);
    /// Waiting commands of so many bytes were taken.
    fn commands_taken(&self, bytes: usize);
    /// Ends every session at once, without farewell.
    fn abort(&mut self);
}

impl Pool for Sessions {
    fn queued_bytes(&self) -> usize {
        Sessions::queued_bytes(self)
    }

    fn taken_bytes(&self) -> u64 {
        Sessions::taken_bytes(self)
    }

    fn expected_bytes(&self) -> usize {
        Sessions::expected_bytes(self)
    }

    fn queued_bytes_of_others(&self) -> usize {
        Sessions::queued_bytes_of_others(self)
    }

    fn open(&mut self, node: NodeId, spec: SessionSpec) {
        Sessions::open(self, node, spec);
    }

    fn publish(&mut self, node: NodeId, topic: Arc<str>, payload: Vec<u8>, qos: Qos) {
        Sessions::publish(self, node, topic, payload, qos);
    }

    fn barrier(&mut self, node: NodeId, data_qos: Qos) {
        Sessions::barrier(self, node, data_qos);
    }

    fn close(&mut self, node: NodeId) {
        Sessions::close(self, node);
    }

    fn is_current(&mut self, node: NodeId, generation: u64, ended: bool) -> bool {
        Sessions::is_current(self, node, generation, ended)
    }

    fn stands(&mut self, node: NodeId) {
        Sessions::stands(self, node);
    }

    fn commands_taken(&self, bytes: usize) {
        Sessions::commands_taken(self, bytes);
    }

    fn abort(&mut self) {
        Sessions::abort(self);
    }
}
