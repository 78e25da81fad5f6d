//! The servers of a broker: one, or several of which one is used at a time. Which one is dialled, and when
//! it is another one's turn. Sans-IO: whoever dials says how it went.
//!
//! A server whose session lasted is tried once more before another one is. One that can't be used, or whose
//! sessions end soon, is followed by the next that wasn't tried yet; when all of them were, a round is over
//! and the next begins, behind a pause that is for whoever dials to make.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Addresses, TlsSettings};

/// One server.
#[derive(Debug)]
pub struct Server {
    pub host: String,
    pub port: u16,
    /// What `host` is: as it was found before this process was sealed, or as a file has it since.
    pub addresses: Arc<Addresses>,
    /// `None`: plain TCP, where the operator has said so.
    pub tls: Option<TlsSettings>,
}

impl Server {
    /// `host:port`, as logs have it.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Which one is tried after one that can't be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The first of those that weren't tried yet.
    #[default]
    InOrder,
    /// The one behind it.
    Rotating,
}

/// A stay with one server: what is said of an earlier one concerns nobody any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stay(u64);

/// The server that is used, and since when it is.
#[derive(Clone, Debug)]
pub struct InUse {
    pub server: Arc<Server>,
    pub stay: Stay,
}

/// What follows an attempt that failed.
#[derive(Clone, Debug)]
pub enum Next {
    /// The same server: there is no other, or another one is used already.
    Same,
    /// Another one.
    Other {
        now: Arc<Server>,
        /// All of them were tried: it is the first of another round.
        round_over: bool,
    },
}

/// All servers of a broker.
#[derive(Debug)]
pub struct Servers {
    first: Arc<Server>,
    others: Vec<Arc<Server>>,
    order: Order,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    place: usize,
    stay: u64,
    /// Those that failed in this round.
    tried: Vec<bool>,
}

impl Servers {
    /// A broker that has one.
    pub fn only(server: Server) -> Servers {
        Servers::new(server, Vec::new(), Order::InOrder)
    }

    /// A broker that has several.
    pub fn new(first: Server, others: Vec<Server>, order: Order) -> Servers {
        let others: Vec<_> = others.into_iter().map(Arc::new).collect();
        let tried = vec![false; others.len().saturating_add(1)];
        let state = Mutex::new(State { place: 0, stay: 0, tried });
        Servers { first: Arc::new(first), others, order, state }
    }

    /// This one alone.
    pub fn alone(server: &Arc<Server>) -> Servers {
        let state = Mutex::new(State { place: 0, stay: 0, tried: vec![false] });
        let first = Arc::clone(server);
        Servers { first, others: Vec::new(), order: Order::InOrder, state }
    }

    /// All of them, the first one first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Server>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The one that is preferred to all others.
    pub fn first(&self) -> &Arc<Server> {
        &self.first
    }

    pub fn are_several(&self) -> bool {
        !self.others.is_empty()
    }

    /// The one that is dialled, or has the sessions.
    pub fn in_use(&self) -> InUse {
        let state = self.state();
        InUse { server: Arc::clone(self.at(state.place)), stay: Stay(state.stay) }
    }

    /// Whether it still is this stay.
    pub fn is_current(&self, stay: Stay) -> bool {
        self.state().stay == stay.0
    }

    /// Whether the first one is used.
    pub fn is_first(&self) -> bool {
        self.state().place == 0
    }

    /// A session lasted: whatever ends it, this server is tried once more, and then all others.
    pub fn lasted(&self, stay: Stay) {
        let mut state = self.state();
        if state.stay == stay.0 {
            state.tried.fill(false);
        }
    }

    /// It can't be used, or its sessions end soon: what is tried next.
    pub fn failed(&self, stay: Stay) -> Next {
        let mut state = self.state();
        if state.stay != stay.0 || self.others.is_empty() {
            return Next::Same;
        }
        let place = state.place;
        if let Some(tried) = state.tried.get_mut(place) {
            *tried = true;
        }
        let round_over = state.tried.iter().all(|tried| *tried);
        if round_over {
            state.tried.fill(false);
        }
        let count = state.tried.len();
        let from = match self.order {
            // In a new round too: the first one may be back.
            Order::InOrder => 0,
            Order::Rotating => place.saturating_add(1),
        };
        let places = (from..from.saturating_add(count)).filter_map(|at| at.checked_rem(count));
        // Never the same one again, which has just failed.
        let is_untried = |at: &usize| state.tried.get(*at).is_some_and(|tried| !tried);
        let mut untried = places.filter(|at| *at != place).filter(is_untried);
        let next = untried.next().unwrap_or(0);
        state.go(next);
        Next::Other { now: Arc::clone(self.at(next)), round_over }
    }

    /// The first one is used from now on; whether another one was.
    pub fn return_to_first(&self) -> bool {
        let mut state = self.state();
        let returns = state.place != 0;
        if returns {
            state.tried.fill(false);
            state.go(0);
        }
        returns
    }

    /// Begins with the server at this address, if it is one of them: something is kept there.
    pub fn begin_with(&self, address: &str) {
        let place = self.iter().position(|server| server.address() == address);
        if let Some(place) = place {
            self.state().go(place);
        }
    }

    fn at(&self, place: usize) -> &Arc<Server> {
        place.checked_sub(1).and_then(|place| self.others.get(place)).unwrap_or(&self.first)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is written whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn go(&mut self, place: usize) {
        self.place = place;
        self.stay = self.stay.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests;
