//! What the MQTT client is told of the session, and the stream that it reads.

use std::sync::Arc;

use broker::BrokerSettings;
use rumqttc::{AckMode, Broker, MqttOptions};
use stream::{Framing, Mark};
use tokio::net::TcpStream;

use crate::socket::Socket;

/// Acknowledgements written with one wake-up.
const REQUEST_BATCH: usize = 256;

pub(super) fn options(broker: &BrokerSettings, mark: &Mark) -> MqttOptions {
    let mut options =
        MqttOptions::new(broker.client_id.clone(), Broker::tcp(broker.host.clone(), broker.port));
    options.set_clean_session(false);
    options.set_ack_mode(AckMode::Manual);
    options.set_keep_alive(broker.keep_alive.as_secs().try_into().unwrap_or(u16::MAX));
    let limit = broker.max_packet_bytes;
    options.set_max_packet_size(Framing::client_limit(limit), limit);
    options.set_max_request_batch(REQUEST_BATCH);
    let addresses = broker.addresses.clone();
    // TLS is made here and not by the client: what it reads is watched behind the decryption.
    let tls = broker.tls.as_ref().map(|tls| (Arc::clone(&tls.config), tls.server_name.clone()));
    let mark = mark.clone();
    options.set_socket_connector(move |_, _| {
        let (addresses, tls) = (addresses.clone(), tls.clone());
        let framing = Framing::new(limit, mark.clone());
        async move {
            let stream = TcpStream::connect(&*addresses).await?;
            stream.set_nodelay(true)?;
            stream::open(Socket::new(stream), tls, framing).await
        }
    });
    options
}
