//! Looks whether the first server of a broker can be reached while another one is used: a connection and a
//! TLS handshake, and not a byte of MQTT, so that nobody takes it for a session.

use std::sync::Arc;
use std::time::Duration;

use broker::{Returning, Server, Servers, TlsSettings};
use tokio::time::sleep;

use crate::{Framing, Mark, Patience, Traffic, dial, open};

/// Nothing is read.
const NOTHING: usize = 1024;

/// Watches it for ever, and calls `ask` when it is to be used again.
pub async fn watch_first(servers: Arc<Servers>, after: Duration, within: Duration, ask: impl Fn()) {
    let mut returning = Returning::new(after);
    let begun = clock::steady();
    let now = || clock::steady().saturating_duration_since(begun);
    loop {
        sleep(returning.pause()).await;
        if returning.look(now(), servers.is_first()) {
            let is_reachable = reach(servers.first(), within).await;
            // Another one may be used by now.
            if returning.tried(now(), is_reachable) && !servers.is_first() {
                ask();
            }
        }
    }
}

async fn reach(server: &Server, within: Duration) -> bool {
    let traffic = Arc::new(Traffic::default());
    let Ok((stream, _)) = dial(server.addresses.in_turn(), within, &traffic).await else {
        return false;
    };
    let tls = server.tls.as_ref().map(TlsSettings::now);
    let framing = Framing::new(NOTHING, Mark::new());
    let patience = Patience { keep_alive: within, connack: within };
    open(stream, tls, framing, patience, traffic).await.is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use broker::Addresses;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_server_that_is_there_hears_nothing_and_one_that_is_not_is_not_reachable() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let addresses = Arc::new(Addresses::fixed(vec![address]));
        let server = Server { host: "b".to_owned(), port: address.port(), addresses, tls: None };
        let within = Duration::from_secs(10);
        assert!(reach(&server, within).await);
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        assert!(heard.is_empty());
        drop((stream, listener));
        assert!(!reach(&server, within).await);
    }
}
