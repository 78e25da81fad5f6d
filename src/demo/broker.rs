//! An MQTT 3.1.1 broker inside the demo: rumqttd's router and codec behind a listener of ours.
//!
//! rumqttd 0.20 keeps the messages, the subscriptions, the sessions and the retained messages.
//! Its own listener can't be used; what ours does in its place it does for every client alike.
//! Every row was seen by trial:
//!
//! | rumqttd 0.20 | MQTT 3.1.1 | here |
//! |---|---|---|
//! | hangs up, without CONNACK, on client identifiers with `/`, `+`, `$`, `#` | any UTF-8 string (§3.1.3.1) | escaped for the router |
//! | hangs up on a subscription to `$…` other than `$share` | a legal filter (§4.7.2) | granted; nothing here publishes to `$…` |
//! | never answers an UNSUBSCRIBE of a filter that isn't subscribed, and answers once per filter otherwise | one UNSUBACK, always (§3.10.4) | one UNSUBACK, behind everything that came before |
//! | on a take-over publishes the will of the *new* session | the old one's (§3.1.2.5) | the listener keeps the wills |
//! | keeps the order per subscription only: with one subscription per message type, as Sparkplug clients have them, a DBIRTH overtakes its NBIRTH | allowed (§4.6), but no broker in use does it | the filters of one SUBSCRIBE are one subscription at the router for each first level, and are applied here |
//! | leaves Nagle's algorithm on: up to 50 ms for a message | – | `TCP_NODELAY` |
//! | panics on a topic that begins with a non-ASCII character | legal | the connection is closed |
//! | wants a fixed port | – | a port from the operating system |
//!
//! Not cured: messages are delivered at the subscription's QoS, not at the lower of both.
//!
//! The listener sees every packet, which makes it a witness: it counts what each client sends.
//!
//! | module | what it is |
//! |---|---|
//! | `connection` | one client between its socket and the router |
//! | `shared` | what the connections of one broker share |
//! | `filters` | many filters as few that don't overlap |

mod connection;
mod filters;
mod shared;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use connection::serve;
use rumqttd::local::LinkBuilder;
use rumqttd::{Router, RouterConfig};
use shared::Shared;
use tokio::net::TcpListener;

/// Clients of one broker.
const MAX_CONNECTIONS: usize = 256;
/// The router keeps this much per subscription, for readers that are behind.
const SEGMENT_BYTES: usize = 4 * 1024 * 1024;
const SEGMENTS: usize = 4;
/// Messages per subscription and turn of the router.
const MESSAGES_PER_TURN: u64 = 200;

/// A running broker. Its threads end with the process.
#[derive(Debug)]
pub(super) struct Broker {
    address: SocketAddr,
    witness: Arc<Mutex<BTreeMap<String, Sent>>>,
}

/// What one client, by its identifier, has sent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// CONNECT packets.
    pub(super) connects: u64,
    /// CONNECT packets with a will.
    pub(super) wills: u64,
    pub(super) subscribes: u64,
    pub(super) publishes: u64,
    /// PUBACK packets.
    pub(super) acknowledgements: u64,
    /// Everything else: PINGREQ, UNSUBSCRIBE, DISCONNECT, the handshakes of QoS 2.
    pub(super) others: u64,
}

impl Broker {
    /// Starts a broker on a loopback port chosen by the operating system.
    ///
    /// # Errors
    /// The operating system refuses the port or the thread.
    pub(super) fn start(name: &str) -> io::Result<Broker> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let router = Router::new(
            0,
            RouterConfig {
                max_connections: MAX_CONNECTIONS,
                max_outgoing_packet_count: MESSAGES_PER_TURN,
                max_segment_size: SEGMENT_BYTES,
                max_segment_count: SEGMENTS,
                ..RouterConfig::default()
            },
        )
        .spawn();
        let witness = Arc::default();
        let shared = Arc::new(Shared {
            connect: Box::new(move |client, clean| {
                LinkBuilder::new(client, router.clone()).clean_session(clean).build().ok()
            }),
            sessions: Mutex::default(),
            filters: Mutex::default(),
            witness: Arc::clone(&witness),
        });
        std::thread::Builder::new().name(format!("{name} broker")).spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                // An error is one connection's (ECONNABORTED) or passes (EMFILE).
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => {
                            tokio::spawn(serve(Arc::clone(&shared), stream));
                        }
                        Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                    }
                }
            });
        })?;
        Ok(Broker { address, witness })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What every client has sent so far, by client identifier.
    pub(super) fn witness(&self) -> BTreeMap<String, Sent> {
        self.witness.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests;
