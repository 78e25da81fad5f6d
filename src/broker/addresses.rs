//! Where a broker may be found: addresses that were looked up before the half was sealed, or those of a
//! file that somebody outside of the seal keeps up to date. Other ones are for connections that are made
//! from then on; sessions that stand go on.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tls::Look;

use crate::address_file::{AddressFile, Outside};

/// What isn't mended is said again after this time.
const REPEATS_AFTER: Duration = Duration::from_secs(60 * 60);

/// Where a broker may be found, and which address is tried first.
#[derive(Debug)]
pub struct Addresses {
    file: Option<AddressFile>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    all: Vec<SocketAddr>,
    /// Place of the one that is tried first.
    first: usize,
    /// What was looked at last.
    outside: Option<Outside>,
    trouble: Option<Trouble>,
}

/// What is wrong with the file as it is.
#[derive(Debug)]
struct Trouble {
    error: String,
    told: SystemTime,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressChange {
    /// Connections are made to other addresses from now on.
    Changed { before: Vec<SocketAddr>, now: Vec<SocketAddr> },
    /// What is in the file can't be used; the addresses stay as they were.
    Refused { error: String, hint: Option<String> },
    /// What was refused is mended: the file has the addresses that are in force.
    Mended,
}

impl Addresses {
    /// Those, for ever.
    pub fn fixed(all: Vec<SocketAddr>) -> Addresses {
        let state = State { all, first: 0, outside: None, trouble: None };
        Addresses { file: None, state: Mutex::new(state) }
    }

    /// Those, until `file` has others.
    pub fn kept_in(file: AddressFile, all: Vec<SocketAddr>, outside: Option<Outside>) -> Addresses {
        let state = State { all, first: 0, outside, trouble: None };
        Addresses { file: Some(file), state: Mutex::new(state) }
    }

    /// The file that may have others.
    pub fn file(&self) -> Option<&AddressFile> {
        self.file.as_ref()
    }

    /// Looks whether the file has others now, and takes them up.
    pub fn look(&self, why: Look, now: SystemTime) -> Option<AddressChange> {
        let file = self.file.as_ref()?;
        let mut state = self.state();
        // Before it is read: what is exchanged meanwhile is another one then.
        let outside = file.outside();
        let is_another = outside != state.outside;
        if why == Look::Regular && !is_another && state.trouble.is_none() {
            return None;
        }
        match file.read() {
            Ok(found) => {
                state.outside = outside;
                let was = state.trouble.take();
                match state.replace(found) {
                    None => was.map(|_| AddressChange::Mended),
                    changed => changed,
                }
            }
            // Nobody has looked the name up yet; that is for whoever asks to know.
            Err(error) if error.is_not_found() && why == Look::Regular => {
                state.outside = outside;
                let _ = state.trouble.take();
                None
            }
            Err(error) => {
                state.outside = outside;
                let hint = error.hint();
                let told = state.refuse(error.to_string(), why, now);
                told.map(|error| AddressChange::Refused { error, hint })
            }
        }
    }

    /// Why what is in the file isn't in force.
    pub fn trouble(&self) -> Option<String> {
        self.state().trouble.as_ref().map(|trouble| trouble.error.clone())
    }

    /// The addresses, in the order in which they are tried.
    pub fn in_turn(&self) -> Vec<SocketAddr> {
        let state = self.state();
        let mut all = state.all.clone();
        let first = state.first.checked_rem(all.len()).unwrap_or(0);
        all.rotate_left(first);
        all
    }

    /// There was a connection and no session: another address is tried first the next time.
    pub fn turn(&self) {
        let mut state = self.state();
        state.first = state.first.wrapping_add(1).checked_rem(state.all.len()).unwrap_or(0);
    }

    /// This one answered: it is tried first the next time.
    pub fn found(&self, address: SocketAddr) {
        let mut state = self.state();
        let place = state.all.iter().position(|one| *one == address);
        state.first = place.unwrap_or(0);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is written whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes these; what changed. Servers give addresses in another order each time, which is no change.
    fn replace(&mut self, found: Vec<SocketAddr>) -> Option<AddressChange> {
        if sorted(&found) == sorted(&self.all) {
            return None;
        }
        let current = self.all.get(self.first).copied();
        let before = std::mem::replace(&mut self.all, found.clone());
        // What has answered lately is tried first, if it is still there.
        let place = self.all.iter().position(|one| Some(*one) == current);
        self.first = place.unwrap_or(0);
        Some(AddressChange::Changed { before, now: found })
    }

    /// Remembers what is wrong; `Some`: it is to be told now.
    fn refuse(&mut self, error: String, why: Look, now: SystemTime) -> Option<String> {
        let told = self.trouble.as_ref().filter(|known| known.error == error).map(|one| one.told);
        // A clock that was set back counts as time that has passed.
        let passed = |told: SystemTime| {
            now.duration_since(told).map_or(true, |passed| passed >= REPEATS_AFTER)
        };
        let due = why == Look::Asked || told.is_none_or(passed);
        let told = if due { now } else { told.unwrap_or(now) };
        self.trouble = Some(Trouble { error: error.clone(), told });
        due.then_some(error)
    }
}

fn sorted(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut sorted = addresses.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}

#[cfg(test)]
mod tests;
