//! What rumqttc is told of a session that the broker has kept: that it is ours, and that nothing of it is
//! underway from our side. Without that it takes no session that it hasn't begun itself.
//!
//! That is so: nothing is ever published in such a session, what wasn't answered is asked for again, and
//! what wasn't acknowledged the broker delivers again.

use std::pin::Pin;

use rumqttc_five::{
    AckMode, MqttOptions, PersistedAckMode, PersistedSession, SessionStore, SessionStoreError,
    SessionStoreKey,
};

const FORMAT: u16 = 1;

type Stored<'a, T> = Pin<Box<dyn Future<Output = Result<T, SessionStoreError>> + Send + 'a>>;

#[derive(Debug)]
pub(super) struct Kept {
    in_flight: Option<u16>,
    ack_mode: PersistedAckMode,
}

impl Kept {
    pub(super) fn of(options: &MqttOptions) -> Kept {
        let ack_mode = match options.ack_mode() {
            AckMode::Manual => PersistedAckMode::Manual,
            _ => PersistedAckMode::Automatic,
        };
        Kept { in_flight: options.get_outgoing_inflight_upper_limit(), ack_mode }
    }
}

impl SessionStore for Kept {
    fn load<'a>(&'a self, key: &'a SessionStoreKey) -> Stored<'a, Option<PersistedSession>> {
        let session = PersistedSession {
            format_version: FORMAT,
            client_id: key.client_id().to_owned(),
            clean_start: false,
            session_expiry_interval: None,
            outgoing_inflight_upper_limit: self.in_flight,
            ack_mode: self.ack_mode,
            last_pkid: 0,
            last_puback: 0,
            replay: Vec::new(),
            incoming_qos2: Vec::new(),
        };
        Box::pin(async { Ok(Some(session)) })
    }

    fn save<'a>(&'a self, _: &'a SessionStoreKey, _: &'a PersistedSession) -> Stored<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn clear<'a>(&'a self, _: &'a SessionStoreKey) -> Stored<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}
