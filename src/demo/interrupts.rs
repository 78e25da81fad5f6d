//! Signals that end the demo in order.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT, SIGTERM and SIGHUP: the demo ends in order, with its summary.
pub(super) struct Interrupts {
    signals: [Signal; 3],
}

impl Interrupts {
    pub(super) fn new() -> io::Result<Interrupts> {
        let signals = [
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ];
        Ok(Interrupts { signals })
    }

    pub(super) async fn came(&mut self) {
        let [interrupt, terminate, hang_up] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }

    /// Waits; false if a signal came instead.
    pub(super) async fn pause(&mut self, time: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(time) => true,
            () = self.came() => false,
        }
    }
}
