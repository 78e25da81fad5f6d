//! Client identifiers of the sessions, where the configuration leaves their form to the broker: the
//! readable one first, and the short one for a node whose readable one isn't taken; for all nodes as
//! soon as a short one was taken and no readable one ever was. A session here leaves nothing at the
//! broker, so that its identifier may change. As long as no readable one was taken, none is shown twice to
//! a broker that hangs up on it: rumqttd 0.20 hangs up on the first, and fails for everybody at the second.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use broker::{ClientId, ClientIdForm, ENDED_ATTEMPTS, Refusal};

use crate::mirror::NodeId;

/// An identifier, and its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) id: Arc<str>,
    short: bool,
}

#[derive(Debug)]
pub(super) struct Identities {
    form: ClientIdForm,
    /// Nodes whose readable identifier wasn't taken.
    short: HashSet<NodeId>,
    ended: HashMap<NodeId, u32>,
    /// Attempts that say that readable ones aren't taken; of one that is refused in words all of them.
    evidence: u32,
    readable_taken: bool,
    all_short: bool,
}

impl Identities {
    pub(super) fn new(form: ClientIdForm) -> Identities {
        Identities {
            form,
            short: HashSet::new(),
            ended: HashMap::new(),
            evidence: 0,
            readable_taken: false,
            all_short: false,
        }
    }

    /// The identifier for the next session of a node.
    pub(super) fn choose(&self, node: NodeId, readable: &str) -> Chosen {
        let id = ClientId::new(readable);
        let short = match self.form {
            ClientIdForm::Short => true,
            ClientIdForm::Readable => false,
            ClientIdForm::Auto => self.all_short || self.short.contains(&node),
        };
        Chosen { id: if short { id.short } else { id.readable }, short }
    }

    /// The broker takes the session; true: from now on all identifiers are short.
    pub(super) fn taken(&mut self, node: NodeId, chosen: &Chosen) -> bool {
        self.ended.remove(&node);
        self.readable_taken |= !chosen.short;
        let learnt = self.form == ClientIdForm::Auto
            && chosen.short
            && self.evidence >= ENDED_ATTEMPTS
            && !self.readable_taken
            && !self.all_short;
        self.all_short |= learnt;
        learnt
    }

    /// It doesn't.
    pub(super) fn refused(&mut self, node: NodeId, chosen: &Chosen, refusal: Refusal) {
        if self.form != ClientIdForm::Auto || self.all_short {
            return;
        }
        let counts = match refusal {
            Refusal::Identifier => true,
            Refusal::Ended => {
                let ended = self.ended.entry(node).or_default();
                *ended = ended.saturating_add(1);
                *ended >= ENDED_ATTEMPTS || !self.readable_taken
            }
            Refusal::Other => false,
        };
        if !chosen.short {
            self.evidence = match refusal {
                Refusal::Identifier => ENDED_ATTEMPTS,
                Refusal::Ended => self.evidence.saturating_add(1),
                Refusal::Other => self.evidence,
            };
        }
        if chosen.short {
            self.short.remove(&node);
        } else if counts {
            self.ended.remove(&node);
            self.short.insert(node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);
    const C: NodeId = NodeId(3);

    fn short(identities: &Identities, node: NodeId) -> bool {
        let id = identities.choose(node, "sparkdiode/G/E").id;
        id.len() <= 23 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
    }

    #[test]
    fn a_broker_that_takes_no_readable_identifier_gets_short_ones_from_the_first_that_it_took() {
        let mut identities = Identities::new(ClientIdForm::Auto);
        // Each readable one is shown once.
        for node in [A, B] {
            let chosen = identities.choose(node, "sparkdiode/G/A");
            assert_eq!(&*chosen.id, "sparkdiode/G/A");
            identities.refused(node, &chosen, Refusal::Ended);
            assert!(short(&identities, node) && !short(&identities, C));
        }
        let chosen = identities.choose(A, "sparkdiode/G/A");
        assert!(identities.taken(A, &chosen));
        assert!(short(&identities, C));
        assert!(!identities.taken(A, &chosen), "told once");
    }

    #[test]
    fn one_connection_that_ended_says_little_of_identifiers() {
        let mut identities = Identities::new(ClientIdForm::Auto);
        let chosen = identities.choose(A, "sparkdiode/G/A");
        identities.refused(A, &chosen, Refusal::Ended);
        let chosen = identities.choose(A, "sparkdiode/G/A");
        assert!(chosen.short && !identities.taken(A, &chosen));
        assert!(!short(&identities, B), "the others aren't concerned");
        let readable = identities.choose(B, "sparkdiode/G/B");
        identities.taken(B, &readable);
        // Now it is known that they are taken: one end is one, and two are more.
        for _ in 0..ENDED_ATTEMPTS {
            let chosen = identities.choose(C, "sparkdiode/G/C");
            assert!(!chosen.short);
            identities.refused(C, &chosen, Refusal::Ended);
        }
        let chosen = identities.choose(C, "sparkdiode/G/C");
        assert!(chosen.short && !identities.taken(C, &chosen));
    }

    #[test]
    fn where_other_readable_ones_are_taken_only_the_refused_node_has_a_short_one() {
        let mut identities = Identities::new(ClientIdForm::Auto);
        let good = identities.choose(B, "sparkdiode/G/B");
        identities.taken(B, &good);
        let bad = identities.choose(A, "sparkdiode/G/A");
        identities.refused(A, &bad, Refusal::Identifier);
        let chosen = identities.choose(A, "sparkdiode/G/A");
        assert!(chosen.short);
        assert!(!identities.taken(A, &chosen));
        assert!(!short(&identities, B));
        identities.refused(A, &chosen, Refusal::Other);
        assert!(!short(&identities, A), "it was of no use");
    }

    #[test]
    fn a_form_that_was_asked_for_is_kept() {
        for form in [ClientIdForm::Short, ClientIdForm::Readable] {
            let mut identities = Identities::new(form);
            for _ in 0..5 {
                assert_eq!(short(&identities, A), form == ClientIdForm::Short);
                let chosen = identities.choose(A, "sparkdiode/G/E");
                identities.refused(A, &chosen, Refusal::Identifier);
                assert!(!identities.taken(A, &chosen));
            }
        }
    }
}
