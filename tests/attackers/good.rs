//! The good node: says one number after the other, each once, and waits for nobody.

use crate::address::Address;
use crate::clock::now_ms;
use crate::edge::Edge;
use crate::hand::{Hand, Shot};
use crate::metrics::{Type, named, typed};

/// Its group and name.
pub const GROUP: &str = "Plant";
pub const NODE: &str = "Good";
/// The metric that counts.
pub(crate) const COUNT: &str = "count";
/// The metric that has the time of sending, in microseconds since the start.
pub(crate) const SENT_US: &str = "sent";

/// `spBv1.0/Plant/VERB/Good`.
pub(crate) fn topic(verb: &str) -> String {
    format!("spBv1.0/{GROUP}/{verb}/{NODE}")
}

/// The good node, at QoS 1.
#[derive(Debug)]
pub struct Good {
    hand: Hand,
    edge: Edge,
    count: u64,
}

impl Good {
    /// Connects and is born.
    pub fn born(address: &Address) -> Good {
        let mut good = Good {
            hand: Hand::new(address, "the-good-node"),
            edge: Edge::new(GROUP, NODE, 1),
            count: 0,
        };
        good.born_again();
        good
    }

    /// Is born again, where its birth came before anybody listened.
    pub fn born_again(&mut self) {
        let number = |name, value| typed(name, Type::Int64).int(3, now_ms()).int(11, value);
        let birth = self.edge.birth([number(COUNT, self.count), number(SENT_US, 0)]);
        self.fire(birth);
    }

    /// Says the next number, which was due at `sent_us`; returns when the broker has it.
    pub fn say(&mut self, sent_us: u64) -> u64 {
        self.count += 1;
        let number = |name, value| named(name).int(3, now_ms()).int(11, value);
        let data = self.edge.data([number(COUNT, self.count), number(SENT_US, sent_us)]);
        self.fire(data);
        self.count
    }

    /// How many numbers it has said.
    pub fn said(&self) -> u64 {
        self.count
    }

    fn fire(&mut self, shot: Shot) {
        self.hand.fire(vec![shot]);
        assert_eq!(self.hand.refused, 0, "the broker ended the good node's connection");
    }
}
