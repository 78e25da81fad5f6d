//! A hostile broker on loopback: it takes one connection, says what it wants to say, and listens
//! until the other side has gone.

use std::net::Ipv4Addr;
use std::time::Duration;

use broker::BrokerSettings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Largest packet that a half takes from it.
pub const MAX_PACKET_BYTES: usize = 4_096;
/// Nothing here takes as long: then something hangs.
pub const HANGS: Duration = Duration::from_secs(20);

/// The other side has said what it has to say.
const SILENCE: Duration = Duration::from_millis(2);

/// A broker that waits for its connection.
#[derive(Debug)]
pub struct Broker(TcpListener);

impl Broker {
    /// Listens on a port of its own.
    pub async fn new() -> Broker {
        Broker(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback"))
    }

    /// How to reach it, by this protocol.
    pub fn settings(&self, protocol: broker::Protocol) -> BrokerSettings {
        let address = self.0.local_addr().expect("an address");
        let server = broker::Server {
            host: "127.0.0.1".into(),
            port: address.port(),
            addresses: std::sync::Arc::new(broker::Addresses::fixed(vec![address])),
            tls: None,
        };
        BrokerSettings {
            servers: std::sync::Arc::new(broker::Servers::only(server)),
            client_id: "relay".into(),
            client_id_form: broker::ClientIdForm::Readable,
            credentials: None,
            keep_alive: Duration::from_secs(60),
            connect_within: Duration::from_secs(30),
            answer_within: Duration::from_secs(30),
            max_packet_bytes: MAX_PACKET_BYTES,
            protocol,
            five: broker::FiveSettings::default(),
            publishes_per_s: None,
            return_after: None,
        }
    }

    /// Answers the first bytes of the other side by `pieces`, each a write of its own, and ends
    /// its own direction. With `listens` it lets the other side speak after each of them. Returns
    /// everything that the other side said.
    pub async fn serve(self, pieces: Vec<Vec<u8>>, listens: bool) -> Vec<u8> {
        let Ok((mut stream, _)) = self.0.accept().await else { return Vec::new() };
        let _ = stream.set_nodelay(true);
        let mut heard = Vec::with_capacity(4_096);
        let _ = stream.read_buf(&mut heard).await;
        for piece in pieces {
            if stream.write_all(&piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
            if listens {
                // Ends with the silence, or with the connection.
                while let Ok(Ok(1..)) =
                    tokio::time::timeout(SILENCE, stream.read_buf(&mut heard)).await
                {
                }
            }
        }
        let _ = stream.shutdown().await;
        // What was on its way when the other side gave up can end in a reset; all before it counts.
        let _ = stream.read_to_end(&mut heard).await;
        heard
    }
}
