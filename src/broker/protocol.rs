//! Which MQTT is spoken with a broker.

/// `protocol`: which MQTT is spoken with a broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// MQTT 3.1.1, which every broker speaks.
    #[default]
    Three,
    /// MQTT 5.
    Five,
}

impl Protocol {
    /// As the configuration has it.
    pub const fn key(self) -> &'static str {
        match self {
            Protocol::Three => "3.1.1",
            Protocol::Five => "5",
        }
    }

    /// The other one.
    pub const fn other(self) -> Protocol {
        match self {
            Protocol::Three => Protocol::Five,
            Protocol::Five => Protocol::Three,
        }
    }

    /// The protocol level of a CONNECT (MQTT 3.1.1 §3.1.2.2, MQTT 5 §3.1.2.2).
    pub const fn level(self) -> u8 {
        match self {
            Protocol::Three => 4,
            Protocol::Five => 5,
        }
    }
}

/// `MQTT 5`.
impl std::fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "MQTT {}", self.key())
    }
}
