//! The worker before a carrier that does as the test says.

use std::io::{self, ErrorKind};
use std::sync::Mutex;
use std::thread::{self, JoinHandle};
use std::time::UNIX_EPOCH;

use crossbeam_channel::{Sender, bounded, unbounded};

use super::*;
use crate::telemetry::capture::triggered;

const LONG: Duration = Duration::from_secs(20);
const NO_PAUSES: Pauses = Pauses { first: Duration::ZERO, last: Duration::ZERO };

/// What the test lets the next call do.
enum Step {
    Connect(io::Result<()>),
    Send(io::Result<()>),
}

/// What the carrier was asked to send: the field `n` of the record, its number, and whether it
/// was sent before.
type Sent = (String, u32, bool);

struct Scripted {
    steps: Receiver<Step>,
    sent: Sender<Sent>,
    stream: bool,
}

impl Carrier for Scripted {
    fn connect(&mut self) -> io::Result<()> {
        match self.steps.recv() {
            Ok(Step::Connect(result)) => result,
            Ok(Step::Send(_)) => panic!("it connects where it should send"),
            Err(_) => Ok(()),
        }
    }

    fn check(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn send(&mut self, line: Numbered<'_>) -> io::Result<()> {
        // The test has said enough: everything works from here on.
        let result = match self.steps.recv() {
            Ok(Step::Send(result)) => result,
            Ok(Step::Connect(_)) => panic!("it sends where it should connect"),
            Err(_) => Ok(()),
        };
        if result.is_ok() {
            let first = line.record.fields.iter().map(|(name, value)| format!("{name}={value}"));
            let text: Vec<String> = first.take(2).collect();
            let sent = (text.join(" "), line.sequence, line.resent);
            self.sent.send(sent).unwrap();
        }
        result
    }

    fn is_stream(&self) -> bool {
        self.stream
    }

    fn close(&mut self) {}
}

struct Rig {
    queue: Queue,
    steps: Option<Sender<Step>>,
    sent: Receiver<Sent>,
    stop: Option<Sender<()>>,
    thread: JoinHandle<u64>,
    others: Arc<Mutex<Vec<Record>>>,
}

impl Rig {
    fn new(lines: usize, stream: bool) -> Rig {
        let (queue, waiting) = Queue::bounded(lines);
        let (steps, script) = unbounded();
        let (sender, sent) = unbounded();
        let (stop, stopped) = bounded(0);
        let others = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&others);
        let carrier = Box::new(Scripted { steps: script, sent: sender, stream });
        let tell: TellOthers =
            Box::new(move |record| told.lock().unwrap().push(Record::clone(record)));
        let mut worker = Worker::with_carrier("siem".into(), carrier, waiting, stopped, tell);
        worker.pauses = NO_PAUSES;
        let thread = thread::spawn(move || worker.run(LONG));
        Rig { queue, steps: Some(steps), sent, stop: Some(stop), thread, others }
    }

    fn offer(&self, number: u32) {
        let at = UNIX_EPOCH.checked_add(Duration::from_secs(number.into())).unwrap();
        let mut record = Record::new(at, Event::CommandRefused);
        record.add("n", &number.to_string());
        self.queue.offer(&Arc::new(record));
    }

    fn next(&self, step: Step) {
        self.steps.as_ref().unwrap().send(step).unwrap();
    }

    /// Everything works from here on.
    fn let_go(&mut self) {
        self.steps = None;
    }

    /// Stops the worker; the rest of what was sent, and how many lines it didn't get.
    fn end(mut self) -> (Vec<Sent>, u64, Vec<Record>) {
        self.let_go();
        self.stop = None;
        let lost = self.thread.join().unwrap();
        let others = std::mem::take(&mut *self.others.lock().unwrap());
        (self.sent.try_iter().collect(), lost, others)
    }
}

fn refused<T>() -> io::Result<T> {
    Err(ErrorKind::ConnectionRefused.into())
}

fn line(number: u32, resent: bool) -> Sent {
    (format!("n={number}"), number, resent)
}

#[test]
fn lines_wait_for_a_target_that_comes_later_and_arrive_in_order() {
    let rig = Rig::new(100, true);
    for number in 1..=20 {
        rig.offer(number);
    }
    for _ in 0..5 {
        rig.next(Step::Connect(refused()));
    }
    let (sent, lost, _) = rig.end();
    assert_eq!(sent, (1..=20).map(|number| line(number, false)).collect::<Vec<_>>());
    assert_eq!(lost, 0);
}

#[test]
fn what_a_broken_stream_may_have_swallowed_is_sent_again_in_order_and_marked() {
    let rig = Rig::new(100, true);
    rig.next(Step::Connect(Ok(())));
    for number in 1..=5 {
        rig.offer(number);
    }
    for _ in 1..=3 {
        rig.next(Step::Send(Ok(())));
    }
    rig.next(Step::Send(refused()));
    let (sent, lost, _) = rig.end();
    let wanted = [
        line(1, false),
        line(2, false),
        line(3, false),
        line(1, true),
        line(2, true),
        line(3, true),
        line(4, true),
        line(5, false),
    ];
    assert_eq!(sent, wanted);
    assert_eq!(lost, 0);
}

#[test]
fn a_datagram_that_was_refused_is_sent_again_and_those_before_it_are_not() {
    let rig = Rig::new(100, false);
    rig.next(Step::Connect(Ok(())));
    for number in 1..=3 {
        rig.offer(number);
    }
    rig.next(Step::Send(Ok(())));
    rig.next(Step::Send(refused()));
    let (sent, _, _) = rig.end();
    assert_eq!(sent, [line(1, false), line(2, false), line(3, false)]);
}

#[test]
fn whoever_offers_never_waits_and_the_number_that_is_told_is_the_number_that_is_lost() {
    const OFFERED: u32 = 100_000;
    let mut rig = Rig::new(16, true);
    rig.next(Step::Connect(Ok(())));
    rig.offer(1);
    rig.next(Step::Send(Ok(())));
    assert_eq!(rig.sent.recv().unwrap(), line(1, false));
    // From here on the target is stalled: nothing is taken. If offering waited for it, this
    // would not end.
    for number in 2..=OFFERED {
        rig.offer(number);
    }
    rig.let_go();
    let mut arrived = 1;
    let mut told = 0;
    while arrived + told < u64::from(OFFERED) {
        let (text, sequence, _) = rig.sent.recv().unwrap();
        match text.strip_prefix("target=siem lost=") {
            Some(lost) => told += lost.parse::<u64>().unwrap(),
            None => {
                assert_eq!(text, format!("n={sequence}"), "numbers are those of what was offered");
                arrived += 1;
            }
        }
    }
    assert_eq!(arrived + told, u64::from(OFFERED));
    assert!(told > 0 && arrived >= 16, "{arrived} arrived");
    let (rest, lost, others) = rig.end();
    assert_eq!((rest, lost), (Vec::new(), 0));
    triggered(&others, Event::LogLost);
}

#[test]
fn a_loss_that_could_not_be_told_is_told_later_in_one_number() {
    let rig = Rig::new(16, true);
    // Not connected yet: 16 wait, 4 are lost.
    for number in 1..=20 {
        rig.offer(number);
    }
    rig.next(Step::Connect(Ok(())));
    for _ in 0..16 {
        rig.next(Step::Send(Ok(())));
    }
    for _ in 0..16 {
        rig.sent.recv().unwrap();
    }
    // The line about the loss fails.
    rig.next(Step::Send(refused()));
    let (sent, lost, _) = rig.end();
    assert_eq!(lost, 0);
    let losses: Vec<&Sent> = sent.iter().filter(|sent| sent.0.starts_with("target=")).collect();
    assert_eq!(losses.len(), 1, "{sent:?}");
    assert_eq!(losses[0].0, "target=siem lost=4");
    assert_eq!(sent.len(), 17, "16 are sent again: {sent:?}");
}

#[test]
fn a_target_that_stays_away_does_not_hold_up_the_end() {
    let (queue, waiting) = Queue::bounded(16);
    let (stop, stopped) = bounded(0);
    struct Away;
    impl Carrier for Away {
        fn connect(&mut self) -> io::Result<()> {
            refused()
        }
        fn check(&mut self) -> io::Result<()> {
            Ok(())
        }
        fn send(&mut self, _: Numbered<'_>) -> io::Result<()> {
            panic!("there is no connection")
        }
        fn is_stream(&self) -> bool {
            true
        }
        fn close(&mut self) {}
    }
    let tell: TellOthers = Box::new(|_| {});
    let worker = Worker::with_carrier("siem".into(), Box::new(Away), waiting, stopped, tell);
    let record = Arc::new(Record::new(UNIX_EPOCH, Event::CommandRefused));
    (0..20).for_each(|_| queue.offer(&record));
    drop(stop);
    assert_eq!(worker.run(Duration::from_millis(10)), 20, "16 waited, 4 were lost before");
}
