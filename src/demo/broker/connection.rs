//! One client between its socket and the router.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rumqttd::Notification;
use rumqttd::local::{LinkError, LinkRx, LinkTx};
use rumqttd::protocol::v4::V4;
use rumqttd::protocol::{
    ConnAck, ConnectReturnCode, Disconnect, DisconnectReasonCode, Error as CodecError, Filter,
    LastWill, Packet, PingReq, PingResp, Protocol, PubAck, PubAckReason, Publish, SubAck,
    SubscribeReasonCode, UnsubAck, matches,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use super::filters::cover;
use super::shared::{Live, Shared};

/// Largest packet: a birth of the demo has some 30 kB.
const MAX_PACKET_BYTES: usize = 4 * 1024 * 1024;
/// How long a client may take to send its CONNECT.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

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

/// Serves one client from its CONNECT to its end.
pub(super) async fn serve(shared: Arc<Shared>, mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut incoming = BytesMut::new();
    let first = timeout(CONNECT_WITHIN, read_packet(&mut stream, &mut incoming)).await;
    let Ok(Some(Packet::Connect(connect, _, will, _, _))) = first else { return };
    shared.count(&connect.client_id, |sent| {
        sent.connects = sent.connects.saturating_add(1);
        sent.wills = sent.wills.saturating_add(will.is_some().into());
    });
    let (end, mut taken_over) = oneshot::channel();
    let (_has_ended, ended) = oneshot::channel::<()>();
    let earlier = shared.lock_sessions().insert(connect.client_id.clone(), Live { end, ended });
    if let Some(earlier) = earlier {
        // Whether it was still there or not: once its end is through, this one may begin.
        let _ = earlier.end.send(());
        let _ = earlier.ended.await;
    }
    let Some((to_router, from_router, welcome)) =
        (shared.connect)(&escape(&connect.client_id), connect.clean_session)
    else {
        return;
    };
    let filters = if connect.clean_session { None } else { shared.filters(&connect.client_id) };
    let mut connection = Connection {
        shared: &shared,
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
    shared.keep_filters(&connect.client_id, filters, connect.clean_session);
    connection.leave(will.filter(|_| end == End::Broken)).await;
}

/// One client.
struct Connection<'a> {
    shared: &'a Shared,
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
        self.shared.count(self.client_id, |sent| {
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
                let Some(one) = subscribe.filters.pop() else {
                    self.ping(Ping::Subscribe(packet_id, granted)).await?;
                    return Ok(None);
                };
                let covers = cover(&wanted).into_iter();
                subscribe.filters = covers.map(|path| Filter { path, ..one.clone() }).collect();
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

/// The packet identifier of an encoded PUBLISH, which the codec doesn't return (§3.3.2.2); `None`
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
