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
//! | keeps the order per subscription only: with one subscription per message type, as Sparkplug clients have them, a DBIRTH overtakes its NBIRTH | allowed (§4.6), but no broker in use does it | the filters of one SUBSCRIBE are one subscription at the router, and are applied here |
//! | leaves Nagle's algorithm on: up to 50 ms for a message | – | `TCP_NODELAY` |
//! | panics on a topic that begins with a non-ASCII character | legal | the connection is closed |
//! | wants a fixed port | – | a port from the operating system |
//!
//! Not cured: messages are delivered at the subscription's QoS, not at the lower of both.
//!
//! The listener sees every packet, which makes it a witness: it counts what each client sends.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use rumqttd::local::{LinkBuilder, LinkError, LinkRx, LinkTx};
use rumqttd::protocol::v4::V4;
use rumqttd::protocol::{
    ConnAck, ConnectReturnCode, Disconnect, DisconnectReasonCode, Error as CodecError, LastWill,
    Packet, PingReq, PingResp, Protocol, PubAck, PubAckReason, Publish, SubAck,
    SubscribeReasonCode, UnsubAck, matches,
};
use rumqttd::{Notification, Router, RouterConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

/// Largest packet: a birth of the demo has some 30 kB.
const MAX_PACKET_BYTES: usize = 4 * 1024 * 1024;
/// Clients of one broker.
const MAX_CONNECTIONS: usize = 256;
/// The router keeps this much per subscription, for readers that are behind.
const SEGMENT_BYTES: usize = 4 * 1024 * 1024;
const SEGMENTS: usize = 4;
/// Messages per subscription and turn of the router.
const MESSAGES_PER_TURN: u64 = 200;
/// How long a client may take to send its CONNECT.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

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
        let front = Arc::new(Front {
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
                            tokio::spawn(serve(Arc::clone(&front), stream));
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

type Link = (LinkTx, LinkRx, Notification);

/// Connects a client (escaped identifier, clean session) to the router.
type Connect = dyn Fn(&str, bool) -> Option<Link> + Send + Sync;

/// What all connections of one broker share.
struct Front {
    connect: Box<Connect>,
    /// Live connections by client identifier.
    sessions: Mutex<HashMap<String, Live>>,
    /// Filters of persistent sessions, connected or not.
    filters: Mutex<HashMap<String, Vec<String>>>,
    witness: Arc<Mutex<BTreeMap<String, Sent>>>,
}

/// The way to end a connection that another one takes over.
struct Live {
    end: oneshot::Sender<()>,
    /// Closed once the old session has published its will and left the router.
    ended: oneshot::Receiver<()>,
}

/// Why a connection ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// DISCONNECT: the will is discarded (§3.14.4).
    Goodbye,
    /// Everything else: the will is published (§3.1.2.5).
    Broken,
}

/// What a PINGREQ to the router stands for; it answers them in order, behind what it was given
/// before.
enum Ping {
    Client,
    Unsubscribe(u16),
    /// A SUBSCRIBE with nothing in it for the router.
    Subscribe(u16, Vec<SubscribeReasonCode>),
}

async fn serve(front: Arc<Front>, mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut incoming = BytesMut::new();
    let first = timeout(CONNECT_WITHIN, read_packet(&mut stream, &mut incoming)).await;
    let Ok(Some(Packet::Connect(connect, _, will, _, _))) = first else { return };
    front.count(&connect.client_id, |sent| {
        sent.connects = sent.connects.saturating_add(1);
        sent.wills = sent.wills.saturating_add(will.is_some().into());
    });
    let (end, mut taken_over) = oneshot::channel();
    let (_has_ended, ended) = oneshot::channel::<()>();
    let earlier = front.lock_sessions().insert(connect.client_id.clone(), Live { end, ended });
    if let Some(earlier) = earlier {
        // Whether it was still there or not: once its end is through, this one may begin.
        let _ = earlier.end.send(());
        let _ = earlier.ended.await;
    }
    let Some((to_router, from_router, welcome)) =
        (front.connect)(&escape(&connect.client_id), connect.clean_session)
    else {
        return;
    };
    let filters = if connect.clean_session { None } else { front.filters(&connect.client_id) };
    let mut connection = Connection {
        front: &front,
        client_id: &connect.client_id,
        to_router,
        pings: VecDeque::new(),
        filters: filters.unwrap_or_default(),
        granted: HashMap::new(),
        unacknowledged: VecDeque::new(),
        outgoing: BytesMut::new(),
    };
    let welcome = connection.pass_on(welcome) && connection.flush(&mut stream).await;
    let mut end = End::Broken;
    if welcome {
        let alive = keep_alive(connect.keep_alive);
        tokio::select! {
            why = connection.run(&mut stream, &mut incoming, from_router, alive) => end = why,
            _ = &mut taken_over => {}
        }
    }
    let filters = std::mem::take(&mut connection.filters);
    front.keep_filters(&connect.client_id, filters, connect.clean_session);
    connection.leave(will.filter(|_| end == End::Broken)).await;
}

impl Front {
    fn lock_sessions(&self) -> std::sync::MutexGuard<'_, HashMap<String, Live>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn filters(&self, client_id: &str) -> Option<Vec<String>> {
        let filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        filters.get(client_id).cloned()
    }

    fn keep_filters(&self, client_id: &str, kept: Vec<String>, clean: bool) {
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        if clean {
            filters.remove(client_id);
        } else {
            filters.insert(client_id.to_owned(), kept);
        }
    }

    fn count(&self, client_id: &str, add: impl FnOnce(&mut Sent)) {
        let mut witness = self.witness.lock().unwrap_or_else(PoisonError::into_inner);
        match witness.get_mut(client_id) {
            Some(sent) => add(sent),
            None => add(witness.entry(client_id.to_owned()).or_default()),
        }
    }
}

/// One client.
struct Connection<'a> {
    front: &'a Front,
    client_id: &'a str,
    to_router: LinkTx,
    pings: VecDeque<Ping>,
    /// What the client has subscribed to.
    filters: Vec<String>,
    /// Codes of the SUBACKs that the router still owes, by packet identifier.
    granted: HashMap<u16, Vec<SubscribeReasonCode>>,
    /// Messages of QoS 1 that the router wants acknowledged, in order, and whether that is up
    /// to us, since the client doesn't get them.
    unacknowledged: VecDeque<(u16, bool)>,
    outgoing: BytesMut,
}

impl Connection<'_> {
    async fn run(
        &mut self,
        stream: &mut TcpStream,
        incoming: &mut BytesMut,
        mut from_router: LinkRx,
        alive: Option<Duration>,
    ) -> End {
        let mut deadline = alive_until(alive);
        loop {
            // What came with the last read, before anything is waited for.
            loop {
                match V4.read_mut(incoming, MAX_PACKET_BYTES) {
                    Ok(packet) => match self.take_packet(packet).await {
                        Ok(None) => {}
                        Ok(Some(end)) => return end,
                        Err(_) => return End::Broken,
                    },
                    Err(CodecError::InsufficientBytes(_)) => break,
                    Err(_) => return End::Broken,
                }
            }
            tokio::select! {
                read = stream.read_buf(incoming) => match read {
                    Ok(0) | Err(_) => return End::Broken,
                    Ok(_) => deadline = alive_until(alive),
                },
                notification = from_router.next() => {
                    if !self.take(notification, &from_router) { return End::Broken }
                    // The rest of the batch: one write for all of it.
                    loop {
                        tokio::select! {
                            biased;
                            more = from_router.next() => {
                                if !self.take(more, &from_router) { return End::Broken }
                            }
                            () = std::future::ready(()) => break,
                        }
                        if self.outgoing.len() > MAX_PACKET_BYTES { break }
                    }
                    if self.acknowledge_unwanted().await.is_err() { return End::Broken }
                    if !self.flush(stream).await { return End::Broken }
                }
                () = sleep_until(deadline) => return End::Broken,
            }
        }
    }

    /// Takes a packet of the client; `Some` ends the connection.
    async fn take_packet(&mut self, packet: Packet) -> Result<Option<End>, LinkError> {
        self.front.count(self.client_id, |sent| {
            let count = match packet {
                Packet::Publish(..) => &mut sent.publishes,
                Packet::Subscribe(..) => &mut sent.subscribes,
                Packet::PubAck(..) => &mut sent.acknowledgements,
                _ => &mut sent.others,
            };
            *count = count.saturating_add(1);
        });
        match packet {
            Packet::Disconnect(..) => return Ok(Some(End::Goodbye)),
            Packet::PingReq(_) => self.ping(Ping::Client).await?,
            Packet::Unsubscribe(unsubscribe, _) => {
                let gone = &unsubscribe.filters;
                self.filters.retain(|filter| !gone.contains(filter));
                self.ping(Ping::Unsubscribe(unsubscribe.pkid)).await?;
            }
            Packet::Subscribe(mut subscribe, _) => {
                let packet_id = subscribe.pkid;
                let granted = subscribe.filters.iter();
                let granted = granted.map(|filter| SubscribeReasonCode::Success(filter.qos));
                let granted = granted.collect();
                subscribe.filters.retain(|filter| !filter.path.starts_with('$'));
                let wanted: Vec<String> =
                    subscribe.filters.iter().map(|filter| filter.path.clone()).collect();
                // At the highest QoS that is asked for.
                subscribe.filters.sort_by_key(|filter| filter.qos as u8);
                let Some(mut one) = subscribe.filters.pop() else {
                    self.ping(Ping::Subscribe(packet_id, granted)).await?;
                    return Ok(None);
                };
                one.path = cover(&wanted);
                subscribe.filters = vec![one];
                self.filters.retain(|filter| !wanted.contains(filter));
                self.filters.extend(wanted);
                self.granted.insert(packet_id, granted);
                self.to_router.send(Packet::Subscribe(subscribe, None)).await?;
            }
            Packet::PubAck(ack, properties) => {
                if self.unacknowledged.front() == Some(&(ack.pkid, false)) {
                    self.unacknowledged.pop_front();
                }
                self.to_router.send(Packet::PubAck(ack, properties)).await?;
                self.acknowledge_unwanted().await?;
            }
            Packet::Publish(publish, properties) => {
                let ascii = publish.topic.first().is_some_and(u8::is_ascii);
                if !ascii {
                    return Ok(Some(End::Broken));
                }
                self.to_router.send(Packet::Publish(publish, properties)).await?;
            }
            Packet::Connect(..) => return Ok(Some(End::Broken)),
            packet => {
                self.to_router.send(packet).await?;
            }
        }
        Ok(None)
    }

    async fn ping(&mut self, ping: Ping) -> Result<(), LinkError> {
        self.pings.push_back(ping);
        self.to_router.send(Packet::PingReq(PingReq)).await?;
        Ok(())
    }

    /// Acknowledges what the client doesn't get, once everything before it is acknowledged: the
    /// router takes acknowledgements in order only.
    async fn acknowledge_unwanted(&mut self) -> Result<(), LinkError> {
        while let Some((pkid, true)) = self.unacknowledged.front().copied() {
            self.unacknowledged.pop_front();
            let ack = PubAck { pkid, reason: PubAckReason::Success };
            self.to_router.send(Packet::PubAck(ack, None)).await?;
        }
        Ok(())
    }

    /// Takes one answer of the router; false: it has ended the connection.
    fn take(&mut self, notification: Result<Option<Notification>, LinkError>, rx: &LinkRx) -> bool {
        match notification {
            Ok(None) => true,
            // The router pauses until it hears that its batch was taken.
            Ok(Some(Notification::Unschedule)) => rx.ready().is_ok(),
            Ok(Some(notification)) => self.pass_on(notification),
            Err(_) => false,
        }
    }

    fn pass_on(&mut self, notification: Notification) -> bool {
        let packet: Option<Packet> = notification.into();
        let packet = match packet {
            None | Some(Packet::UnsubAck(..)) => return true,
            Some(Packet::Disconnect(..)) => return false,
            Some(Packet::ConnAck(ack, _)) => {
                let session_present = ack.session_present;
                let ack = ConnAck { session_present, code: ConnectReturnCode::Success };
                Packet::ConnAck(ack, None)
            }
            Some(Packet::PingResp(_)) => match self.pings.pop_front() {
                None => return true,
                Some(Ping::Client) => Packet::PingResp(PingResp),
                Some(Ping::Unsubscribe(pkid)) => {
                    Packet::UnsubAck(UnsubAck { pkid, reasons: Vec::new() }, None)
                }
                Some(Ping::Subscribe(pkid, return_codes)) => {
                    Packet::SubAck(SubAck { pkid, return_codes }, None)
                }
            },
            Some(Packet::SubAck(mut ack, properties)) => {
                if let Some(granted) = self.granted.remove(&ack.pkid) {
                    ack.return_codes = granted;
                }
                Packet::SubAck(ack, properties)
            }
            Some(Packet::Publish(publish, _)) => return self.deliver(publish),
            Some(packet) => packet,
        };
        V4.write(packet, &mut self.outgoing).is_ok()
    }

    /// Gives a message to the client, if one of its filters asks for it.
    fn deliver(&mut self, publish: Publish) -> bool {
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        let wanted = self.filters.iter().any(|filter| matches(&topic, filter));
        let begin = self.outgoing.len();
        if V4.write(Packet::Publish(publish, None), &mut self.outgoing).is_err() {
            return false;
        }
        let packet = self.outgoing.get(begin..).unwrap_or_default();
        if let Some(pkid) = packet_id(packet, topic.len()) {
            self.unacknowledged.push_back((pkid, !wanted));
        }
        if !wanted {
            self.outgoing.truncate(begin);
        }
        true
    }

    async fn flush(&mut self, stream: &mut TcpStream) -> bool {
        let written = stream.write_all(&self.outgoing).await;
        self.outgoing.clear();
        written.is_ok()
    }

    /// Publishes the will, if there is one to publish, and leaves the router.
    async fn leave(&mut self, will: Option<LastWill>) {
        if let Some(LastWill { topic, message, retain, .. }) = will {
            let publish = Publish::new(topic, message, retain);
            let _ = self.to_router.send(Packet::Publish(publish, None)).await;
        }
        let reason_code = DisconnectReasonCode::NormalDisconnection;
        let _ = self.to_router.send(Packet::Disconnect(Disconnect { reason_code }, None)).await;
    }
}

async fn read_packet(stream: &mut TcpStream, incoming: &mut BytesMut) -> Option<Packet> {
    loop {
        match V4.read_mut(incoming, MAX_PACKET_BYTES) {
            Ok(packet) => return Some(packet),
            Err(CodecError::InsufficientBytes(_)) => {}
            Err(_) => return None,
        }
        if stream.read_buf(incoming).await.ok()? == 0 {
            return None;
        }
    }
}

/// The narrowest filter of the form `a/b/#` that takes in all of `filters`, or the only one.
fn cover(filters: &[String]) -> String {
    let [first, others @ ..] = filters else { return "#".to_owned() };
    if others.is_empty() {
        return first.clone();
    }
    let mut common: Vec<&str> = first.split('/').filter(|level| *level != "#").collect();
    for other in others {
        let same = common.iter().zip(other.split('/')).take_while(|(one, two)| *one == two);
        common.truncate(same.count());
    }
    common.push("#");
    common.join("/")
}

/// The packet identifier of an encoded PUBLISH, which the codec doesn't tell (§3.3.2.2); `None`
/// at QoS 0.
fn packet_id(packet: &[u8], topic_bytes: usize) -> Option<u16> {
    let (first, rest) = packet.split_first()?;
    if first & 0b0110 == 0 {
        return None;
    }
    // The remaining length: bytes with the highest bit set, and one without (§2.2.3).
    let length_bytes = rest.iter().position(|byte| byte & 0x80 == 0)?.checked_add(1)?;
    let at = length_bytes.checked_add(2)?.checked_add(topic_bytes)?;
    let bytes = rest.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*bytes))
}

/// One and a half times the keep alive (§3.1.2.10); 0 switches it off.
fn keep_alive(seconds: u16) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_millis(u64::from(seconds).saturating_mul(1_500)))
}

fn alive_until(alive: Option<Duration>) -> Instant {
    // A day: the demo has ended by then, or the client has spoken.
    let alive = alive.unwrap_or(Duration::from_secs(24 * 60 * 60));
    let now = Instant::now();
    now.checked_add(alive).unwrap_or(now)
}

/// The identifier with the characters that rumqttd refuses, and the escape character, in
/// hexadecimal: different identifiers stay different.
fn escape(client_id: &str) -> String {
    let mut escaped = String::with_capacity(client_id.len());
    for character in client_id.chars() {
        match character {
            '/' | '+' | '$' | '#' | '%' => {
                escaped.push_str(&format!("%{:02X}", u32::from(character)));
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
