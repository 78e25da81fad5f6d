//! An MQTT 3.1.1 broker inside the demo: rumqttd's router and codec behind a listener of ours.
//!
//! rumqttd 0.20 keeps the messages, the subscriptions, the sessions and the retained messages.
//! Its own listener can't be used; what ours does in its place it does for every client alike:
//!
//! | rumqttd 0.20 | MQTT 3.1.1 | here |
//! |---|---|---|
//! | hangs up, without CONNACK, on client identifiers with `/`, `+`, `$`, `#` | any UTF-8 string (§3.1.3.1) | escaped for the router |
//! | hangs up on a subscription to `$…` other than `$share` | a legal filter (§4.7.2) | granted; nothing here publishes to `$…` |
//! | never answers an UNSUBSCRIBE of a filter that isn't subscribed, and answers once per filter otherwise | one UNSUBACK, always (§3.10.4) | one UNSUBACK, behind everything that came before |
//! | on a take-over publishes the will of the *new* session | the old one's (§3.1.2.5) | the listener keeps the wills |
//! | leaves Nagle's algorithm on: 40 ms per message | – | `TCP_NODELAY` |
//! | panics on a topic that begins with a non-ASCII character | legal | the connection is closed |
//! | wants a fixed port | – | a port from the operating system |
//!
//! Not cured: messages are delivered at the subscription's QoS, not at the lower of both, and
//! the order is kept per subscription, not across the subscriptions of one client.
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
    Packet, PingReq, PingResp, Protocol, Publish, SubAck, SubscribeReasonCode, UnsubAck,
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
    let mut connection = Connection {
        front: &front,
        client_id: &connect.client_id,
        to_router,
        pings: VecDeque::new(),
        dollar_codes: HashMap::new(),
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
    connection.leave(will.filter(|_| end == End::Broken)).await;
}

impl Front {
    fn lock_sessions(&self) -> std::sync::MutexGuard<'_, HashMap<String, Live>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// Places of `$…` filters in the SUBACKs that the router still owes, and their codes.
    dollar_codes: HashMap<u16, Vec<(usize, SubscribeReasonCode)>>,
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
            Packet::Unsubscribe(unsubscribe, properties) => {
                let packet_id = unsubscribe.pkid;
                self.to_router.send(Packet::Unsubscribe(unsubscribe, properties)).await?;
                self.ping(Ping::Unsubscribe(packet_id)).await?;
            }
            Packet::Subscribe(mut subscribe, properties) => {
                let dollars: Vec<(usize, SubscribeReasonCode)> = subscribe
                    .filters
                    .iter()
                    .enumerate()
                    .filter(|(_, filter)| is_dollar(&filter.path))
                    .map(|(place, filter)| (place, SubscribeReasonCode::Success(filter.qos)))
                    .collect();
                subscribe.filters.retain(|filter| !is_dollar(&filter.path));
                let packet_id = subscribe.pkid;
                if subscribe.filters.is_empty() {
                    let codes = dollars.into_iter().map(|(_, code)| code).collect();
                    self.ping(Ping::Subscribe(packet_id, codes)).await?;
                } else {
                    self.dollar_codes.insert(packet_id, dollars);
                    self.to_router.send(Packet::Subscribe(subscribe, properties)).await?;
                }
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
                for (place, code) in self.dollar_codes.remove(&ack.pkid).unwrap_or_default() {
                    ack.return_codes.insert(place.min(ack.return_codes.len()), code);
                }
                Packet::SubAck(ack, properties)
            }
            Some(packet) => packet,
        };
        V4.write(packet, &mut self.outgoing).is_ok()
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

fn is_dollar(filter: &str) -> bool {
    filter.starts_with('$')
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
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpStream};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(20);

    /// Bare bytes of MQTT 3.1.1: what a broker is measured by.
    struct Client {
        stream: TcpStream,
    }

    impl Client {
        fn connect(broker: &Broker, id: &str, clean: bool, will: Option<&str>) -> (Client, bool) {
            let stream = TcpStream::connect(broker.address()).unwrap();
            stream.set_read_timeout(Some(TIMEOUT)).unwrap();
            let mut client = Client { stream };
            let will_flag = if will.is_some() { 0x04 } else { 0 };
            let flags = will_flag | if clean { 0x02 } else { 0 };
            let mut body = [&text("MQTT")[..], &[4, flags, 0, 60], &text(id)].concat();
            if let Some(topic) = will {
                body.extend([text(topic), text("gone")].concat());
            }
            client.send(0x10, &body);
            let (kind, ack) = client.receive();
            assert_eq!((kind, ack[1]), (0x20, 0));
            (client, ack[0] == 1)
        }

        fn send(&mut self, first: u8, body: &[u8]) {
            let length = u8::try_from(body.len()).unwrap();
            assert!(length < 128);
            self.stream.write_all(&[&[first, length], body].concat()).unwrap();
        }

        fn receive(&mut self) -> (u8, Vec<u8>) {
            let mut head = [0; 2];
            self.stream.read_exact(&mut head).unwrap();
            let mut body = vec![0; head[1].into()];
            self.stream.read_exact(&mut body).unwrap();
            (head[0], body)
        }

        fn subscribe(&mut self, filter: &str, qos: u8) {
            self.send(0x82, &[&[0, 1][..], &text(filter), &[qos]].concat());
            assert_eq!(self.receive(), (0x90, vec![0, 1, qos]));
        }

        fn publish(&mut self, topic: &str, payload: &str, retain: bool) {
            let body = [&text(topic)[..], payload.as_bytes()].concat();
            self.send(0x30 | u8::from(retain), &body);
        }

        /// Topic, payload and packet identifier (QoS 1) of the next message.
        fn message(&mut self) -> (u8, String, Vec<u8>) {
            let (kind, body) = self.receive();
            assert_eq!(kind & 0xf0, 0x30, "{kind:x} {body:?}");
            let end = 2 + usize::from(body[1]);
            let topic = String::from_utf8(body[2..end].to_vec()).unwrap();
            (kind, topic, body[end..].to_vec())
        }
    }

    fn text(text: &str) -> Vec<u8> {
        [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
    }

    #[test]
    fn any_client_identifier_is_taken_and_they_stay_apart() {
        let broker = Broker::start("test").unwrap();
        let (mut one, _) = Client::connect(&broker, "relay/Plant1/Line1", true, None);
        let (mut other, _) = Client::connect(&broker, "relay%2FPlant1/Line1", true, None);
        one.send(0xc0, &[]);
        assert_eq!(one.receive().0, 0xd0);
        other.send(0xc0, &[]);
        assert_eq!(other.receive().0, 0xd0);
        assert_eq!(broker.witness()["relay/Plant1/Line1"].connects, 1);
    }

    #[test]
    fn a_filter_in_the_dollar_space_is_granted_in_its_place() {
        let broker = Broker::start("test").unwrap();
        let (mut client, _) = Client::connect(&broker, "a", true, None);
        let filters = [("x/#", 1), ("$sparkplug/certificates/#", 1), ("y", 0)];
        let filters: Vec<u8> =
            filters.iter().flat_map(|(filter, qos)| [text(filter), vec![*qos]].concat()).collect();
        client.send(0x82, &[&[0, 7][..], &filters].concat());
        assert_eq!(client.receive(), (0x90, vec![0, 7, 1, 1, 0]));
        client.send(0x82, &[&[0, 8][..], &text("$a/b"), &[0]].concat());
        assert_eq!(client.receive(), (0x90, vec![0, 8, 0]));
    }

    #[test]
    fn an_unsubscribe_of_anything_is_answered_once_behind_what_came_before() {
        let broker = Broker::start("test").unwrap();
        let (mut client, _) = Client::connect(&broker, "a", true, None);
        client.subscribe("t", 0);
        client.publish("t", "1", false);
        client.send(0xa2, &[&[0, 9][..], &text("never/subscribed")].concat());
        client.send(0xc0, &[]);
        let kinds: Vec<u8> = (0..3).map(|_| client.receive().0 & 0xf0).collect();
        assert!(kinds.contains(&0x30), "{kinds:x?}");
        let acks: Vec<u8> = kinds.into_iter().filter(|kind| *kind != 0x30).collect();
        assert_eq!(acks, [0xb0, 0xd0]);
    }

    #[test]
    fn a_broken_connection_publishes_its_will_and_a_farewell_does_not() {
        let broker = Broker::start("test").unwrap();
        let (mut watcher, _) = Client::connect(&broker, "watcher", true, None);
        watcher.subscribe("will/#", 0);
        let (mut polite, _) = Client::connect(&broker, "polite", true, Some("will/polite"));
        polite.send(0xe0, &[]);
        assert_eq!(polite.stream.read(&mut [0]).unwrap(), 0);
        let (broken, _) = Client::connect(&broker, "broken", true, Some("will/broken"));
        broken.stream.shutdown(Shutdown::Both).unwrap();
        assert_eq!(watcher.message().1, "will/broken");
    }

    #[test]
    fn a_take_over_publishes_the_will_of_the_old_session_only() {
        let broker = Broker::start("test").unwrap();
        let (mut watcher, _) = Client::connect(&broker, "watcher", true, None);
        watcher.subscribe("will/#", 0);
        let (_old, _) = Client::connect(&broker, "same", true, Some("will/old"));
        let (mut new, _) = Client::connect(&broker, "same", true, Some("will/new"));
        assert_eq!(watcher.message().1, "will/old");
        new.publish("will/proof", "the new one lives", false);
        assert_eq!(watcher.message().1, "will/proof");
    }

    #[test]
    fn a_retained_message_is_kept_and_cleared() {
        let broker = Broker::start("test").unwrap();
        let (mut client, _) = Client::connect(&broker, "a", true, None);
        client.publish("kept", "x", true);
        client.subscribe("kept", 0);
        assert_eq!(client.message(), (0x31, "kept".into(), b"x".to_vec()));
        client.publish("kept", "", true);
        assert_eq!(client.message(), (0x30, "kept".into(), Vec::new()));
        let (mut later, _) = Client::connect(&broker, "b", true, None);
        later.subscribe("kept", 0);
        later.send(0xc0, &[]);
        assert_eq!(later.receive().0, 0xd0);
    }

    #[test]
    fn a_persistent_session_gets_what_it_did_not_acknowledge_again() {
        let broker = Broker::start("test").unwrap();
        let (mut sender, _) = Client::connect(&broker, "sender", true, None);
        let (mut reader, present) = Client::connect(&broker, "reader", false, None);
        assert!(!present);
        reader.subscribe("t", 1);
        sender.publish("t", "1", false);
        sender.publish("t", "2", false);
        let (_, _, first) = reader.message();
        reader.send(0x40, &first[..2]);
        assert_eq!(reader.message().2[2..], *b"2");
        // PINGRESP: the broker has the acknowledgement of the first and none of the second.
        reader.send(0xc0, &[]);
        assert_eq!(reader.receive().0, 0xd0);
        drop(reader);
        let (mut reader, present) = Client::connect(&broker, "reader", false, None);
        assert!(present);
        assert_eq!(reader.message().2[2..], *b"2");
    }
}
