//! Sans-IO state of the sending end: frames in, datagrams out, at the pace of the link.
//!
//! # How to use a [`Sender`]
//!
//! - **What is to be sent** comes with [`Sender::push`], while there is [`Sender::room`]; behind each
//!   batch, [`Sender::flush`].
//! - **What goes out** is asked of [`Sender::poll_datagram`] until it says `false`, and again at
//!   [`Sender::next_due`] at the latest. The same bytes go to every path.
//! - **The second pass** says with [`Sender::poll_again`] which numbers to read again. They come with
//!   [`Sender::push_again`], and then [`Sender::again_done`].
//!
//! Times never go backwards. Nothing comes from the link: what is lost, what arrives, whether anybody
//! is there changes nothing.
//!
//! Of what is due, signs of life go first, then source symbols, repair symbols, and with what is left,
//! up to its share, the second pass. Repair symbols that have waited longer than they should be spread
//! over go before source symbols: a link that is full protects all of what it carries.

use std::ops::Range;
use std::time::Duration;

use crate::account::{SenderAccount, add};
use crate::blocks::{BlockOptions, LaneSender};
use crate::code::MAX_SOURCE_SYMBOLS;
use crate::datagram::{Announcement, Body, Heartbeat, Lane, MAX_BYTES, SessionId, symbol_bytes};
use crate::pacing::{Pace, Rates};
use crate::packing::{Item, MAX_ITEM_BYTES, TooLarge};
use crate::protect::{CounterExhausted, LinkKey, LinkName, Sealer};
use crate::second_pass::{SecondPass, SecondPassOptions, TooManyStretches};
use crate::segments::{Noted, Segment};
use crate::session::SenderState;
use crate::settled::Settling;

/// Datagrams of fewer bytes carry more header than anything else.
pub const MIN_DATAGRAM_BYTES: usize = 256;
/// Source symbols that may wait before no more is read.
const MAX_WAITING: usize = 256;
/// The same for repair symbols whose time has come.
const MAX_OVERDUE: usize = 4_096;
/// Symbols of the second pass that wait: no more than what goes at once.
const MAX_WAITING_AGAIN: usize = 16;

/// How a link is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderOptions {
    /// UDP payload of the longest datagram: the MTU less 28 over IPv4.
    pub datagram_bytes: usize,
    pub blocks: BlockOptions,
    pub rates: Rates,
    pub second_pass: SecondPassOptions,
    /// Time between signs of life.
    pub heartbeat_every: Duration,
    /// Time between announcements.
    pub announce_every: Duration,
}

impl Default for SenderOptions {
    fn default() -> SenderOptions {
        SenderOptions {
            datagram_bytes: 1_472,
            blocks: BlockOptions::default(),
            rates: Rates { bytes_per_s: 100_000_000, packets_per_s: 100_000 },
            second_pass: SecondPassOptions::default(),
            heartbeat_every: Duration::from_millis(100),
            announce_every: Duration::from_secs(1),
        }
    }
}

/// Options that no link works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SenderOptionsError {
    #[error("datagrams have {MIN_DATAGRAM_BYTES} to {MAX_BYTES} bytes, not {0}")]
    DatagramBytes(usize),
    #[error("a block has 1 to {MAX_SOURCE_SYMBOLS} symbols, not {0}")]
    Symbols(usize),
    #[error("the overhead is 0 to 2000 thousandths, not {0}")]
    Overhead(u32),
    #[error("the least protection is 0 to 64 symbols, not {0}")]
    MinRepair(usize),
    #[error(
        "a time of the link is at most a minute, and heartbeats come once in a millisecond at most"
    )]
    Times,
    #[error("the second pass has 0 to 90 percent, not {0}")]
    Share(u32),
    #[error("the second pass comes before its window ends")]
    Window,
    #[error("a rate of the link is above 0")]
    Rates,
}

impl SenderOptions {
    fn checked(self) -> Result<SenderOptions, SenderOptionsError> {
        let SenderOptions { datagram_bytes, blocks, rates, second_pass, .. } = self;
        let minute = Duration::from_secs(60);
        let times = [
            blocks.close_after,
            blocks.spread,
            blocks.linger,
            self.heartbeat_every,
            self.announce_every,
        ];
        let signs = [self.heartbeat_every, self.announce_every];
        if !(MIN_DATAGRAM_BYTES..=MAX_BYTES).contains(&datagram_bytes) {
            Err(SenderOptionsError::DatagramBytes(datagram_bytes))
        } else if !(1..=MAX_SOURCE_SYMBOLS).contains(&blocks.symbols) {
            Err(SenderOptionsError::Symbols(blocks.symbols))
        } else if blocks.overhead_permille > 2_000 {
            Err(SenderOptionsError::Overhead(blocks.overhead_permille))
        } else if blocks.min_repair > 64 {
            Err(SenderOptionsError::MinRepair(blocks.min_repair))
        } else if times.iter().any(|time| *time > minute)
            || signs.iter().any(|time| *time < Duration::from_millis(1))
        {
            Err(SenderOptionsError::Times)
        } else if second_pass.share_percent > 90 {
            Err(SenderOptionsError::Share(second_pass.share_percent))
        } else if second_pass.after >= second_pass.window {
            Err(SenderOptionsError::Window)
        } else if rates.bytes_per_s == 0 || rates.packets_per_s == 0 {
            Err(SenderOptionsError::Rates)
        } else {
            Ok(self)
        }
    }
}

/// The sending end.
#[derive(Debug)]
pub struct Sender {
    options: SenderOptions,
    sealer: Sealer,
    pace: Pace,
    live: LaneSender,
    again: LaneSender,
    live_noted: Noted,
    again_noted: Noted,
    second_pass: SecondPass,
    settling: Settling,
    start: Duration,
    heartbeat_due: Duration,
    announcement_due: Duration,
    highest_frame: u64,
    account: SenderAccount,
}

/// What a datagram is of.
#[derive(Clone, Copy)]
enum Kind {
    Source,
    Repair,
    SourceAgain,
    RepairAgain,
}

impl Sender {
    /// For one session. `state` is stored already, and `random` comes from the operating system.
    pub fn new(
        options: SenderOptions,
        name: &LinkName,
        key: &LinkKey,
        state: SenderState,
        random: [u8; 8],
        now: Duration,
    ) -> Result<Sender, SenderOptionsError> {
        let options = options.checked()?;
        let session = SessionId { number: state.session, random };
        let bytes = symbol_bytes(options.datagram_bytes);
        let lane = |lane| LaneSender::new(lane, options.blocks, bytes);
        Ok(Sender {
            sealer: Sealer::new(name, key, session),
            pace: Pace::new(options.rates),
            live: lane(Lane::Live),
            again: lane(Lane::Again),
            live_noted: Noted::default(),
            again_noted: Noted::default(),
            second_pass: SecondPass::new(options.second_pass, options.rates.bytes_per_s),
            settling: Settling::new(leaves_within(&options.blocks)),
            start: now,
            heartbeat_due: now,
            announcement_due: now,
            highest_frame: 0,
            account: SenderAccount::default(),
            options,
        })
    }

    /// Whether more may come now; if not, it may after a datagram or two.
    pub fn room(&self, now: Duration) -> bool {
        self.live.waiting() < MAX_WAITING && self.live.overdue(now) < MAX_OVERDUE
    }

    /// Takes a frame of the journal, with its number there and the segment that it stands in.
    pub fn push(
        &mut self,
        now: Duration,
        segment: &Segment,
        number: u64,
        frame: &[u8],
    ) -> Result<(), TooLarge> {
        push(&mut self.live, &mut self.live_noted, now, segment, number, frame)?;
        self.highest_frame = self.highest_frame.max(number);
        add(&mut self.account.frames, 1);
        self.second_pass.sent(now, number, frame.len());
        Ok(())
    }

    /// Nothing more comes now: what fills no symbol goes, at once unless symbols follow each other
    /// faster than they linger.
    pub fn flush(&mut self, now: Duration) {
        self.live.flush(now);
    }

    /// Numbers of frames that are to be read and sent again; the driver says when it is through, and
    /// is given no others until then.
    pub fn poll_again(&mut self, now: Duration) -> Option<Range<u64>> {
        if self.again.waiting() > MAX_WAITING_AGAIN || self.again.overdue(now) > MAX_OVERDUE {
            return None;
        }
        self.second_pass.poll(now)
    }

    /// A frame of those numbers.
    pub fn push_again(
        &mut self,
        now: Duration,
        segment: &Segment,
        number: u64,
        frame: &[u8],
    ) -> Result<(), TooLarge> {
        push(&mut self.again, &mut self.again_noted, now, segment, number, frame)?;
        add(&mut self.account.frames_again, 1);
        Ok(())
    }

    /// All of those numbers that there are were pushed.
    pub fn again_done(&mut self, now: Duration) {
        self.second_pass.done();
        // More may follow at once, and fill the symbol.
        if self.second_pass.due_at().is_none_or(|due| due > now) {
            self.again.flush(now);
        }
    }

    /// These go again, by an operator's hand or after a restart.
    pub fn resend(&mut self, numbers: Range<u64>) -> Result<(), TooManyStretches> {
        self.second_pass.resend(numbers)
    }

    /// What of those wasn't read yet.
    pub fn stretches(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.second_pass.stretches()
    }

    /// Makes `out` the next datagram that is due; `false`: none is now.
    pub fn poll_datagram(
        &mut self,
        now: Duration,
        wall_ms: u64,
        out: &mut Vec<u8>,
    ) -> Result<bool, CounterExhausted> {
        self.live.work(now);
        self.again.work(now);
        if self.pace.ready_at() > now {
            return Ok(false);
        }
        let sent = if self.heartbeat_due <= now {
            self.heartbeat_due = now.saturating_add(self.options.heartbeat_every);
            self.seal_heartbeat(now, wall_ms, out)?;
            true
        } else if self.announcement_due <= now {
            self.announcement_due = now.saturating_add(self.options.announce_every);
            self.seal_announcement(out)?;
            true
        } else {
            self.seal_symbol(now, out)?
        };
        if sent {
            self.pace.take(now, out.len());
        }
        Ok(sent)
    }

    fn seal_heartbeat(
        &mut self,
        now: Duration,
        wall_ms: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), CounterExhausted> {
        let mono_ms = now.saturating_sub(self.start).as_millis();
        let lowest = self.second_pass.lowest();
        let lowest = lowest.unwrap_or_else(|| self.highest_frame.saturating_add(1));
        let heartbeat = Heartbeat {
            mono_ms: u64::try_from(mono_ms).unwrap_or(u64::MAX),
            wall_ms,
            highest_frame: self.highest_frame,
            symbols: self.live.symbols(),
            again_from: self.settling.sample(now, lowest),
        };
        add(&mut self.account.signs, 1);
        self.sealer.seal(&Body::Heartbeat(heartbeat), out)
    }

    fn seal_announcement(&mut self, out: &mut Vec<u8>) -> Result<(), CounterExhausted> {
        let BlockOptions { symbols, close_after, overhead_permille, min_repair, spread, .. } =
            self.options.blocks;
        let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let short = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        let announcement = Announcement {
            datagram_bytes: short(self.options.datagram_bytes),
            symbols: short(symbols),
            close_after_ms: ms(close_after),
            spread_ms: ms(spread),
            overhead_permille: u16::try_from(overhead_permille).unwrap_or(u16::MAX),
            min_repair: short(min_repair),
        };
        add(&mut self.account.signs, 1);
        self.sealer.seal(&Body::Announcement(announcement), out)
    }

    fn seal_symbol(&mut self, now: Duration, out: &mut Vec<u8>) -> Result<bool, CounterExhausted> {
        let Some(kind) = self.next_kind(now) else { return Ok(false) };
        let sealer = &mut self.sealer;
        let seal = |body: &Body<'_>| sealer.seal(body, out);
        let result = match kind {
            Kind::Source => self.live.send_source(seal),
            Kind::Repair => self.live.send_repair(seal),
            Kind::SourceAgain => self.again.send_source(seal),
            Kind::RepairAgain => self.again.send_repair(seal),
        };
        let Some(result) = result else {
            mistake::mistake!("a symbol that isn't there");
            return Ok(false);
        };
        result?;
        let account = &mut self.account;
        let (count, bytes) = match kind {
            Kind::Source => (&mut account.source, &mut account.source_bytes),
            Kind::Repair => (&mut account.repair, &mut account.repair_bytes),
            Kind::SourceAgain | Kind::RepairAgain => {
                self.second_pass.took(now, out.len());
                (&mut account.again, &mut account.again_bytes)
            }
        };
        add(count, 1);
        add(bytes, out.len());
        Ok(true)
    }

    /// What goes next, if anything may.
    fn next_kind(&self, now: Duration) -> Option<Kind> {
        let spread = self.options.blocks.spread;
        let is_due = |due: Option<Duration>, wait| {
            due.is_some_and(|due: Duration| due.saturating_add(wait) <= now)
        };
        let repair = self.live.repair_due();
        let has_source = self.live.waiting() > 0;
        if has_source && !is_due(repair, spread) {
            return Some(Kind::Source);
        }
        if is_due(repair, Duration::ZERO) {
            return Some(Kind::Repair);
        }
        if self.second_pass.ready_at() > now {
            return None;
        }
        let repair = self.again.repair_due();
        if self.again.waiting() > 0 && !is_due(repair, spread) {
            return Some(Kind::SourceAgain);
        }
        is_due(repair, Duration::ZERO).then_some(Kind::RepairAgain)
    }

    /// When to ask for a datagram, or for numbers to be read again, at the latest.
    pub fn next_due(&self) -> Duration {
        let mut due = self.heartbeat_due.min(self.announcement_due);
        let mut at = |time: Option<Duration>| due = due.min(time.unwrap_or(due));
        at((self.live.waiting() > 0).then_some(Duration::ZERO));
        at(self.live.repair_due());
        at(self.live.work_due());
        at(self.again.work_due());
        let share = self.second_pass.ready_at();
        at((self.again.waiting() > 0).then_some(share));
        at(self.again.repair_due().map(|due| due.max(share)));
        if self.again.waiting() <= MAX_WAITING_AGAIN {
            at(self.second_pass.due_at());
        }
        due.max(self.pace.ready_at())
    }

    /// Whether nothing waits, but signs of life.
    pub fn is_idle(&self) -> bool {
        self.live.is_idle() && self.again.is_idle() && self.second_pass.is_idle()
    }

    /// Whether all that was pushed for the first time has left, with what protects it.
    pub fn is_live_idle(&self) -> bool {
        self.live.is_idle()
    }

    /// What was sent so far.
    pub fn account(&self) -> SenderAccount {
        SenderAccount { skipped: self.second_pass.skipped(), ..self.account }
    }

    /// Datagrams so far.
    pub fn datagrams(&self) -> u64 {
        self.sealer.sealed()
    }
}

/// What was pushed has left within this time, with what repairs it, if the link isn't overloaded.
fn leaves_within(blocks: &BlockOptions) -> Duration {
    let times = [blocks.close_after, blocks.spread, blocks.spread, Duration::from_secs(1)];
    times.iter().fold(Duration::ZERO, |sum, time| sum.saturating_add(*time))
}

/// A frame, and what it is of, if that has to go first.
fn push(
    lane: &mut LaneSender,
    noted: &mut Noted,
    now: Duration,
    segment: &Segment,
    number: u64,
    bytes: &[u8],
) -> Result<(), TooLarge> {
    if bytes.len() > MAX_ITEM_BYTES {
        return Err(TooLarge { bytes: bytes.len() });
    }
    lane.work(now);
    let (tag, note) = noted.note(now, segment, lane.begins_block());
    if let Some(note) = note {
        lane.push(now, Item::Note(note))?;
    }
    lane.push(now, Item::Frame { number, tag, bytes })
}

#[cfg(test)]
mod tests;
