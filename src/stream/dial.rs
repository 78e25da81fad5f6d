//! Connecting to a broker: over all of its addresses, without waiting for one that doesn't answer
//! before the next is tried (as RFC 8305 has it). Who answers first is taken.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use sandbox::Peer;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::silence::{Awaited, CONNECT_KEY};
use crate::traffic::Traffic;

/// An address that hasn't answered for so long doesn't keep the next one from being tried.
const STAGGER: Duration = Duration::from_millis(250);
/// Bytes that wait in the system, beside those on their way: what is written later, an answer to a
/// keep alive say, is behind no more than these.
const UNSENT_BYTES: u32 = 32 * 1024;

type Attempt = Pin<Box<dyn Future<Output = (SocketAddr, io::Result<TcpStream>)> + Send>>;

/// Connects to one of `addresses`, which are tried in this order, for the connection whose `traffic` this
/// is; to which one.
///
/// # Errors
/// There is none, none of them answered, or every one refused; each is named where there are several.
pub async fn dial(
    addresses: Vec<SocketAddr>,
    within: Duration,
    traffic: &Traffic,
) -> io::Result<(TcpStream, SocketAddr)> {
    traffic.awaits(Awaited::Connection);
    if addresses.is_empty() {
        let text = "its name had no address when this half was started: see `addresses-file`";
        return Err(io::Error::new(io::ErrorKind::TimedOut, text));
    }
    let (stream, address) = first_of(addresses.into_iter(), within).await?;
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES)?;
    Ok((stream, address))
}

async fn first_of(
    mut untried: impl Iterator<Item = SocketAddr>,
    within: Duration,
) -> io::Result<(TcpStream, SocketAddr)> {
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut failures: Vec<(SocketAddr, io::Error)> = Vec::new();
    loop {
        let next = untried.next();
        let Some(address) = next else { break };
        attempts.push(attempt(address, within));
        let stagger = pin!(sleep(STAGGER));
        if let Some(done) = any_of(&mut attempts, Some(stagger)).await {
            match done {
                (address, Ok(stream)) => return Ok((stream, address)),
                (address, Err(error)) => failures.push((address, error)),
            }
        }
    }
    while !attempts.is_empty() {
        match any_of(&mut attempts, None).await {
            Some((address, Ok(stream))) => return Ok((stream, address)),
            Some((address, Err(error))) => failures.push((address, error)),
            None => {}
        }
    }
    Err(all_failed(failures))
}

fn attempt(address: SocketAddr, within: Duration) -> Attempt {
    Box::pin(async move {
        let result = timeout(within, connect(address)).await.unwrap_or_else(|_| {
            let seconds = within.as_secs();
            let text = format!("no answer within {seconds} s (`{CONNECT_KEY}`)");
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        });
        (address, result)
    })
}

/// From the dialling process where there is one.
async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let Some(dialled) = sandbox::dial(Peer::Tcp(address)) else {
        return TcpStream::connect(address).await;
    };
    let stream = TcpStream::from_std(dialled?.into())?;
    stream.writable().await?;
    stream.take_error()?.map_or(Ok(stream), Err)
}

/// What the first attempt that is over came to; `None`: the time is.
async fn any_of(
    attempts: &mut Vec<Attempt>,
    mut until: Option<Pin<&mut tokio::time::Sleep>>,
) -> Option<(SocketAddr, io::Result<TcpStream>)> {
    poll_fn(|context| {
        let polled = attempts.iter_mut().enumerate().find_map(|(place, attempt)| {
            match attempt.as_mut().poll(context) {
                Poll::Ready(done) => Some((place, done)),
                Poll::Pending => None,
            }
        });
        if let Some((place, done)) = polled {
            drop(attempts.swap_remove(place));
            return Poll::Ready(Some(done));
        }
        match until.as_mut().map(|until| until.as_mut().poll(context)) {
            Some(Poll::Ready(())) => Poll::Ready(None),
            _ => Poll::Pending,
        }
    })
    .await
}

fn all_failed(mut failures: Vec<(SocketAddr, io::Error)>) -> io::Error {
    if failures.len() == 1
        && let Some((_, error)) = failures.pop()
    {
        return error;
    }
    let each = failures.iter().map(|(address, error)| {
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        format!("{address}: {text}")
    });
    let text = each.collect::<Vec<_>>().join("; ");
    io::Error::new(io::ErrorKind::NotConnected, format!("no address answers: {text}"))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// An address that refuses.
    async fn refusing() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        listener.local_addr().unwrap()
    }

    /// An address that answers nothing: the queue of its listener is full.
    fn silent() -> (socket2::Socket, Vec<socket2::Socket>, SocketAddr) {
        use socket2::{Domain, Socket, Type};
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let fill = (0..3).map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address.into());
            socket
        });
        let fill = fill.collect();
        (listener, fill, address)
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_does_not_keep_the_next_one_from_being_tried() {
        let (_listener, _fill, dead) = silent();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let good = listener.local_addr().unwrap();
        let addresses = vec![dead, refusing().await, good];
        let (stream, address) = dial(addresses, LONG, &Traffic::default()).await.unwrap();
        assert_eq!((stream.peer_addr().unwrap(), address), (good, good));
    }

    #[tokio::test]
    async fn where_none_answers_each_is_named() {
        let (_listener, _fill, dead) = silent();
        let gone = refusing().await;
        let within = Duration::from_millis(300);
        let traffic = Traffic::default();
        let both = vec![dead, gone];
        let error = dial(both, within, &traffic).await.unwrap_err().to_string();
        assert!(error.contains(&format!("{gone}: Connection refused")), "{error}");
        assert!(
            error.contains(&format!("{dead}: no answer within 0 s (`{CONNECT_KEY}`)")),
            "{error}"
        );
        let alone = dial(vec![gone], within, &traffic).await.unwrap_err();
        assert_eq!(alone.kind(), io::ErrorKind::ConnectionRefused);
    }
}
