//! The steps of a visit, one after the other.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use broker::{
    BrokerSettings, ClientId, ClientIdForm, ConnectFailure, Protocol, Refused, TlsSettings,
};
use stream::{Framing, FramingError, Mark, Patience, Stream, Traffic, Watched};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::packet::{DISCONNECT, Packet, REFUSED, connect, read, subscribe};
use crate::{Found, Heard, Visit};

/// Filters in one SUBSCRIBE.
const FILTERS_AT_ONCE: usize = 50;
const READ_BYTES: usize = 16 * 1024;
/// CONNACK 2 of MQTT 3.1.1, and of brokers that answer with codes of MQTT 5.
const IDENTIFIER_REJECTED: [u8; 2] = [2, 0x85];

type Hear<'a> = &'a mut dyn FnMut(Heard<'_>);

/// A session that stands, and what of it was read and isn't used up.
struct Session {
    protocol: Protocol,
    traffic: Arc<Traffic>,
    stream: Watched<Stream<TcpStream>>,
    unread: Vec<u8>,
}

/// Why there is no session.
enum NoSession {
    Connection(String),
    Handshake(String),
    Refused(u8, Option<String>),
    Other(ConnectFailure),
}

pub(crate) async fn pay(visit: &Visit, hear: Hear<'_>) -> Found {
    let mut found = Found::default();
    let id = ClientId::new(&visit.broker.client_id);
    let short = visit.broker.client_id_form == ClientIdForm::Short;
    let mut name = if short { &id.short } else { &id.readable };
    let mut opened = open(&visit.broker, name).await;
    if let Err(NoSession::Refused(code, _)) = &opened
        && IDENTIFIER_REJECTED.contains(code)
        && visit.broker.client_id_form == ClientIdForm::Auto
        && id.has_two_forms()
    {
        name = &id.short;
        let again = open(&visit.broker, name).await;
        found.needs_short_id = again.is_ok();
        // What is told is what the first attempt came to.
        if again.is_ok() {
            opened = again;
        }
    }
    let mut first = match opened {
        Ok(session) => session,
        Err(why) => {
            not_opened(why, visit, name, &mut found);
            return found;
        }
    };
    reached(visit, &mut found);
    found.session = Some(Ok(()));
    found.offers = first.traffic.offers().map(|offers| offers.words()).unwrap_or_default();
    found.sessions = 1;
    ask(&mut first, visit, hear, &mut found).await;
    more(visit, &mut found).await;
    first.leave().await;
    found
}

/// As far as the session, all went well.
fn reached(visit: &Visit, found: &mut Found) {
    found.connection = Some(Ok(()));
    found.handshake = visit.broker.servers.in_use().server.tls.is_some().then_some(Ok(()));
}

fn not_opened(why: NoSession, visit: &Visit, name: &str, found: &mut Found) {
    match why {
        NoSession::Connection(text) => found.connection = Some(Err(text)),
        NoSession::Handshake(text) => {
            found.connection = Some(Ok(()));
            found.handshake = Some(Err(text));
        }
        NoSession::Refused(code, text) => {
            reached(visit, found);
            let user = visit.broker.credentials.as_ref().map(|own| own.user.as_str());
            let keep_alive = visit.broker.keep_alive;
            let protocol = visit.broker.protocol;
            let refused = Refused { client_id: name, keep_alive, protocol, user };
            found.session = Some(Err(broker::refusal(code, text.as_deref(), refused)));
        }
        NoSession::Other(failure) => {
            reached(visit, found);
            found.session = Some(Err(failure));
        }
    }
}

/// Connects, and logs in.
async fn open(broker: &BrokerSettings, client_id: &str) -> Result<Session, NoSession> {
    let traffic = Arc::new(Traffic::default());
    let within = broker.connect_within;
    let server = broker.servers.in_use().server;
    let (stream, address) = stream::dial(server.addresses.in_turn(), within, &traffic)
        .await
        .map_err(|error| NoSession::Connection(broker::explain(&error).text))?;
    server.addresses.found(address);
    let tls = server.tls.as_ref().map(TlsSettings::now);
    let protocol = broker.protocol;
    let framing = Framing::new(broker.max_packet_bytes, Mark::new()).speaking(protocol);
    let patience = Patience { keep_alive: broker.keep_alive, connack: within };
    let stream = stream::open(stream, tls, framing, patience, Arc::clone(&traffic))
        .await
        .map_err(|error| NoSession::Handshake(broker::explain(&error).text))?;
    let mut session = Session { protocol, traffic, stream, unread: Vec::new() };
    let password = match broker.credentials.as_ref().and_then(|own| own.password.as_ref()) {
        None => None,
        Some(read) => Some(read().map_err(|text| NoSession::Other(ConnectFailure::other(text)))?),
    };
    let user = broker.credentials.as_ref().map(|own| own.user.as_str());
    let keep_alive_s = u16::try_from(broker.keep_alive.as_secs()).unwrap_or(u16::MAX);
    let packet =
        connect(protocol, client_id, keep_alive_s, user.map(|user| (user, password.as_deref())));
    let has_tls = server.tls.is_some();
    let answer = async {
        session.send(&packet).await?;
        session.connack().await
    };
    match timeout(within, answer).await {
        Ok(Ok(0)) => Ok(session),
        Ok(Ok(code)) => Err(NoSession::Refused(code, None)),
        Ok(Err(error)) => match refused_by(&error) {
            Some((code, text)) => Err(NoSession::Refused(code, text)),
            None => Err(NoSession::Other(no_answer(&error, protocol, has_tls))),
        },
        Err(_) => Err(NoSession::Other(ConnectFailure::other(format!(
            "the port takes connections, and answers no CONNECT within {} s: is that a port for MQTT?",
            within.as_secs()
        )))),
    }
}

/// The code of a CONNACK of MQTT 5, which the stream takes for the end, and what the broker says besides.
fn refused_by(error: &io::Error) -> Option<(u8, Option<String>)> {
    match error.get_ref()?.downcast_ref()? {
        FramingError::Answer(stream::NoSession::Refused { code, text }) => {
            Some((*code, text.clone()))
        }
        _ => None,
    }
}

/// What ended the connection before a CONNACK.
fn no_answer(error: &io::Error, protocol: Protocol, tls: bool) -> ConnectFailure {
    let failure = broker::explain(error);
    let ended = matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    ) || is_end(error);
    if ended {
        ConnectFailure::other(broker::unanswered("the broker ended the connection", protocol, tls))
    } else {
        failure
    }
}

/// The other end closed the connection in good order.
fn is_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

/// Subscribes, and listens for a while.
async fn ask(session: &mut Session, visit: &Visit, hear: Hear<'_>, found: &mut Found) {
    let answered = async {
        let mut id = 0_u16;
        for filters in visit.filters.chunks(FILTERS_AT_ONCE) {
            id = id.saturating_add(1);
            session.send(&subscribe(session.protocol, id, filters)).await?;
            let codes = session.suback(id, hear).await?;
            for (at, filter) in filters.iter().enumerate() {
                let refused = codes.get(at).is_none_or(|code| *code >= REFUSED);
                let list = if refused { &mut found.refused } else { &mut found.granted };
                list.push(filter.clone());
            }
        }
        io::Result::Ok(())
    };
    let within = visit.broker.answer_within;
    let outcome = match timeout(within, answered).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) if is_end(&error) => Some(
            "the broker ended the connection at it, as some do where a right is missing".to_owned(),
        ),
        Ok(Err(error)) => Some(broker::explain(&error).text),
        Err(_) => Some(format!("no answer within {} s (`answer-timeout-s`)", within.as_secs())),
    };
    if outcome.is_some() {
        found.unsubscribed = outcome;
        return;
    }
    let _ = timeout(visit.listen, session.listen(&visit.extras, hear)).await;
}

/// Opens further sessions, until the broker takes no more.
async fn more(visit: &Visit, found: &mut Found) {
    let mut standing = Vec::new();
    for number in 2..=visit.sessions {
        let id = ClientId::new(&format!("{}-{number}", visit.broker.client_id));
        let short = visit.broker.client_id_form == ClientIdForm::Short || found.needs_short_id;
        let name = if short { &id.short } else { &id.readable };
        match open(&visit.broker, name).await {
            Ok(session) => {
                found.sessions = found.sessions.saturating_add(1);
                standing.push(session);
            }
            Err(why) => {
                let mut one = Found::default();
                not_opened(why, visit, name, &mut one);
                let failed = [one.connection, one.handshake].into_iter().flatten();
                let text = failed.filter_map(Result::err).next();
                let refused = one.session.and_then(Result::err).map(|failure| failure.text);
                found.no_more = text.or(refused);
                break;
            }
        }
    }
    for session in standing {
        session.leave().await;
    }
}

impl Session {
    async fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        self.stream.write_all(packet).await?;
        self.stream.flush().await
    }

    async fn connack(&mut self) -> io::Result<u8> {
        let no_connack = "what came first is no CONNACK, with which every MQTT broker begins: what \
                          listens there?";
        let wanted = |packet: &Packet<'_>| match packet {
            Packet::ConnAck(code) => Some(Ok(*code)),
            _ => Some(Err(io::Error::new(io::ErrorKind::InvalidData, no_connack))),
        };
        loop {
            if let Some(code) = self.next(&mut |_| {}, wanted).await? {
                return code;
            }
        }
    }

    async fn suback(&mut self, wanted: u16, hear: Hear<'_>) -> io::Result<Vec<u8>> {
        let ours = |packet: &Packet<'_>| match packet {
            Packet::SubAck { id, codes } if *id == wanted => Some(codes.to_vec()),
            _ => None,
        };
        loop {
            if let Some(codes) = self.next(hear, ours).await? {
                return Ok(codes);
            }
        }
    }

    /// Hears what comes, until the connection ends: a broker that ends it at one of these filters has
    /// answered what matters.
    async fn listen(&mut self, extras: &[String], hear: Hear<'_>) -> io::Result<()> {
        for filter in extras {
            let packet = subscribe(self.protocol, u16::MAX, std::slice::from_ref(filter));
            self.send(&packet).await?;
        }
        loop {
            self.next(hear, |_| None::<()>).await?;
        }
    }

    /// Takes the next packet: a message is heard, anything else asked for by `wanted`.
    async fn next<T>(
        &mut self,
        hear: Hear<'_>,
        wanted: impl Fn(&Packet<'_>) -> Option<T>,
    ) -> io::Result<Option<T>> {
        loop {
            let taken = match read(self.protocol, &self.unread) {
                Ok(taken) => taken,
                Err(text) => return Err(io::Error::new(io::ErrorKind::InvalidData, text)),
            };
            if let Some((packet, used)) = taken {
                let found = wanted(&packet);
                if let Packet::Publish { topic, payload, retain } = packet {
                    hear(Heard { topic: std::str::from_utf8(topic).ok(), payload, retain });
                }
                self.unread.drain(..used);
                return Ok(found);
            }
            let mut bytes = [0; READ_BYTES];
            let count = self.stream.read(&mut bytes).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.unread.extend(bytes.iter().take(count));
        }
    }

    /// Says goodbye, if that is still heard.
    async fn leave(mut self) {
        let _ = timeout(Duration::from_secs(1), async {
            self.send(&DISCONNECT).await?;
            self.stream.shutdown().await
        })
        .await;
    }
}
