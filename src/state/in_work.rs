//! What a half is working on, written where its next start finds it: whoever was ended twice while it
//! worked on one and the same thing leaves that aside the third time.
//!
//! The mark is written before the work, by a call of the system and without waiting for the disk:
//! it has to outlive the process, by whatever this is ended (`SIGKILL`, a watchdog, want of memory),
//! and not the power. It names a few small pieces at once, so that many of them cost little, and a
//! large one alone. Without work it is empty: who is killed while nothing is done, or is asked to
//! stop, accuses nobody.
//!
//! What a half was ended with is *accused* by its next start, and from then on done alone. When it is
//! done, it is cleared. If the half is ended with it alone in work, it is set aside from the next
//! start on. So nothing is set aside that wasn't in work at two ends, at the second one alone. A kill
//! that isn't its fault has to meet the same few pieces twice, for the time that they take, which is
//! some twenty microseconds: of two kills at random moments within a second it is one pair in 5,000
//! where the half was at work all the time.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 8 | magic |
//! | 8 | 8 | key: a random number |
//! | 64 | 4 | CRC-32C of the rest of the mark, little endian, as all numbers |
//! | 68 | 4 | pieces in work, at most [`TOGETHER`] |
//! | 72 | 16 each | their names |
//! | 256 | 4 | CRC-32C of the rest of the list |
//! | 260 | 4 | accused pieces, at most [`MAX_ACCUSED`] |
//! | 264 | 17 each | name, and with how many of its ends |

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::{StateDir, StateError, os, writable};

const NAME: &str = "in-work.state";
const MAGIC: [u8; 8] = *b"SPKDWRK1";
const MARK_AT: usize = 64;
const LIST_AT: usize = 256;
/// Ends that set a piece of work aside.
const ENDS: u8 = 2;
/// Small pieces that one mark names at most …
pub const TOGETHER: usize = 8;
/// … and their bytes: a mark costs as much as a small message, or as a third of one of 100 metrics. What
/// is larger is marked alone: nothing else can be mistaken for it.
const TOGETHER_BYTES: usize = 16 * 1024;
/// Pieces that are remembered as accused or set aside; of more the oldest are forgotten, and what is
/// accused gives way first.
const MAX_ACCUSED: usize = 128;
const FILE_BYTES: u64 = 4 * 1024;

/// Names a piece of work: the same whenever it comes again, and nothing else has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkId(pub u64, pub u64);

/// What to do with a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Leave {
    /// It is marked: work.
    Work,
    /// The half was ended by it twice: leave it out.
    SetAside,
}

/// The mark of this half.
#[derive(Debug)]
pub struct InWork {
    directory: PathBuf,
    file: File,
    key: u64,
    accused: Vec<(WorkId, u8)>,
    /// What the mark names.
    doing: Vec<WorkId>,
    /// Bytes of what was begun of it.
    bytes: usize,
    /// The disk refused the last mark, so the file says less than it should, and accuses nobody.
    trouble: Option<io::Error>,
}

impl StateDir {
    /// Reads what the last run was ended with, and accuses it.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn in_work(&self) -> Result<InWork, StateError> {
        let path = self.path().join(NAME);
        let opened = writable().truncate(false).read(true).open(&path);
        let file = opened.map_err(os("open", &path))?;
        let mut bytes = Vec::new();
        (&file).take(FILE_BYTES).read_to_end(&mut bytes).map_err(os("read", &path))?;
        let (key, mut accused, doing) = read(&bytes).unwrap_or_default();
        let key = if key == 0 { RandomState::new().hash_one(NAME) | 1 } else { key };
        for id in doing {
            accuse(&mut accused, id);
        }
        let in_work = InWork {
            directory: self.path().to_owned(),
            file,
            key,
            accused,
            doing: Vec::new(),
            bytes: 0,
            trouble: None,
        };
        in_work.write_all().map_err(os("write", &path))?;
        in_work.file.sync_all().map_err(os("sync", &path))?;
        Ok(in_work)
    }
}

impl InWork {
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A number that nobody else knows and that stays the same, for names made of what others sent.
    pub fn key(&self) -> u64 {
        self.key
    }

    /// Marks a piece of so many bytes that is begun now; `ahead` may follow it, and is named with it
    /// if both are small. What was begun before is done.
    pub fn begin(
        &mut self,
        id: WorkId,
        bytes: usize,
        ahead: impl Iterator<Item = WorkId>,
    ) -> Leave {
        let ends = self.ends(id);
        if ends >= ENDS {
            self.end();
            return Leave::SetAside;
        }
        let together = self.bytes.saturating_add(bytes);
        if ends == 0 && together <= TOGETHER_BYTES && self.doing.contains(&id) {
            self.bytes = together;
            return Leave::Work;
        }
        self.clear_done();
        self.doing.push(id);
        if ends == 0 && bytes <= TOGETHER_BYTES {
            let small = ahead.take(TOGETHER.saturating_sub(1));
            let free = small.take_while(|next| self.accused.iter().all(|(id, _)| id != next));
            self.doing.extend(free);
        }
        self.bytes = bytes;
        self.write_mark();
        Leave::Work
    }

    /// Whether the half was ended by it twice, so that it is to be left out.
    pub fn is_set_aside(&self, id: WorkId) -> bool {
        self.ends(id) >= ENDS
    }

    /// Whether anything is set aside.
    pub fn has_set_aside(&self) -> bool {
        self.accused.iter().any(|(_, ends)| *ends >= ENDS)
    }

    /// Leaves something out from now on, over restarts, until it is [cleared](InWork::clear): what came
    /// of what was set aside.
    pub fn bar(&mut self, id: WorkId) {
        if self.is_set_aside(id) {
            return;
        }
        for _ in 0..ENDS {
            accuse(&mut self.accused, id);
        }
        let list = list(&self.accused);
        self.put(&list, LIST_AT);
    }

    /// It is another one now, and may be worked on.
    pub fn clear(&mut self, id: WorkId) {
        let before = self.accused.len();
        self.accused.retain(|(accused, _)| *accused != id);
        if self.accused.len() < before {
            let list = list(&self.accused);
            self.put(&list, LIST_AT);
        }
    }

    /// Nothing is in work any more.
    pub fn end(&mut self) {
        if !self.doing.is_empty() {
            self.clear_done();
            self.write_mark();
        }
    }

    /// Why the last mark couldn't be written, once: until one can be, nobody is accused.
    pub fn take_trouble(&mut self) -> Option<io::Error> {
        self.trouble.take()
    }

    fn ends(&self, id: WorkId) -> u8 {
        self.accused.iter().find(|(accused, _)| *accused == id).map_or(0, |(_, ends)| *ends)
    }

    /// What the mark names is done, and so innocent.
    fn clear_done(&mut self) {
        self.bytes = 0;
        let before = self.accused.len();
        if before > 0 {
            let doing = &self.doing;
            self.accused.retain(|(id, ends)| *ends >= ENDS || !doing.contains(id));
        }
        self.doing.clear();
        if self.accused.len() < before {
            let list = list(&self.accused);
            self.put(&list, LIST_AT);
        }
    }

    fn write_mark(&mut self) {
        let mark = mark(&self.doing);
        self.put(&mark, MARK_AT);
    }

    fn put(&mut self, bytes: &[u8], at: usize) {
        if let Err(error) = self.write_at(bytes, at) {
            self.trouble = Some(error);
        }
    }

    fn write_all(&self) -> io::Result<()> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.key.to_le_bytes());
        bytes.resize(MARK_AT, 0);
        bytes.extend(mark(&[]));
        bytes.resize(LIST_AT, 0);
        bytes.extend(list(&self.accused));
        self.write_at(&bytes, 0)
    }

    /// Two calls that either seal has anyway, not `pwrite`, which the IT half's doesn't have.
    fn write_at(&self, bytes: &[u8], at: usize) -> io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(u64::try_from(at).unwrap_or(u64::MAX)))?;
        file.write_all(bytes)
    }
}

/// One more end of the half with this in work.
fn accuse(accused: &mut Vec<(WorkId, u8)>, id: WorkId) {
    if let Some((_, ends)) = accused.iter_mut().find(|(accused, _)| *accused == id) {
        *ends = ends.saturating_add(1);
        return;
    }
    if accused.len() >= MAX_ACCUSED {
        let place = accused.iter().position(|(_, ends)| *ends < ENDS).unwrap_or(0);
        accused.remove(place);
    }
    accused.push((id, 1));
}

fn mark(doing: &[WorkId]) -> Vec<u8> {
    checked(doing.iter().map(|WorkId(first, second)| {
        let both = u128::from(*second) << u64::BITS | u128::from(*first);
        both.to_le_bytes()
    }))
}

fn list(accused: &[(WorkId, u8)]) -> Vec<u8> {
    checked(accused.iter().map(|(WorkId(first, second), ends)| {
        let mut entry = [*first, *second].map(u64::to_le_bytes).concat();
        entry.push(*ends);
        entry
    }))
}

/// Checksum, number and entries.
fn checked<Entry: AsRef<[u8]>>(entries: impl ExactSizeIterator<Item = Entry>) -> Vec<u8> {
    let number = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    // Written for each few messages: in one piece of memory.
    let mut bytes = Vec::with_capacity(const { LIST_AT - MARK_AT });
    bytes.extend([0; 4]);
    bytes.extend(number.to_le_bytes());
    entries.for_each(|entry| bytes.extend(entry.as_ref()));
    if let Some((checksum, rest)) = bytes.split_first_chunk_mut::<4>() {
        *checksum = crc32c::crc32c(rest).to_le_bytes();
    }
    bytes
}

type Found = (u64, Vec<(WorkId, u8)>, Vec<WorkId>);

/// Key, accused and what was in work; of a damaged part nothing.
fn read(bytes: &[u8]) -> Option<Found> {
    let key = bytes.strip_prefix(&MAGIC)?.first_chunk::<8>()?;
    let doing = entries(bytes.get(MARK_AT..LIST_AT)?, 16, TOGETHER).unwrap_or_default();
    let doing = doing.into_iter().filter_map(id).collect();
    let accused = entries(bytes.get(LIST_AT..)?, 17, MAX_ACCUSED).unwrap_or_default();
    let accused = accused.into_iter().filter_map(|entry| {
        let (ends, name) = entry.split_last()?;
        Some((id(name)?, *ends))
    });
    Some((u64::from_le_bytes(*key), accused.collect(), doing))
}

fn entries(bytes: &[u8], size: usize, most: usize) -> Option<Vec<&[u8]>> {
    let (checksum, rest) = bytes.split_first_chunk::<4>()?;
    let number = usize::try_from(u32::from_le_bytes(*rest.first_chunk::<4>()?)).ok()?;
    let whole = rest.get(..number.min(most).checked_mul(size)?.checked_add(4)?)?;
    let intact = number <= most && crc32c::crc32c(whole) == u32::from_le_bytes(*checksum);
    intact.then(|| whole.get(4..).unwrap_or_default().chunks_exact(size).collect())
}

fn id(bytes: &[u8]) -> Option<WorkId> {
    let (first, rest) = bytes.split_first_chunk::<8>()?;
    Some(WorkId(u64::from_le_bytes(*first), u64::from_le_bytes(*rest.first_chunk::<8>()?)))
}

#[cfg(test)]
mod tests;
