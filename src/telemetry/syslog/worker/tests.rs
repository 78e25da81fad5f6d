//! The worker before a carrier that does as the test says.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::Mutex;
use std::thread::{self, JoinHandle};
use std::time::UNIX_EPOCH;

use crossbeam_channel::{Sender, bounded, unbounded};
use proptest::prelude::*;

use super::*;
use crate::capture::{capture, triggered};

const LONG: Duration = Duration::from_secs(20);
const NO_PAUSES: Limits =
    Limits { first_pause: Duration::ZERO, last_pause: Duration::ZERO, ..LIMITS };

/// What the test lets the next call do.
enum Step {
    Connect(io::Result<()>),
    Send(io::Result<()>),
    /// To the question whether the server has ended the connection.
    Answer(io::Result<bool>),
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
            Ok(Step::Answer(_)) => panic!("it connects where it should ask"),
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
            Ok(Step::Answer(_)) => panic!("it sends where it should ask"),
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

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn has_ended(&mut self, _: Duration) -> io::Result<bool> {
        match self.steps.recv() {
            Ok(Step::Answer(result)) => result,
            Ok(_) => panic!("it asks where it should go on"),
            Err(_) => Ok(true),
        }
    }

    fn close(&mut self) {}
}

struct Rig {
    queue: Queue,
    steps: Option<Sender<Step>>,
    sent: Receiver<Sent>,
    stop: Option<Sender<()>>,
    thread: JoinHandle<Shortfall>,
    others: Arc<Mutex<Vec<Record>>>,
}

impl Rig {
    fn new(lines: usize, stream: bool) -> Rig {
        Rig::limited(lines, stream, NO_PAUSES)
    }

    fn limited(lines: usize, stream: bool, limits: Limits) -> Rig {
        let (queue, waiting) = Queue::bounded(lines);
        let (steps, script) = unbounded();
        let (sender, sent) = unbounded();
        let (stop, stopped) = bounded(0);
        let others = Arc::new(Mutex::new(Vec::new()));
        let reported = Arc::clone(&others);
        let carrier = Box::new(Scripted { steps: script, sent: sender, stream });
        let emit: EmitToOthers =
            Box::new(move |record| reported.lock().unwrap().push(Record::clone(record)));
        let mut worker = Worker::with_carrier("siem".into(), carrier, waiting, stopped, emit);
        worker.limits = limits;
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

    /// Stops the worker; the rest of what was sent, and how many lines the target didn't get.
    fn end(mut self) -> (Vec<Sent>, u64, Vec<Record>) {
        self.let_go();
        self.stop = None;
        let Shortfall { lost, unconfirmed } = self.thread.join().unwrap();
        assert_eq!(unconfirmed, 0);
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
    let mut reported = 0;
    while arrived + reported < u64::from(OFFERED) {
        let (text, sequence, _) = rig.sent.recv().unwrap();
        match text.strip_prefix("target=siem lost=") {
            Some(lost) => reported += lost.parse::<u64>().unwrap(),
            None => {
                assert_eq!(text, format!("n={sequence}"), "numbers are those of what was offered");
                arrived += 1;
            }
        }
    }
    assert_eq!(arrived + reported, u64::from(OFFERED));
    assert!(reported > 0 && arrived >= 16, "{arrived} arrived");
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

const SMALL: Limits = Limits {
    unread_lines: 3,
    answer_within: Duration::ZERO,
    settled_after: Duration::ZERO,
    ..NO_PAUSES
};

#[test]
fn what_the_server_has_read_is_not_sent_again_and_everything_else_is() {
    let rig = Rig::limited(100, true, SMALL);
    rig.next(Step::Connect(Ok(())));
    for number in 1..=5 {
        rig.offer(number);
    }
    let sends = |count| (0..count).for_each(|_| rig.next(Step::Send(Ok(()))));
    sends(3);
    // As much is unread as is kept: it is asked, and connected anew.
    rig.next(Step::Answer(Ok(true)));
    rig.next(Step::Connect(Ok(())));
    sends(1);
    rig.next(Step::Send(refused()));
    rig.next(Step::Connect(Ok(())));
    let (sent, lost, _) = rig.end();
    let wanted = [(1, false), (2, false), (3, false), (4, false), (4, true), (5, true)]
        .map(|(n, r)| line(n, r));
    assert_eq!((sent.as_slice(), lost), (wanted.as_slice(), 0));
}

#[test]
fn what_was_read_just_before_a_break_is_sent_again() {
    let rig = Rig::limited(100, true, Limits { settled_after: LONG, ..SMALL });
    rig.next(Step::Connect(Ok(())));
    for number in 1..=4 {
        rig.offer(number);
    }
    (0..3).for_each(|_| rig.next(Step::Send(Ok(()))));
    rig.next(Step::Answer(Ok(true)));
    // The server dies with what it has in its memory.
    rig.next(Step::Connect(refused()));
    rig.next(Step::Connect(Ok(())));
    rig.next(Step::Send(refused()));
    let (sent, lost, _) = rig.end();
    let numbers: Vec<u32> = sent.iter().map(|sent| sent.1).collect();
    assert_eq!((numbers.as_slice(), lost), ([1, 2, 3, 1, 2, 3, 4].as_slice(), 0));
}

#[test]
fn a_server_that_has_answered_and_then_hangs_is_given_nothing_up_for() {
    let rig = Rig::limited(16, true, SMALL);
    for number in 1..=6 {
        rig.offer(number);
    }
    let sends = || (0..3).for_each(|_| rig.next(Step::Send(Ok(()))));
    rig.next(Step::Connect(Ok(())));
    sends();
    rig.next(Step::Answer(Ok(true)));
    for _ in 0..10 {
        rig.next(Step::Connect(Ok(())));
        sends();
        rig.next(Step::Answer(Ok(false)));
    }
    let (sent, lost, _) = rig.end();
    assert_eq!(sent.len(), 3 + 11 * 3);
    assert_eq!(sent.last(), Some(&line(6, true)));
    assert_eq!(lost, 0);
}

/// A carrier that a test gives its own mind.
struct Minded<F>(F);

enum Call<'a> {
    Connect,
    Send(Numbered<'a>),
    HasEnded,
}

impl<F: FnMut(Call<'_>) -> io::Result<bool> + Send> Carrier for Minded<F> {
    fn connect(&mut self) -> io::Result<()> {
        (self.0)(Call::Connect).map(drop)
    }
    fn check(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn send(&mut self, line: Numbered<'_>) -> io::Result<()> {
        (self.0)(Call::Send(line)).map(drop)
    }
    fn is_stream(&self) -> bool {
        true
    }
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn has_ended(&mut self, _: Duration) -> io::Result<bool> {
        (self.0)(Call::HasEnded)
    }
    fn close(&mut self) {}
}

#[test]
fn a_server_that_never_answers_is_told_and_asked_no_more() {
    let (queue, waiting) = Queue::bounded(100);
    let (stop, stopped) = bounded(0);
    let (mut asked, mut sent) = (0, 0);
    let calls = Arc::new(Mutex::new((0, 0)));
    let seen = Arc::clone(&calls);
    let carrier = Minded(move |call: Call<'_>| {
        match call {
            Call::Connect => {}
            Call::Send(_) => sent += 1,
            Call::HasEnded => asked += 1,
        }
        *seen.lock().unwrap() = (asked, sent);
        Ok(false)
    });
    let emit: EmitToOthers = Box::new(|_| {});
    let mut worker = Worker::with_carrier("siem".into(), Box::new(carrier), waiting, stopped, emit);
    worker.limits = SMALL;
    let record = Arc::new(Record::new(UNIX_EPOCH, Event::CommandRefused));
    (0..10).for_each(|_| queue.offer(&record));
    drop(stop);
    let mut shortfall = Shortfall::default();
    let reported = capture(|| shortfall = worker.run(LONG));
    triggered(&reported, Event::LogUnconfirmed);
    // Three lines four times, then the other seven.
    assert_eq!(*calls.lock().unwrap(), (3, 19));
    assert_eq!(shortfall, Shortfall { lost: 0, unconfirmed: 3 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The server reads when it likes, hangs, and dies with what it had not read; the queue
    /// overflows.
    #[test]
    fn lines_that_are_told_as_lost_and_lines_that_are_read_are_all_lines(
        moves in prop::collection::vec((0..10_u8, 0..40_u8), 20..400),
        unread_lines in 1..20_usize,
        settled in any::<bool>(),
    ) {
        let (queue, waiting) = Queue::bounded(16);
        let (stop, stopped) = bounded(0);
        drop(stop);
        let offer = move |count: u8| {
            for _ in 0..count {
                queue.offer(&Arc::new(Record::new(UNIX_EPOCH, Event::CommandRefused)));
            }
        };
        offer(1);
        let read: Arc<Mutex<BTreeMap<u32, u64>>> = Arc::default();
        let (taken, mut unread, mut answered) = (Arc::clone(&read), Vec::new(), false);
        let mut moves = moves.into_iter();
        let mut last = 0;
        let highest = Arc::new(Mutex::new(0));
        let told_highest = Arc::clone(&highest);
        let carrier = Minded(move |call: Call<'_>| {
            // In the end the server is well.
            let (mind, count) = moves.next().unwrap_or((9, 0));
            if let Call::Send(line) = &call {
                let lost = line.record.fields.iter().find(|(name, _)| *name == "lost");
                let lost = lost.map_or(0, |(_, value)| value.parse().unwrap());
                last = last.max(line.sequence);
                *told_highest.lock().unwrap() = last;
                unread.push((line.sequence, lost));
            }
            offer(if count < 36 { count / 25 } else { 20 });
            match (call, mind) {
                // It dies, or has died. What was sent may or may not have come to it.
                (_, 0..=2) => {
                    unread.clear();
                    refused()
                }
                (Call::HasEnded, 3..=5) if answered => Ok(false),
                (Call::HasEnded, _) => {
                    taken.lock().unwrap().extend(unread.drain(..));
                    answered = true;
                    Ok(true)
                }
                (Call::Connect, _) => {
                    unread.clear();
                    Ok(true)
                }
                (Call::Send(_), mind) => {
                    if mind >= 8 {
                        taken.lock().unwrap().extend(unread.drain(..));
                    }
                    Ok(true)
                }
            }
        });
        let emit: EmitToOthers = Box::new(|_| {});
        let mut worker =
            Worker::with_carrier("siem".into(), Box::new(carrier), waiting, stopped, emit);
        let settled_after = if settled { Duration::ZERO } else { LONG };
        worker.limits = Limits { unread_lines, settled_after, ..SMALL };
        let shortfall = worker.run(LONG);
        prop_assert_eq!(shortfall, Shortfall::default());
        let read = read.lock().unwrap();
        let reported: u64 = read.values().sum();
        let all = u64::from(*highest.lock().unwrap());
        prop_assert_eq!((read.len() as u64).saturating_add(reported), all);
    }
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
        fn end(&mut self) -> io::Result<()> {
            panic!("there is no connection")
        }
        fn has_ended(&mut self, _: Duration) -> io::Result<bool> {
            panic!("there is no connection")
        }
        fn close(&mut self) {}
    }
    let emit: EmitToOthers = Box::new(|_| {});
    let worker = Worker::with_carrier("siem".into(), Box::new(Away), waiting, stopped, emit);
    let record = Arc::new(Record::new(UNIX_EPOCH, Event::CommandRefused));
    (0..20).for_each(|_| queue.offer(&record));
    drop(stop);
    let shortfall = worker.run(Duration::from_millis(10));
    let wanted = Shortfall { lost: 20, unconfirmed: 0 };
    assert_eq!(shortfall, wanted, "16 waited, 4 were lost before");
}
