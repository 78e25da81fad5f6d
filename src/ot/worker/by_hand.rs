//! The half by hand, for the simulation: worker, pipeline, journal and state as they run, without
//! network and threads. The clock shows what `clock::testing` is told.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use account::Reason;
use bytes::Bytes;
use crossbeam_channel::Sender;
use journal_write::{Writer, WriterOptions};
use signature::SignedPolicy;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{
    Clock, Delivered, Entry, Ordering, Pipeline, Receipt, Shared, StateDir, StateWriter, Work,
    Worker, WorkerError, WorkerSettings,
};
use crate::PipelineSettings;
use crate::storing::state_writer::Jobs;

/// What the half needs of [`Settings`](crate::Settings) besides network and people.
#[derive(Debug)]
pub struct HalfSettings {
    pub relay_name: String,
    pub pipeline: PipelineSettings,
    pub journal: WriterOptions,
    pub state_dir: PathBuf,
    pub policy: SignedPolicy,
}

/// A message as the broker delivers it.
#[derive(Clone, Debug)]
pub struct Message {
    pub topic: Bytes,
    pub payload: Bytes,
    pub retain: bool,
    pub dup: bool,
    /// Its payload was dropped as it came.
    pub is_too_large: bool,
    /// The number under which it is acknowledged; `None` at QoS 0.
    pub packet_id: Option<u16>,
}

/// A half that does nothing by itself. Dropping it is a kill.
pub struct Half {
    worker: Worker,
    jobs: Arc<Mutex<Jobs>>,
    receipts: UnboundedReceiver<Vec<Receipt>>,
    batch: VecDeque<Work>,
    out: Vec<Entry>,
    /// It is to end.
    stops: bool,
    /// The journal refused: nothing else is done until it takes what waits.
    stands: bool,
    /// The network's end, which the worker must not miss.
    _network: Sender<Work>,
}

impl std::fmt::Debug for Half {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Half").field("stands", &self.stands).finish_non_exhaustive()
    }
}

impl Half {
    /// Claims journal and state, and restores the plant.
    ///
    /// # Errors
    /// As of a start.
    pub fn start(settings: HalfSettings) -> Result<Half, WorkerError> {
        let HalfSettings { relay_name, pipeline, journal, state_dir, policy } = settings;
        let clock = Clock::start();
        let state = StateDir::open(&state_dir)?;
        let writer = Writer::open(journal, clock.now().wall_ms)?.only();
        let (network, work) = crossbeam_channel::unbounded();
        let (released, receipts) = unbounded_channel();
        let SignedPolicy { policy, signed } = policy;
        let keyframe_every = pipeline.keyframe_every;
        let mut by_hand = None;
        let make_writer = |state| {
            let (writer, jobs) = StateWriter::by_hand(state);
            by_hand = Some(jobs);
            Ok(writer)
        };
        let worker = Worker::new(
            WorkerSettings { relay_name, keyframe_every, signed },
            |now| Pipeline::new(pipeline, policy, now),
            writer,
            (state, make_writer),
            work,
            released,
            Arc::new(Shared::default()),
            clock,
        )?;
        let missing = || WorkerError::Start(std::io::Error::other("no writer was asked for"));
        Ok(Half {
            worker,
            jobs: by_hand.ok_or_else(missing)?,
            receipts,
            batch: VecDeque::new(),
            out: Vec::new(),
            stops: false,
            stands: false,
            _network: network,
        })
    }

    /// The broker took the session.
    pub fn connected(&mut self, present: bool) {
        self.batch.push_back(Work::Connected { present });
    }

    /// The connection ended.
    pub fn lost(&mut self) {
        self.batch.push_back(Work::Lost);
    }

    /// A policy was read again.
    pub fn reload(&mut self, policy: SignedPolicy) {
        self.batch.push_back(Work::Policy(Box::new(policy.into())));
    }

    /// Messages came.
    pub fn deliver(&mut self, messages: impl IntoIterator<Item = Message>) {
        let messages: Vec<Delivered> = messages.into_iter().map(delivered).collect();
        let bytes = messages.iter().map(Delivered::bytes).sum();
        self.worker.shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let arrived = self.worker.clock.now();
        self.batch.push_back(Work::Messages { arrived, messages });
    }

    /// A message was refused unread, since there was no room for it.
    pub fn shed(&mut self, topic: Bytes, packet_id: Option<u16>) {
        if let Ok(mut shed) = self.worker.shared.shed.lock() {
            shed.enter(&topic, true, packet_id.map(Receipt::numbered));
        }
    }

    /// A kill while this message is in work.
    pub fn killed_with(mut self, message: Message) {
        let message = delivered(message);
        let names = self.worker.names(std::slice::from_ref(&message));
        self.worker.begin(&names, &message);
    }

    /// One turn with what came since the last one. Without `room` the disk refuses what is written
    /// to the journal, and the half stands still until there is. Whether everything is journalled.
    pub fn turn(&mut self, room: bool) -> bool {
        let now = self.worker.clock.now();
        if !self.stands {
            self.worker.work_off(now, &mut self.batch, self.stops, &mut self.out);
        }
        self.stands = !room || self.worker.writer.commit().is_err();
        if !self.stands {
            self.worker.journalled();
            self.worker.settle(now);
        }
        !self.stands
    }

    /// Whether the half waits for the disk.
    pub fn stands(&self) -> bool {
        self.stands
    }

    /// Whether births or deaths came that no stored plant has.
    pub fn owes_store(&self) -> bool {
        self.worker.storing.owes()
    }

    /// The state's writer does its next job; false: it has none.
    pub fn write_state(&mut self) -> bool {
        self.jobs.lock().is_ok_and(|mut jobs| jobs.do_one())
    }

    /// What may be acknowledged since this was asked last.
    pub fn released(&mut self) -> Vec<u16> {
        let mut numbers = Vec::new();
        while let Ok(receipts) = self.receipts.try_recv() {
            numbers.extend(receipts.iter().map(Receipt::number));
        }
        numbers
    }

    /// The number of the last message that was delivered; each has the next one, but those that
    /// were too large or refused.
    pub fn last_number(&self) -> u64 {
        self.worker.pipeline.last_number()
    }

    /// The oldest message that waits for its turn, by its number.
    pub fn oldest_waiting(&self) -> Option<u64> {
        self.worker.pipeline.oldest_waiting()
    }

    /// Whether the half is in a session, as far as it has heard.
    pub fn has_session(&self) -> bool {
        self.worker.pipeline.has_session()
    }

    /// Whether messages that were refused unread aren't counted yet: a tick does it.
    pub fn has_shed(&self) -> bool {
        self.worker.shared.shed.lock().is_ok_and(|shed| !shed.is_empty())
    }

    /// Whether what came of messages that were judged isn't handed to the journal yet.
    pub fn has_unsent(&self) -> bool {
        self.worker.pipeline.has_unsent()
    }

    /// What it knows.
    pub fn pipeline(&self) -> &Pipeline {
        &self.worker.pipeline
    }

    /// The number of the next frame.
    pub fn next_seq(&self) -> u64 {
        self.worker.writer.next_seq()
    }

    /// The next turn is the last one before [`Half::stop`].
    pub fn ask_to_stop(&mut self) {
        self.stops = true;
    }

    /// Ends as by SIGTERM; what may be acknowledged then.
    pub fn stop(mut self) -> Vec<u16> {
        self.stops = true;
        self.turn(true);
        while !self.batch.is_empty() {
            self.turn(true);
        }
        let Half { worker, mut receipts, .. } = self;
        let now = worker.clock.now();
        worker.finish(now);
        let mut numbers = Vec::new();
        while let Ok(released) = receipts.try_recv() {
            numbers.extend(released.iter().map(Receipt::number));
        }
        numbers
    }
}

fn delivered(message: Message) -> Delivered {
    let Message { topic, payload, retain, dup, is_too_large, packet_id } = message;
    let receipt = packet_id.map(Receipt::numbered);
    let unread = is_too_large.then_some(Reason::TooLarge);
    Delivered { topic, payload, retain, dup, unread, of_other_shard: false, receipt }
}
