//! The IT side: the MQTT client of the strict host, and somebody who tries to reach the plant.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clock::Clock;
use rumqttc::{AsyncClient, Broker, Event, MqttOptions, Packet, PublishOptions, QoS};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::host::{Arrival, Host};
use super::plant::{FORBIDDEN, Treatment, nodes};

const HOST_CLIENT: &str = "enterprise-host";
const INTRUDER_CLIENT: &str = "intruder";
const MAX_PACKET_BYTES: usize = 4 * 1024 * 1024;
const RECONNECT_AFTER: Duration = Duration::from_millis(200);

/// A message to the IT broker.
#[derive(Clone, Debug)]
pub(super) struct Attack {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) retain: bool,
}

/// Everything on the IT side that isn't the relay.
#[derive(Debug)]
pub(super) struct Enterprise {
    host: Arc<Mutex<Host>>,
    attacks: mpsc::UnboundedSender<Attack>,
}

impl Enterprise {
    /// Connects host and intruder to the broker at `address`, on a thread of their own. Returns
    /// once the host is subscribed.
    ///
    /// # Errors
    /// The operating system refuses the thread, or the broker the host.
    pub(super) fn start(address: SocketAddr, clock: Clock) -> io::Result<Enterprise> {
        let plant = nodes();
        let limited = plant.iter().filter(|node| node.treatment == Treatment::Limited);
        let limited: Vec<&str> = limited.map(|node| node.name).collect();
        let host = Arc::new(Mutex::new(Host::new(&FORBIDDEN, &limited)));
        let (attacks, orders) = mpsc::unbounded_channel();
        let (ready, subscribed) = crossbeam_channel::bounded(1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::clone(&host);
        std::thread::Builder::new().name("enterprise".into()).spawn(move || {
            runtime.block_on(async move {
                tokio::join!(watch(address, clock, &shared, ready), attack(address, orders),);
            });
        })?;
        subscribed
            .recv_timeout(Duration::from_secs(10))
            .map_err(|_| io::Error::other("the host can't subscribe at the IT broker"))?;
        Ok(Enterprise { host, attacks })
    }

    pub(super) fn host(&self) -> MutexGuard<'_, Host> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes something that tries to reach the plant.
    pub(super) fn attack(&self, attack: Attack) {
        // The thread ends with the process.
        let _ = self.attacks.send(attack);
    }
}

/// The host's session.
async fn watch(
    address: SocketAddr,
    clock: Clock,
    host: &Mutex<Host>,
    ready: crossbeam_channel::Sender<()>,
) {
    let (client, mut eventloop) =
        AsyncClient::builder(options(HOST_CLIENT, address)).unbounded().build();
    loop {
        match eventloop.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                let _ = client.try_subscribe("spBv1.0/#", QoS::AtMostOnce);
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => {
                let _ = ready.try_send(());
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let topic = String::from_utf8_lossy(&publish.topic);
                let arrival = Arrival {
                    at: clock.elapsed(),
                    wall_us: clock::wall_us(),
                    topic: &topic,
                    payload: &publish.payload,
                    retain: publish.retain,
                };
                host.lock().unwrap_or_else(PoisonError::into_inner).handle(arrival);
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(RECONNECT_AFTER).await,
        }
    }
}

/// The intruder's session.
async fn attack(address: SocketAddr, mut orders: mpsc::UnboundedReceiver<Attack>) {
    let (client, mut eventloop) =
        AsyncClient::builder(options(INTRUDER_CLIENT, address)).unbounded().build();
    let publish = async move {
        while let Some(Attack { topic, payload, retain }) = orders.recv().await {
            let mut options = PublishOptions::new(QoS::AtLeastOnce);
            if retain {
                options = options.retain(true);
            }
            let _ = client.try_publish(topic, payload, options);
        }
    };
    let drive = async move {
        loop {
            if eventloop.poll().await.is_err() {
                tokio::time::sleep(RECONNECT_AFTER).await;
            }
        }
    };
    tokio::join!(publish, drive);
}

fn options(client_id: &str, address: SocketAddr) -> MqttOptions {
    let mut options =
        MqttOptions::new(client_id, Broker::tcp(address.ip().to_string(), address.port()));
    options.set_clean_session(true);
    options.set_keep_alive(30);
    options.set_max_packet_size(MAX_PACKET_BYTES, MAX_PACKET_BYTES);
    options.set_socket_connector(move |_, _| async move {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    });
    options
}
