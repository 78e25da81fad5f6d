//! What went through a connection, for whoever waits for answers or makes bytes for it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tls::FIRST_BYTES;
use tokio::time::Instant;

use crate::answers::Codes;
use crate::offers::Offers;
use crate::owed::Odd;
use crate::silence::{Awaited, Silence, silence};

/// SUBACKs whose codes are kept, and odd answers: the client asks for one at a time, or two.
const MAX_KEPT: usize = 8;

/// Bytes of one connection, counted before the encryption.
#[derive(Debug, Default)]
pub struct Traffic {
    /// What is waited for, and since when.
    awaited: Mutex<Option<(Awaited, Instant)>>,
    /// What came first, below the encryption; where there is any.
    first: OnceLock<([u8; FIRST_BYTES], usize)>,
    accepted: AtomicU64,
    released: AtomicU64,
    /// Up to here what was accepted is urgent; the highest number: what will be, too.
    urgent_to: AtomicU64,
    heard: AtomicU64,
    /// Codes of SUBACKs that the client took for plain refusals.
    codes: Mutex<VecDeque<Codes>>,
    /// What the broker offers, in MQTT 5.
    offers: OnceLock<Offers>,
    /// Codes by which publications were refused, in MQTT 5, until somebody tells of them.
    refusals: Mutex<VecDeque<(u8, Option<String>)>>,
    has_refusals: AtomicBool,
    /// Answers that weren't as MQTT has them, until somebody tells of them.
    odd: Mutex<VecDeque<Odd>>,
    has_odd: AtomicBool,
    /// Bytes of all connections that wait to be taken.
    waiting: Arc<AtomicUsize>,
    /// Bytes of all connections that were taken.
    taken: Arc<AtomicU64>,
}

impl Traffic {
    /// Beside its own bytes it counts, for many connections together, those that wait and those
    /// that the system took.
    pub fn new(waiting: Arc<AtomicUsize>, taken: Arc<AtomicU64>) -> Traffic {
        Traffic { waiting, taken, ..Traffic::default() }
    }

    /// Bytes that the client has written.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Bytes of them that the system has taken.
    pub fn released(&self) -> u64 {
        self.released.load(Ordering::Relaxed)
    }

    /// Bytes that came.
    pub fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// What was accepted until now goes before what other connections have, where they share a budget;
    /// `more`: and what is accepted next, until this is said anew.
    pub fn hurry(&self, more: bool) {
        let to = if more { u64::MAX } else { self.accepted() };
        self.urgent_to.store(to, Ordering::Relaxed);
    }

    /// Something that waits, or that will, is urgent.
    pub(crate) fn is_urgent(&self) -> bool {
        self.released() < self.urgent_to.load(Ordering::Relaxed)
    }

    /// Bytes that the client has written, and that the system hasn't taken.
    pub fn waiting(&self) -> usize {
        usize::try_from(self.accepted().saturating_sub(self.released())).unwrap_or(usize::MAX)
    }

    /// From now on this is waited for.
    pub(crate) fn awaits(&self, awaited: Awaited) {
        if let Ok(mut now) = self.awaited.lock() {
            *now = Some((awaited, Instant::now()));
        }
    }

    /// Whether it is time to tell that the broker says nothing, while a session is waited for that
    /// may take `within` for each step.
    pub fn silence(&self, within: Duration) -> Silence {
        let awaited = self.awaited.lock().map(|awaited| *awaited).unwrap_or_default();
        let Some((awaited, since)) = awaited.filter(|_| self.heard() == 0) else {
            return Silence::Over;
        };
        let first = !self.first().is_empty();
        silence(awaited, first, Instant::now().saturating_duration_since(since), within)
    }

    pub(crate) fn keep_codes(&self, codes: Codes) {
        if let Ok(mut kept) = self.codes.lock() {
            if kept.len() >= MAX_KEPT {
                kept.pop_front();
            }
            kept.push_back(codes);
        }
    }

    /// The codes of this SUBACK, if there are any in it that MQTT 3.1.1 doesn't have.
    pub fn take_codes(&self, id: u16) -> Option<Codes> {
        let mut kept = self.codes.lock().ok()?;
        let place = kept.iter().position(|codes| codes.id == id)?;
        kept.remove(place)
    }

    pub(crate) fn keep_odd(&self, odd: Odd) {
        if let Ok(mut kept) = self.odd.lock() {
            if kept.len() >= MAX_KEPT {
                kept.pop_front();
            }
            kept.push_back(odd);
            self.has_odd.store(true, Ordering::Release);
        }
    }

    /// The next answer that wasn't as MQTT has it.
    pub fn take_odd(&self) -> Option<Odd> {
        if !self.has_odd.load(Ordering::Acquire) {
            return None;
        }
        let mut kept = self.odd.lock().ok()?;
        let odd = kept.pop_front();
        self.has_odd.store(!kept.is_empty(), Ordering::Release);
        odd
    }

    pub(crate) fn keep_offers(&self, offers: Offers) {
        let _ = self.offers.set(offers);
    }

    /// What the broker offers and asks for, once there is a session of MQTT 5.
    pub fn offers(&self) -> Option<&Offers> {
        self.offers.get()
    }

    pub(crate) fn keep_refusal(&self, code: u8, text: Option<String>) {
        if let Ok(mut kept) = self.refusals.lock() {
            if kept.len() >= MAX_KEPT {
                kept.pop_front();
            }
            kept.push_back((code, text));
            self.has_refusals.store(true, Ordering::Release);
        }
    }

    /// The next code by which the broker refused a publication, and what it says in its own words.
    pub fn take_refusal(&self) -> Option<(u8, Option<String>)> {
        if !self.has_refusals.load(Ordering::Acquire) {
            return None;
        }
        let mut kept = self.refusals.lock().ok()?;
        let refusal = kept.pop_front();
        self.has_refusals.store(!kept.is_empty(), Ordering::Release);
        refusal
    }

    pub(crate) fn begins_with(&self, bytes: &[u8]) {
        let mut first = [0; FIRST_BYTES];
        first.iter_mut().zip(bytes).for_each(|(kept, byte)| *kept = *byte);
        let _ = self.first.set((first, bytes.len().min(FIRST_BYTES)));
    }

    /// What came first, below the encryption.
    pub(crate) fn first(&self) -> &[u8] {
        self.first.get().and_then(|(bytes, count)| bytes.get(..*count)).unwrap_or_default()
    }

    pub(crate) fn accept(&self, bytes: usize) {
        self.accepted.fetch_add(wide(bytes), Ordering::Relaxed);
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.released.fetch_add(wide(bytes), Ordering::Relaxed);
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        self.taken.fetch_add(wide(bytes), Ordering::Relaxed);
    }

    /// Bytes that wait will never be taken: the connection is over.
    pub(crate) fn forget(&self, bytes: usize) {
        self.released.fetch_add(wide(bytes), Ordering::Relaxed);
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn hear(&self, bytes: usize) {
        self.heard.fetch_add(wide(bytes), Ordering::Relaxed);
    }
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
