//! A syslog server that accepts connections and reads nothing, until it is told to.

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection};
use socket2::{Domain, Socket, Type};

use crate::brokers::Certificates;

/// What its kernel takes for it: as little as there is, so that a stall is felt soon.
const RECEIVE_BUFFER_BYTES: usize = 4_096;
const NAP: Duration = Duration::from_millis(5);

/// The server; it ends with this value.
pub(crate) struct Hanging {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    reads: AtomicBool,
    ends: AtomicBool,
    held: Mutex<Vec<TcpStream>>,
}

impl Hanging {
    /// Listens; in TLS where there are certificates, whose handshakes it does take part in.
    pub(crate) fn start(certificates: Option<&Certificates>) -> Hanging {
        let tls = certificates.map(Certificates::server_config);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // Connections inherit it.
        socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        socket.listen(16).unwrap();
        socket.set_nonblocking(true).unwrap();
        let listener = TcpListener::from(socket);
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || accept(&listener, tls.as_ref(), &of_thread));
        Hanging { port, shared, thread: Some(thread) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Reads everything from now on, and ends connections that the other side has ended.
    pub(crate) fn read_on(&self) {
        self.shared.reads.store(true, Ordering::Release);
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, tls: Option<&Arc<ServerConfig>>, shared: &Shared) {
    while !shared.ends.load(Ordering::Acquire) {
        if let Ok((mut stream, _)) = listener.accept() {
            stream.set_nonblocking(false).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            if let Some(config) = tls {
                let mut connection = ServerConnection::new(Arc::clone(config)).unwrap();
                while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
            }
            stream.set_nonblocking(true).unwrap();
            shared.held.lock().unwrap().push(stream);
        }
        if shared.reads.load(Ordering::Acquire) {
            // What it reads is of no interest, and nor is what TLS makes of it.
            shared.held.lock().unwrap().retain_mut(|stream| !is_over(stream));
        }
        thread::sleep(NAP);
    }
}

/// Reads what there is; whether the connection has ended.
fn is_over(stream: &mut TcpStream) -> bool {
    let mut ignored = [0; 4_096];
    loop {
        match stream.read(&mut ignored) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}
