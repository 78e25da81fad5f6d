//! What is known of an entity's life, and what readers of the journal know of it.
//!
//! ```text
//!             stored birth            data that fits
//!   Unknown ───────────────> Known ──────────────────┐
//!    ^   │                                           v      the policy lets it through
//!    │   └───────────────── birth ──────────────> Alive: Hidden <──────────> Announced
//!    └──────────────────── death ────────────────────┘
//! ```

use policy::Permit;

/// The life of an entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Life {
    /// Dead, or nothing is known. A layout that is still there is that of an earlier session:
    /// no data may be read with it.
    #[default]
    Unknown,
    /// Only while a stored plant is restored: readers hold it for alive, and what it looks like
    /// isn't known. It is buried before anything else happens.
    Orphaned,
    /// A stored birth taught the layout; nothing of the entity was seen alive.
    Known,
    /// Seen alive.
    Alive { standing: Standing, trust: Trust },
}

/// Whether readers of the journal hold a live entity for alive: its birth was journalled, and no
/// death since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Hidden,
    /// Only while a stored plant is restored: an earlier run announced it. The policy in force
    /// gives leave anew, or it is buried.
    Inherited,
    /// By this leave.
    Announced(Permit),
}

/// Whether the values of a live entity are up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    Certain,
    /// After a restart, or an outage with a session that the broker kept: certain again if the
    /// sequence of the node goes on.
    Unverified,
    /// Messages were lost since the values were seen.
    Lost,
}

impl Life {
    /// Of a live entity that readers have yet to hear of.
    pub(crate) const BORN: Life = Life::Alive { standing: Standing::Hidden, trust: Trust::Certain };

    pub(crate) fn is_alive(self) -> bool {
        matches!(self, Life::Alive { .. })
    }

    /// Readers hold it for alive.
    pub(crate) fn is_announced(self) -> bool {
        match self {
            Life::Unknown | Life::Known => false,
            Life::Orphaned => true,
            Life::Alive { standing, .. } => standing != Standing::Hidden,
        }
    }

    /// By which leave readers know it.
    pub(crate) fn permit(self) -> Option<Permit> {
        match self {
            Life::Alive { standing: Standing::Announced(permit), .. } => Some(permit),
            _ => None,
        }
    }

    /// Its values may be out of date.
    pub(crate) fn is_uncertain(self) -> bool {
        matches!(self, Life::Alive { trust: Trust::Unverified | Trust::Lost, .. })
    }

    /// That the sequence goes on would make its values certain.
    pub(crate) fn is_unverified(self) -> bool {
        matches!(self, Life::Alive { trust: Trust::Unverified, .. })
    }

    /// A birth makes the values certain; what readers know of the entity stays.
    pub(crate) fn bear(&mut self) {
        let standing = match *self {
            Life::Alive { standing, .. } => standing,
            Life::Orphaned => Standing::Inherited,
            Life::Unknown | Life::Known => Standing::Hidden,
        };
        *self = Life::Alive { standing, trust: Trust::Certain };
    }

    /// The entity is seen alive without a birth.
    pub(crate) fn revive(&mut self) {
        *self = Life::BORN;
    }

    /// It may be dead: readers are told so, and the next sign of it proves otherwise.
    pub(crate) fn rest(&mut self) {
        if self.is_alive() {
            *self = Life::Known;
        }
    }

    /// Its birth is journalled.
    pub(crate) fn announce(&mut self, permit: Permit) {
        if let Life::Alive { standing, .. } = self {
            *standing = Standing::Announced(permit);
        }
    }

    /// The policy in force gives leave for what readers know already.
    pub(crate) fn renew(&mut self, permit: Permit) {
        if self.is_announced() {
            self.announce(permit);
        }
    }

    /// Readers don't hold it for alive any more; whether they did.
    pub(crate) fn withdraw(&mut self) -> bool {
        let was_announced = self.is_announced();
        match self {
            Life::Alive { standing, .. } => *standing = Standing::Hidden,
            Life::Orphaned => *self = Life::Unknown,
            Life::Unknown | Life::Known => {}
        }
        was_announced
    }

    /// Messages were lost. What waits to be verified goes on waiting.
    pub(crate) fn lose(&mut self) {
        self.change_trust(|trust| if trust == Trust::Certain { Trust::Lost } else { trust });
    }

    /// Messages may have been lost. Where messages were lost before, that the sequence goes on
    /// proves nothing.
    pub(crate) fn doubt(&mut self) {
        self.change_trust(|trust| if trust == Trust::Certain { Trust::Unverified } else { trust });
    }

    /// That the sequence goes on proves nothing any more.
    pub(crate) fn give_up_verifying(&mut self) {
        self.change_trust(|trust| if trust == Trust::Unverified { Trust::Lost } else { trust });
    }

    /// Nothing was lost after all. What was lost otherwise stays so.
    pub(crate) fn verify(&mut self) {
        self.change_trust(|trust| if trust == Trust::Unverified { Trust::Certain } else { trust });
    }

    fn change_trust(&mut self, change: impl Fn(Trust) -> Trust) {
        if let Life::Alive { trust, .. } = self {
            *trust = change(*trust);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INHERITED: Life = Life::Alive { standing: Standing::Inherited, trust: Trust::Certain };

    #[test]
    fn a_birth_keeps_what_readers_know_and_a_death_does_not() {
        let mut life = INHERITED;
        life.lose();
        life.bear();
        assert!(life.is_announced() && !life.is_uncertain());
        let mut life = Life::Orphaned;
        assert!(life.is_announced() && !life.is_alive());
        life.bear();
        assert_eq!(life, INHERITED);
        let mut life = Life::Orphaned;
        assert!(life.withdraw());
        assert_eq!(life, Life::Unknown);
        for mut life in [Life::Unknown, Life::Known] {
            assert!(!life.withdraw());
            life.bear();
            assert_eq!(life, Life::BORN);
        }
    }

    #[test]
    fn an_earlier_run_leaves_no_permit() {
        assert_eq!(INHERITED.permit(), None);
        assert_eq!(Life::Orphaned.permit(), None);
    }

    #[test]
    fn what_was_lost_is_not_verified_by_a_sequence_that_goes_on() {
        let mut life = Life::BORN;
        life.doubt();
        assert!(life.is_unverified() && life.is_uncertain());
        life.give_up_verifying();
        life.doubt();
        assert!(!life.is_unverified() && life.is_uncertain());
        life.verify();
        assert!(life.is_uncertain(), "only a birth makes it certain");
        let mut life = Life::BORN;
        life.doubt();
        life.verify();
        assert_eq!(life, Life::BORN);
        for mut life in [Life::Unknown, Life::Known, Life::Orphaned] {
            let before = life;
            life.lose();
            life.doubt();
            assert_eq!(life, before, "only what is alive has values");
        }
    }
}
