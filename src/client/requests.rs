//! Requests and connections, whichever MQTT they speak.

use std::io;

use broker::Protocol;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::{Error, NotTaken};
use crate::event::{Ack, Event};
use crate::options::{Acks, Attempt, Naming, Options, Qos, Will};
use crate::{five, three};

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Requests {
    Three(three::Requests),
    Five(five::Requests),
}

/// What happens.
pub(crate) enum Happening {
    Three(Box<three::Connection>),
    Five(Box<five::Connection>),
}

pub(crate) fn build<Connect, Fut, Stream>(
    options: &Options,
    attempt: Attempt,
    acks: Acks,
    will: Option<Will>,
    connect: Connect,
) -> (Requests, Happening)
where
    Connect: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<Stream>> + Send + 'static,
    Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static,
{
    match options.protocol {
        Protocol::Three => {
            let mut prepared = three::options(options, attempt, acks, connect);
            will.into_iter().for_each(|will| three::leave(&mut prepared, will));
            let (requests, connection) = three::build(prepared);
            (Requests::Three(requests), Happening::Three(Box::new(connection)))
        }
        Protocol::Five => {
            let mut prepared = five::options(options, attempt, acks, connect);
            will.into_iter().for_each(|will| five::leave(&mut prepared, will));
            let (requests, connection) = five::build(prepared, options.five);
            (Requests::Five(requests), Happening::Five(Box::new(connection)))
        }
    }
}

impl Requests {
    pub(crate) fn publish(
        &self,
        topic: &str,
        payload: Vec<u8>,
        qos: Qos,
        naming: Naming,
    ) -> Result<(), NotTaken> {
        match self {
            Requests::Three(requests) => requests.publish(topic, payload, qos),
            Requests::Five(requests) => requests.publish(topic, payload, qos, naming),
        }
    }

    pub(crate) fn subscribe(&self, filters: Vec<String>, qos: Qos) -> Result<(), NotTaken> {
        match self {
            Requests::Three(requests) => requests.subscribe(filters, qos),
            Requests::Five(requests) => requests.subscribe(filters, qos),
        }
    }

    pub(crate) fn unsubscribe(&self, filters: Vec<String>) -> Result<(), NotTaken> {
        match self {
            Requests::Three(requests) => requests.unsubscribe(filters),
            Requests::Five(requests) => requests.unsubscribe(filters),
        }
    }

    pub(crate) fn acknowledge(&self, ack: Ack) -> Result<(), NotTaken> {
        match self {
            Requests::Three(requests) => requests.acknowledge(ack),
            Requests::Five(requests) => requests.acknowledge(ack),
        }
    }

    pub(crate) fn disconnect(&self) -> Result<(), NotTaken> {
        match self {
            Requests::Three(requests) => requests.disconnect(),
            Requests::Five(requests) => requests.disconnect(),
        }
    }
}

impl Happening {
    pub(crate) async fn poll(&mut self) -> Result<Event, Error> {
        match self {
            Happening::Three(connection) => connection.poll().await,
            Happening::Five(connection) => connection.poll().await,
        }
    }

    pub(crate) fn prepare(&mut self, attempt: Attempt) {
        match self {
            Happening::Three(connection) => connection.prepare(attempt),
            Happening::Five(connection) => connection.prepare(attempt),
        }
    }

    pub(crate) fn forget(&mut self) {
        match self {
            Happening::Three(connection) => connection.forget(),
            Happening::Five(connection) => connection.forget(),
        }
    }
}
