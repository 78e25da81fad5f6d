//! Client identifier of the session with the OT broker, where the configuration leaves its form to the
//! broker. The identifier names the session that the broker keeps, with what it holds for us: it is
//! changed only after a proof that the readable one isn't taken, and that it is the identifier that
//! is refused. Sans-IO.

use std::sync::Arc;

use broker::{ClientId, ClientIdForm, ENDED_ATTEMPTS, Refusal};

/// Which identifier the next attempt has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The readable one; nothing is known.
    First,
    /// The short one, only to learn whether it is taken.
    Probe,
    /// It was: the readable one again.
    Proof,
    /// Known for as long as the process runs.
    Settled { short: bool },
}

#[derive(Debug)]
pub(super) struct Identity {
    id: ClientId,
    stage: Stage,
    ended: u32,
}

impl Identity {
    pub(super) fn new(readable: &str, form: ClientIdForm) -> Identity {
        let id = ClientId::new(readable);
        let stage = match form {
            ClientIdForm::Short => Stage::Settled { short: true },
            ClientIdForm::Auto if id.has_two_forms() => Stage::First,
            ClientIdForm::Auto | ClientIdForm::Readable => Stage::Settled { short: false },
        };
        Identity { id, stage, ended: 0 }
    }

    /// The identifier of the next attempt.
    pub(super) fn current(&self) -> &Arc<str> {
        match self.stage {
            Stage::Probe | Stage::Settled { short: true } => &self.id.short,
            Stage::First | Stage::Proof | Stage::Settled { short: false } => &self.id.readable,
        }
    }

    /// The next attempt only wants to know: its session leaves nothing at the broker.
    pub(super) fn is_probe(&self) -> bool {
        self.stage == Stage::Probe
    }

    /// The next attempt is to be with the same server as the last: what that one said decides.
    pub(super) fn is_deciding(&self) -> bool {
        matches!(self.stage, Stage::Probe | Stage::Proof)
    }

    /// The broker takes the session.
    pub(super) fn taken(&mut self) {
        self.ended = 0;
        self.stage = match self.stage {
            Stage::Probe => Stage::Proof,
            Stage::First | Stage::Proof => Stage::Settled { short: false },
            settled @ Stage::Settled { .. } => settled,
        };
    }

    /// It doesn't; true: from now on the identifier is the short one.
    pub(super) fn refused(&mut self, refusal: Refusal) -> bool {
        self.stage = match (self.stage, refusal) {
            (Stage::First, Refusal::Identifier) => Stage::Probe,
            (Stage::First, Refusal::Ended) => {
                self.ended = self.ended.saturating_add(1);
                if self.ended >= ENDED_ATTEMPTS { Stage::Probe } else { Stage::First }
            }
            (Stage::Proof, Refusal::Identifier | Refusal::Ended) => {
                self.stage = Stage::Settled { short: true };
                return true;
            }
            (Stage::Probe, _) => Stage::First,
            (stage, _) => stage,
        };
        if self.stage != Stage::First {
            self.ended = 0;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "sparkdiode-ot-plant-a-relay";

    fn auto() -> Identity {
        Identity::new(LONG, ClientIdForm::Auto)
    }

    #[test]
    fn a_form_that_was_asked_for_is_kept() {
        let mut short = Identity::new(LONG, ClientIdForm::Short);
        let mut readable = Identity::new(LONG, ClientIdForm::Readable);
        for _ in 0..5 {
            assert_eq!(short.current().len(), 23);
            assert_eq!(&**readable.current(), LONG);
            assert!(!short.refused(Refusal::Identifier));
            assert!(!readable.refused(Refusal::Identifier));
        }
    }

    #[test]
    fn a_broker_that_takes_the_readable_one_keeps_its_session_whatever_comes_later() {
        let mut identity = auto();
        identity.refused(Refusal::Other);
        identity.refused(Refusal::Ended);
        identity.taken();
        for _ in 0..10 {
            identity.refused(Refusal::Ended);
            identity.refused(Refusal::Identifier);
            assert_eq!(&**identity.current(), LONG);
            assert!(!identity.is_probe());
        }
    }

    #[test]
    fn the_short_one_is_taken_up_only_where_it_is_taken_and_the_readable_one_is_not() {
        let mut identity = auto();
        assert!(!identity.refused(Refusal::Identifier));
        assert!(identity.is_probe());
        let short = Arc::clone(identity.current());
        identity.taken();
        assert!(!identity.is_probe());
        assert_eq!(&**identity.current(), LONG);
        assert!(!identity.refused(Refusal::Other), "the network");
        assert_eq!(&**identity.current(), LONG);
        assert!(identity.refused(Refusal::Ended));
        assert_eq!(*identity.current(), short);
        assert!(!identity.is_probe());
        assert!(!identity.refused(Refusal::Ended), "for as long as the process runs");
        assert_eq!(*identity.current(), short);
    }

    #[test]
    fn a_broker_that_is_just_starting_does_not_cost_its_session() {
        let mut identity = auto();
        // It ends every connection, whatever its identifier.
        for _ in 0..10 {
            identity.refused(Refusal::Ended);
        }
        while !identity.is_probe() {
            identity.refused(Refusal::Ended);
        }
        // And then it is there.
        identity.taken();
        assert_eq!(&**identity.current(), LONG);
        identity.taken();
        assert!(!identity.refused(Refusal::Ended));
        assert_eq!(&**identity.current(), LONG);
    }
}
