//! What the MQTT client is told of the session, and the stream that it reads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use broker::{BrokerSettings, Credentials, InUse, Server, TlsSettings};
use client::{Attempt, Connection, Five, Login, Options, Subscriber, subscriber};
use stream::{Codes, Framing, Mark, Offers, Patience, Silence, Traffic};
use telemetry::event;

use super::MAX_UNANSWERED;
use crate::socket::Socket;

/// Acknowledgements written with one wake-up.
const REQUEST_BATCH: usize = 256;

/// The way to the broker.
#[derive(Debug)]
pub(super) struct Way {
    /// The current connection: with which server, and what went through it.
    current: Mutex<(InUse, Arc<Traffic>)>,
    /// It was told that this attempt has no answer.
    told: AtomicBool,
}

impl Way {
    /// Another connection begins.
    pub(super) fn begin(&self, with: InUse) {
        *self.current() = (with, Arc::default());
        self.told.store(false, Ordering::Relaxed);
    }

    /// With which server it is.
    pub(super) fn in_use(&self) -> InUse {
        self.current().0.clone()
    }

    /// Address of that server, as logs have it.
    pub(super) fn address(&self) -> String {
        self.server().address()
    }

    pub(super) fn server(&self) -> Arc<Server> {
        Arc::clone(&self.current().0.server)
    }

    fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.current().1)
    }

    fn current(&self) -> MutexGuard<'_, (InUse, Arc<Traffic>)> {
        // Each change is written whole.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that came on this connection.
    pub(super) fn heard(&self) -> u64 {
        self.traffic().heard()
    }

    /// What the broker offers and asks for, in MQTT 5.
    pub(super) fn offers(&self) -> Option<Offers> {
        self.traffic().offers().cloned()
    }

    /// The codes of a SUBACK, where MQTT 3.1.1 doesn't have them.
    pub(super) fn take_codes(&self, id: u16) -> Option<Codes> {
        self.traffic().take_codes(id)
    }

    /// Tells of answers that weren't as MQTT has them.
    pub(super) fn tell_odd(&self, broker: &str) {
        let traffic = self.traffic();
        while let Some(odd) = traffic.take_odd() {
            event!(AnswerImpossible, problem = odd.to_string(), broker);
        }
    }

    /// Tells once that `broker` says nothing to this attempt; else when to look again.
    pub(super) fn silence(&self, within: Duration, broker: &str) -> Option<Duration> {
        match self.traffic().silence(within) {
            Silence::In(left) => Some(left),
            Silence::Tell(error) => {
                if !self.told.swap(true, Ordering::Relaxed) {
                    event!(BrokerDown, broker, error);
                }
                None
            }
            Silence::Over => None,
        }
    }

    /// The CONNECT left, and nothing came.
    pub(super) fn is_unheard(&self) -> bool {
        self.was_spoken_to() && self.heard() == 0
    }

    /// The CONNECT left.
    pub(super) fn was_spoken_to(&self) -> bool {
        self.traffic().accepted() > 0
    }
}

/// The client, which has yet to be told what its first connection asks for.
pub(super) fn prepared(broker: &BrokerSettings, mark: &Mark) -> (Subscriber, Connection, Arc<Way>) {
    let limit = broker.max_packet_bytes;
    let protocol = broker.protocol;
    let options = Options {
        protocol,
        max_incoming_bytes: Framing::client_limit(limit),
        max_outgoing_bytes: limit,
        request_batch: REQUEST_BATCH,
        five: Five {
            session_expiry: broker.five.session_expiry,
            receive_maximum: u16::try_from(MAX_UNANSWERED).ok(),
            announces_max_packet: broker.five.announces_max_packet,
            has_topic_aliases: false,
        },
    };
    let attempt = Attempt {
        client_id: broker.client_id.clone(),
        is_clean: false,
        keep_alive: broker.keep_alive,
        login: None,
    };
    let current = Mutex::new((broker.servers.in_use(), Arc::default()));
    let way = Arc::new(Way { current, told: AtomicBool::new(false) });
    // TLS is made here and not by the client: what it reads is watched behind the decryption.
    let patience = Patience { keep_alive: broker.keep_alive, connack: broker.connect_within };
    let (mark, ours) = (mark.clone(), Arc::clone(&way));
    let (client, connection) = subscriber(&options, attempt, move || {
        let (server, traffic) = (ours.server(), ours.traffic());
        let framing = Framing::new(limit, mark.clone()).speaking(protocol);
        async move {
            let (all, tls) =
                (server.addresses.in_turn(), server.tls.as_ref().map(TlsSettings::now));
            let (stream, address) = stream::dial(all, patience.connack, &traffic).await?;
            server.addresses.found(address);
            let opened = stream::open(Socket::new(stream), tls, framing, patience, traffic).await?;
            Ok(opened.with_answers_counted())
        }
    });
    (client, connection, way)
}

/// Who the next connection is to be; where the password can't be read, it is as it was.
pub(super) fn login(credentials: &Credentials) -> Option<Login> {
    let user = credentials.user.clone();
    match credentials.password.as_ref().map(|password| password()) {
        None => Some(Login::User(user)),
        Some(Ok(password)) => Some(Login::Password(user, password)),
        Some(Err(error)) => {
            event!(SecretUnreadable, error);
            None
        }
    }
}
