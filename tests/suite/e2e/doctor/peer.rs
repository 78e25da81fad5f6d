//! What the doctor meets at a port: a broker with the faults that it is told to have, or something else.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::super::tls::Authority;
use crate::packet::{Packet, Publish, decode, encode};

/// How a peer is.
#[derive(Clone, Default)]
pub(super) struct Peer {
    /// Said at once, instead of anything else.
    pub(super) says: Option<&'static [u8]>,
    /// Takes connections and says nothing.
    pub(super) is_silent: bool,
    /// Ends each connection once something came.
    pub(super) ends: bool,
    pub(super) connack: u8,
    /// Refuses identifiers that are longer than those of the standard.
    pub(super) short_ids: bool,
    /// Refuses the filters that contain this.
    pub(super) refuses: Option<&'static str>,
    pub(super) ends_at_subscribe: bool,
    /// Sessions at once.
    pub(super) most: Option<usize>,
    /// Sent after the subscription.
    pub(super) messages: Vec<(String, Vec<u8>)>,
    pub(super) tls: Option<Arc<ServerConfig>>,
}

impl Peer {
    /// A broker with TLS, whose certificate this authority made. `clients`: who signs theirs, if it wants
    /// one.
    pub(super) fn with_tls(own: &Authority, clients: Option<&Authority>) -> Peer {
        let chain = CertificateDer::pem_file_iter(own.path("broker.pem")).unwrap();
        let chain: Vec<_> = chain.map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(own.path("broker.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                let authority = CertificateDer::from_pem_file(clients.path("ca.pem")).unwrap();
                roots.add(authority).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let config = builder.with_single_cert(chain, key).unwrap();
        Peer { tls: Some(Arc::new(config)), ..Peer::default() }
    }

    /// Listens, for as long as the test runs.
    pub(super) fn listen(self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let standing = Arc::new(AtomicUsize::new(0));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (peer, standing) = (self.clone(), Arc::clone(&standing));
                thread::spawn(move || peer.meet(stream.unwrap(), &standing));
            }
        });
        address
    }

    fn meet(self, mut stream: TcpStream, standing: &AtomicUsize) {
        if let Some(words) = self.says {
            let mut first = [0; 1];
            let _ = stream.read(&mut first);
            let _ = stream.write_all(words);
            let _ = stream.read(&mut [0; 4_096]);
            return;
        }
        if self.is_silent {
            while stream.read(&mut [0; 4_096]).is_ok_and(|bytes| bytes > 0) {}
            return;
        }
        if self.ends {
            let _ = stream.read(&mut [0; 1]);
            return;
        }
        match self.tls.clone() {
            None => self.serve(stream, standing),
            Some(config) => {
                let server = ServerConnection::new(config).unwrap();
                self.serve(StreamOwned::new(server, stream), standing);
            }
        }
    }

    fn serve(&self, mut stream: impl Read + Write, standing: &AtomicUsize) {
        let (mut unread, mut counted) = (Vec::new(), false);
        while let Some(packet) = next(&mut stream, &mut unread) {
            match packet {
                Packet::Connect(connect) => {
                    assert!(connect.clean_session && connect.will.is_none(), "{connect:?}");
                    let stand = standing.fetch_add(1, Ordering::SeqCst);
                    counted = true;
                    let long = self.short_ids && connect.client_id.len() > 23;
                    let code = match self.most {
                        Some(most) if stand >= most => 3,
                        _ if long => 2,
                        _ => self.connack,
                    };
                    send(&mut stream, &Packet::ConnAck { session_present: false, code });
                    if code != 0 {
                        break;
                    }
                }
                Packet::Subscribe { .. } if self.ends_at_subscribe => break,
                Packet::Subscribe { id, filters } => {
                    let refused =
                        |filter: &str| self.refuses.is_some_and(|part| filter.contains(part));
                    let code = |(filter, _): &(String, u8)| if refused(filter) { 0x80 } else { 1 };
                    let codes = filters.iter().map(code).collect();
                    send(&mut stream, &Packet::SubAck { id, codes });
                    for (topic, payload) in &self.messages {
                        let (topic, payload) = (topic.clone(), payload.clone());
                        send(
                            &mut stream,
                            &Packet::Publish(Publish { topic, payload, ..Publish::default() }),
                        );
                    }
                }
                Packet::Disconnect => break,
                other => panic!("a visitor says {}", other.name()),
            }
        }
        if counted {
            standing.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn next(stream: &mut impl Read, unread: &mut Vec<u8>) -> Option<Packet> {
    loop {
        if let Some((packet, used)) = decode(unread).ok()? {
            unread.drain(..used);
            return Some(packet);
        }
        let mut bytes = [0; 4_096];
        match stream.read(&mut bytes) {
            Ok(0) | Err(_) => return None,
            Ok(count) => unread.extend(&bytes[..count]),
        }
    }
}

fn send(stream: &mut impl Write, packet: &Packet) {
    let _ = stream.write_all(&encode(packet)).and_then(|()| stream.flush());
}

/// Lines of what the doctor says that name a fault, by what was looked at.
pub(super) fn faults(said: &str) -> BTreeSet<&str> {
    let faults = said.lines().filter_map(|line| line.strip_prefix("  FAULT"));
    faults.filter_map(|line| line.split_whitespace().next()).collect()
}
