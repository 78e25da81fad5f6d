//! A broker that says nothing while a session is waited for: told long before it is given up, since
//! waiting may well be right (a satellite, a broker that loads its store), and the wrong port waits
//! as well.

use std::time::Duration;

/// Key of the configuration for how long each step of a connection may take.
pub(crate) const CONNECT_KEY: &str = "connect-timeout-s";
/// Silence is told after this. Brokers on slow ways answer within seconds.
const TOLD_AFTER: Duration = Duration::from_secs(6);

/// What a connection waits for, until there is a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// That an address takes the connection.
    Connection,
    /// The end of the TLS handshake.
    Handshake,
    /// The first byte of the CONNACK.
    Connack,
}

/// Whether the silence is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Not before so much time has passed.
    In(Duration),
    /// Now, in these words.
    Tell(String),
    /// There is none, or it will be told as the end of the attempt.
    Over,
}

/// `began`: the handshake had an answer, of whatever kind.
pub(crate) fn silence(
    awaited: Awaited,
    began: bool,
    passed: Duration,
    within: Duration,
) -> Silence {
    if within <= TOLD_AFTER {
        return Silence::Over;
    }
    let left = TOLD_AFTER.saturating_sub(passed);
    if !left.is_zero() {
        return Silence::In(left);
    }
    let (seconds, limit) = (passed.as_secs(), within.as_secs());
    let what = match (awaited, began) {
        (Awaited::Connection, _) => {
            format!("no answer: no address has taken our connection for {seconds} s")
        }
        (Awaited::Handshake, false) => format!(
            "no answer: the port took our connection and has said nothing to our TLS handshake for \
             {seconds} s, as a port does that isn't for TLS"
        ),
        (Awaited::Handshake, true) => {
            format!("no answer in the midst of the TLS handshake, which began {seconds} s ago")
        }
        (Awaited::Connack, _) => format!(
            "no answer: the port took our connection and has said nothing to our CONNECT for \
             {seconds} s, as a slow broker does, and a port that isn't for MQTT"
        ),
    };
    Silence::Tell(format!("{what}; it has {limit} s (`{CONNECT_KEY}`)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    fn at(awaited: Awaited, began: bool, seconds: u64) -> Silence {
        silence(awaited, began, Duration::from_secs(seconds), LIMIT)
    }

    #[test]
    fn silence_is_told_long_before_the_limit_with_what_is_waited_for() {
        assert_eq!(at(Awaited::Handshake, false, 2), Silence::In(Duration::from_secs(4)));
        for (awaited, began, words) in [
            (Awaited::Connection, false, "no address has taken our connection for 6 s"),
            (Awaited::Handshake, false, "nothing to our TLS handshake for 6 s"),
            (Awaited::Handshake, true, "in the midst of the TLS handshake"),
            (Awaited::Connack, false, "nothing to our CONNECT for 6 s"),
        ] {
            let Silence::Tell(text) = at(awaited, began, 6) else { panic!("{awaited:?}") };
            assert!(text.contains(words), "{text}");
            assert!(text.ends_with("it has 30 s (`connect-timeout-s`)"), "{text}");
        }
    }

    #[test]
    fn where_the_limit_comes_first_the_end_is_told_alone() {
        let short = Duration::from_secs(5);
        assert_eq!(silence(Awaited::Connack, false, short, short), Silence::Over);
    }
}
