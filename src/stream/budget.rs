//! A budget of bytes per second, shared by many connections: what is urgent comes first, then whoever
//! has sent nothing lately; the others take turns, a packet's worth each. So neither an alarm nor a
//! value of a quiet node is behind the births of others. The connections share a thread or not; each
//! is woken when it has something to spend.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Granted at once: what a segment of TCP holds.
const TURN_BYTES: usize = 1_400;
/// What the link takes beside that: the headers of a segment, its encryption and its acknowledgement.
const OVERHEAD_BYTES: usize = 100;
/// Unspent time that counts.
const BURST: Duration = Duration::from_millis(100);

/// Bytes per second for all connections that share it.
#[derive(Debug)]
pub struct Budget {
    per_s: NonZeroU32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Until when everything is spent; in the past, if something is left.
    spent_until: Option<Instant>,
    /// Who waits, by class: the first class comes first. Each connection is in one of them at most.
    classes: [VecDeque<Waiting>; 3],
    /// Turns that were granted and aren't taken up yet.
    granted: Vec<u64>,
    next: u64,
}

/// Whose turn is before whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// It has something urgent.
    Urgent,
    /// It had nothing to send, and now has.
    Fresh,
    /// It had its turn, and goes on.
    Other,
}

#[derive(Debug)]
struct Waiting {
    id: u64,
    waker: Waker,
}

/// One connection's share of a budget.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    id: u64,
    /// Bytes that may be sent.
    left: usize,
    /// It is waiting for its turn in this class.
    queued: Option<Class>,
    /// It had its turn, and goes on: the next one is with the others.
    goes_on: bool,
    alarm: Pin<Box<Sleep>>,
}

impl Budget {
    /// `per_s`: bytes per second of the link, headers included, roughly.
    pub fn new(per_s: NonZeroU32) -> Arc<Budget> {
        Arc::new(Budget { per_s, state: Mutex::default() })
    }

    pub(crate) fn share(self: &Arc<Budget>) -> Share {
        let id = match self.state.lock() {
            Ok(mut state) => {
                state.next = state.next.wrapping_add(1);
                state.next
            }
            Err(_) => 0,
        };
        Share {
            budget: Arc::clone(self),
            id,
            left: 0,
            queued: None,
            goes_on: false,
            alarm: Box::pin(sleep_until(Instant::now())),
        }
    }

    fn cost(&self, bytes: usize) -> Duration {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let nanos = Duration::from_secs(1).saturating_mul(bytes);
        nanos.checked_div(self.per_s.get()).unwrap_or_default()
    }
}

impl State {
    /// Grants turns for as long as there is something to spend; when there will be again, if somebody
    /// waits.
    fn grant(&mut self, now: Instant, turn: Duration) -> Option<Instant> {
        loop {
            let spent = self.spent_until.unwrap_or(now);
            self.next()?;
            if spent > now {
                return Some(spent);
            }
            let next = self.classes.iter_mut().find_map(VecDeque::pop_front)?;
            // What wasn't spent for longer is lost.
            let from = now.checked_sub(BURST).map_or(spent, |earliest| spent.max(earliest));
            self.spent_until = from.checked_add(turn);
            self.granted.push(next.id);
            next.waker.wake();
        }
    }

    fn next(&self) -> Option<&Waiting> {
        self.classes.iter().find_map(VecDeque::front)
    }

    /// Whoever is next sets the alarm for all.
    fn wake_next(&self) {
        if let Some(next) = self.next() {
            next.waker.wake_by_ref();
        }
    }

    fn is_next(&self, id: u64) -> bool {
        self.next().is_some_and(|next| next.id == id)
    }

    fn line(&mut self, class: Class) -> &mut VecDeque<Waiting> {
        let [urgent, fresh, other] = &mut self.classes;
        match class {
            Class::Urgent => urgent,
            Class::Fresh => fresh,
            Class::Other => other,
        }
    }

    /// It doesn't wait any more.
    fn step_out(&mut self, id: u64) {
        self.classes.iter_mut().for_each(|line| line.retain(|waiting| waiting.id != id));
    }

    fn leave(&mut self, id: u64) {
        self.step_out(id);
        self.granted.retain(|granted| *granted != id);
    }
}

impl Share {
    /// How many of `wanted` bytes may be sent now; pending: none, until it is woken. `urgent`: they come
    /// before others'.
    pub(crate) fn poll_take(
        &mut self,
        context: &mut Context<'_>,
        wanted: usize,
        urgent: bool,
    ) -> Poll<usize> {
        if self.left > 0 {
            return Poll::Ready(self.left.min(wanted));
        }
        let turn = self.budget.cost(TURN_BYTES.saturating_add(OVERHEAD_BYTES));
        let budget = Arc::clone(&self.budget);
        let Ok(mut state) = budget.state.lock() else { return Poll::Ready(wanted) };
        let now = Instant::now();
        let class = match (urgent, self.goes_on) {
            (true, _) => Class::Urgent,
            (false, false) => Class::Fresh,
            (false, true) => Class::Other,
        };
        let granted = state.granted.contains(&self.id);
        // Who waits gains by becoming urgent, and loses nothing by not being so any more.
        if !granted && self.queued.is_none_or(|queued| class < queued) {
            if self.queued.is_some() {
                state.step_out(self.id);
            }
            self.queued = Some(class);
            let waiting = Waiting { id: self.id, waker: context.waker().clone() };
            state.line(class).push_back(waiting);
        }
        loop {
            let until = state.grant(now, turn);
            if let Some(place) = state.granted.iter().position(|granted| *granted == self.id) {
                state.granted.swap_remove(place);
                state.wake_next();
                (self.queued, self.goes_on, self.left) = (None, true, TURN_BYTES);
                return Poll::Ready(self.left.min(wanted));
            }
            if let Some(own) = state.classes.iter_mut().flatten().find(|own| own.id == self.id) {
                own.waker.clone_from(context.waker());
            }
            let Some(until) = until.filter(|_| state.is_next(self.id)) else {
                return Poll::Pending;
            };
            self.alarm.as_mut().reset(until);
            if self.alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// So many of them were sent.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// Nothing more is to be sent for now; what is left of a turn goes back.
    pub(crate) fn rest(&mut self) {
        let left = std::mem::take(&mut self.left);
        if left == 0 && !self.goes_on {
            return;
        }
        self.goes_on = false;
        if let Ok(mut state) = self.budget.state.lock() {
            let back = self.budget.cost(left);
            state.spent_until =
                state.spent_until.map(|until| until.checked_sub(back).unwrap_or(until));
            state.wake_next();
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Ok(mut state) = self.budget.state.lock() {
            state.leave(self.id);
            state.wake_next();
        }
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn budget(per_s: u32) -> Arc<Budget> {
        Budget::new(NonZeroU32::new(per_s).unwrap())
    }

    /// Sends `bytes`; how long that took since `start`.
    async fn send(mut share: Share, mut bytes: usize, start: Instant) -> Duration {
        while bytes > 0 {
            let allowed = poll_fn(|context| share.poll_take(context, bytes, false)).await;
            share.spend(allowed);
            bytes -= allowed;
        }
        share.rest();
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_is_kept_and_shared_fairly() {
        let budget = budget(15_000);
        let start = Instant::now();
        let tasks: Vec<_> =
            (0..10).map(|_| tokio::spawn(send(budget.share(), 14_000, start))).collect();
        for task in tasks {
            let took = task.await.unwrap();
            // 140,000 bytes in turns of 1,400 that count 1,500: 10 s, and all end with the last turns.
            assert!((9.0..=10.2).contains(&took.as_secs_f64()), "{took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_sent_nothing_lately_comes_first() {
        let budget = budget(15_000);
        let start = Instant::now();
        let bulk: Vec<_> =
            (0..30).map(|_| tokio::spawn(send(budget.share(), 150_000, start))).collect();
        tokio::time::sleep(Duration::from_secs(20)).await;
        let mut share = budget.share();
        for _ in 0..10 {
            let began = Instant::now();
            let allowed = poll_fn(|context| share.poll_take(context, 300, false)).await;
            assert_eq!(allowed, 300);
            share.spend(300);
            share.rest();
            assert!(began.elapsed() <= Duration::from_millis(250), "{:?}", began.elapsed());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        bulk.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_urgent_comes_before_a_crowd_of_newcomers_and_of_those_that_go_on() {
        let budget = budget(15_000);
        let start = Instant::now();
        // One that has been sending all along, and has an alarm now and then.
        let mut own = budget.share();
        let bulk: Vec<_> =
            (0..30).map(|_| tokio::spawn(send(budget.share(), 150_000, start))).collect();
        for second in 0..20_u64 {
            let crowd: Vec<_> =
                (0..20).map(|_| tokio::spawn(send(budget.share(), 100, start))).collect();
            tokio::task::yield_now().await;
            let began = Instant::now();
            let mut bytes = 5_000_usize;
            while bytes > 0 {
                // It waited among the others, when the alarm came.
                let take = poll_fn(|context| {
                    let _ = share_of(&mut own, context, bytes, second > 0);
                    own.poll_take(context, bytes, true)
                });
                let allowed = take.await;
                own.spend(allowed);
                bytes -= allowed;
            }
            // 5,000 bytes in four turns of 0.1 s, and the one that was under way.
            assert!(began.elapsed() <= Duration::from_millis(600), "{:?}", began.elapsed());
            crowd.iter().for_each(tokio::task::JoinHandle::abort);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        bulk.iter().for_each(tokio::task::JoinHandle::abort);
    }

    fn share_of(
        share: &mut Share,
        context: &mut Context<'_>,
        bytes: usize,
        first: bool,
    ) -> Poll<usize> {
        if first && share.left == 0 {
            share.poll_take(context, bytes, false)
        } else {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_ends_while_it_waits_keeps_nobody_waiting() {
        let budget = budget(1_500);
        let start = Instant::now();
        let first = tokio::spawn(send(budget.share(), 1_400 * 100, start));
        let second = tokio::spawn(send(budget.share(), 1_400 * 5, start));
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        first.abort();
        let took = second.await.unwrap();
        assert!(took <= Duration::from_secs(9), "{took:?}");
    }
}
