//! The way to stderr: a bounded queue and a thread, since a pipe that nobody empties would
//! otherwise stop the relay.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

/// Lines that may wait.
const QUEUED_LINES: usize = 4_096;
/// How soon the end of the process is noticed where there is nothing to write.
const IDLE: Duration = Duration::from_millis(200);

/// The end that lines come in at.
#[derive(Debug)]
pub(super) struct Stderr {
    sender: Sender<String>,
    lost: Arc<AtomicU64>,
}

/// The thread's end.
#[derive(Debug)]
pub(super) struct StderrWriter {
    receiver: Receiver<String>,
    lost: Arc<AtomicU64>,
}

impl Stderr {
    pub(super) fn new() -> (Stderr, StderrWriter) {
        let (sender, receiver) = crossbeam_channel::bounded(QUEUED_LINES);
        let lost = Arc::new(AtomicU64::new(0));
        (Stderr { sender, lost: Arc::clone(&lost) }, StderrWriter { receiver, lost })
    }

    /// Takes a line, or counts it. Never waits.
    pub(super) fn offer(&self, line: String) {
        if self.sender.try_send(line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl StderrWriter {
    /// Writes until the other end of `stop` is dropped and the queue is empty. `loss_line` makes
    /// the line for a number of lost lines.
    pub(super) fn run(
        self,
        stop: &Receiver<()>,
        out: &mut impl Write,
        loss_line: impl Fn(u64) -> String,
    ) {
        loop {
            match self.receiver.recv_timeout(IDLE) {
                Ok(line) => write(out, &line),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let over = crossbeam_channel::TryRecvError::Disconnected;
                    if stop.try_recv() == Err(over) {
                        return;
                    }
                }
            }
            if self.receiver.is_empty() {
                let lost = self.lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    write(out, &loss_line(lost));
                }
            }
        }
    }
}

fn write(out: &mut impl Write, line: &str) {
    // Where not even that works there is nobody to report it to.
    let _: io::Result<()> = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_in_order_and_lost_ones_are_counted() {
        let (stderr, writer) = Stderr::new();
        for number in 0..QUEUED_LINES.saturating_add(5) {
            stderr.offer(format!("{number}\n"));
        }
        drop(stderr);
        let (stop, stopped) = crossbeam_channel::bounded(0);
        drop(stop);
        let mut out = Vec::new();
        writer.run(&stopped, &mut out, |lost| format!("{lost} lost\n"));
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("0\n1\n2\n"));
        assert!(text.ends_with("4095\n5 lost\n"), "{}", &text[text.len() - 50..]);
    }
}
