//! Subscriptions that the relay can do without: what a broker has stored of births, and what hosts of
//! the plant say of themselves. A broker that refuses one, or ends the connection at it, is served
//! without it.

use sparkplug::{CERTIFICATES_PREFIX, STATE_FILTERS};

/// So many connections in a row that ended at the request, and it isn't made any more: one may be
/// chance.
const ENDS: u32 = 2;

/// One of them, in the order in which they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Extra {
    StoredBirths,
    HostStates,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    #[default]
    Unwanted,
    Wanted,
    Granted,
    /// Told once; asked for again like filters.
    Refused,
    /// The broker ends the connection at it.
    GivenUp,
}

#[derive(Debug)]
struct Request {
    extra: Extra,
    standing: Standing,
    is_due: bool,
    /// Connections in a row that ended at it.
    ends: u32,
}

#[derive(Debug)]
pub(super) struct Extras([Request; 2]);

impl Extra {
    pub(super) fn filters(self) -> Vec<String> {
        match self {
            Extra::StoredBirths => vec![format!("{CERTIFICATES_PREFIX}#")],
            Extra::HostStates => STATE_FILTERS.map(str::to_owned).to_vec(),
        }
    }
}

/// The stored births alone.
impl Default for Extras {
    fn default() -> Extras {
        let request = |extra, standing| Request { extra, standing, is_due: false, ends: 0 };
        Extras([
            request(Extra::StoredBirths, Standing::Wanted),
            request(Extra::HostStates, Standing::Unwanted),
        ])
    }
}

impl Extras {
    pub(super) fn want(&mut self, extra: Extra) {
        self.of(extra, |request| request.standing = Standing::Wanted);
    }

    /// There is a connection.
    pub(super) fn connected(&mut self) {
        for request in &mut self.0 {
            request.is_due = matches!(request.standing, Standing::Wanted | Standing::Granted);
        }
    }

    pub(super) fn ask_refused_again(&mut self) {
        for request in &mut self.0 {
            request.is_due |= request.standing == Standing::Refused;
        }
    }

    /// The next one to ask for.
    pub(super) fn next(&mut self) -> Option<Extra> {
        let next = self.0.iter_mut().find(|request| request.is_due)?;
        next.is_due = false;
        Some(next.extra)
    }

    /// The broker answers for each filter; true: all of them are refused, and weren't before.
    pub(super) fn answered(&mut self, extra: Extra, granted: bool) -> bool {
        self.of(extra, |request| {
            let standing = if granted { Standing::Granted } else { Standing::Refused };
            request.ends = 0;
            std::mem::replace(&mut request.standing, standing) != standing && !granted
        })
    }

    /// The connection ended at it: how often in a row, and whether it isn't asked for any more.
    pub(super) fn ended(&mut self, extra: Extra) -> (u32, bool) {
        self.of(extra, |request| {
            request.ends = request.ends.saturating_add(1);
            let given_up = request.ends >= ENDS;
            if given_up {
                request.standing = Standing::GivenUp;
            }
            (request.ends, given_up)
        })
    }

    pub(super) fn any(&self, standing: Standing) -> bool {
        self.0.iter().any(|request| request.standing == standing)
    }

    fn of<T>(&mut self, extra: Extra, change: impl FnOnce(&mut Request) -> T) -> T {
        let [births, states] = &mut self.0;
        change(match extra {
            Extra::StoredBirths => births,
            Extra::HostStates => states,
        })
    }
}
