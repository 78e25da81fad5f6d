//! mosquitto on 127.0.0.1: one broker, or one with a bridge to another, its queues opened up.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, thread};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::process::Process;

pub(crate) const MOSQUITTO: &str = "/usr/sbin/mosquitto";

/// How long a broker may take until it listens.
const START_WITHIN: Duration = Duration::from_secs(20);

/// A running broker.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// Of the listener with TLS.
    pub(crate) tls_address: SocketAddr,
}

/// Where a broker listens, in clear and with TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) address: SocketAddr,
    pub(crate) tls_address: SocketAddr,
}

impl From<&Broker> for Place {
    fn from(broker: &Broker) -> Place {
        Place { address: broker.address, tls_address: broker.tls_address }
    }
}

/// Where a bridge goes.
pub(crate) struct Bridge<'a> {
    pub(crate) to: &'a Broker,
    pub(crate) qos: u8,
    pub(crate) tls: bool,
}

/// Starts a broker with a plaintext listener, and one with TLS that wants client certificates.
pub(crate) fn start(
    name: &'static str,
    dir: &Path,
    certificates: &Certificates,
    bridge: Option<&Bridge<'_>>,
) -> Broker {
    let (address, tls_address) = (free_port(), free_port());
    let log = dir.join(format!("{name}.log"));
    let config = dir.join(format!("{name}.conf"));
    fs::write(&config, text(address, tls_address, certificates, bridge)).unwrap();
    let mut process = Process::start(name, Command::new(MOSQUITTO).arg("-c").arg(&config), &log);
    let begin = Instant::now();
    // As long as nobody listens, a client can be given that very port and meet itself.
    let accepts = |address: SocketAddr| {
        TcpStream::connect(address).is_ok_and(|it| it.local_addr().unwrap() != address)
    };
    while ![address, tls_address].into_iter().all(accepts) {
        let log = || fs::read_to_string(&log).unwrap_or_default();
        assert!(process.is_running(), "{name} ended: {}", log());
        assert!(begin.elapsed() < START_WITHIN, "{name} doesn't listen: {}", log());
        thread::sleep(Duration::from_millis(5));
    }
    Broker { process, address, tls_address }
}

fn text(
    address: SocketAddr,
    tls_address: SocketAddr,
    certificates: &Certificates,
    bridge: Option<&Bridge<'_>>,
) -> String {
    let path = |name: &str| certificates.path(name).display().to_string();
    let mut text = format!(
        "per_listener_settings true\n\
         queue_qos0_messages true\n\
         max_queued_messages 0\n\
         max_inflight_messages 0\n\
         set_tcp_nodelay true\n\
         persistence false\n\
         log_dest stdout\n\
         log_type error\n\
         log_type warning\n\
         user root\n\
         listener {} 127.0.0.1\n\
         allow_anonymous true\n\
         listener {} 127.0.0.1\n\
         allow_anonymous true\n\
         cafile {}\ncertfile {}\nkeyfile {}\n\
         require_certificate true\n",
        address.port(),
        tls_address.port(),
        path("ca.pem"),
        path("broker.pem"),
        path("broker.key"),
    );
    if let Some(Bridge { to, qos, tls }) = bridge {
        let port = if *tls { to.tls_address.port() } else { to.address.port() };
        write!(
            text,
            "connection bridge\n\
             address localhost:{port}\n\
             topic spBv1.0/# out {qos}\n\
             bridge_protocol_version mqttv311\n\
             cleansession true\n\
             notifications false\n\
             try_private false\n\
             restart_timeout 1\n"
        )
        .unwrap();
        if *tls {
            write!(
                text,
                "bridge_cafile {}\nbridge_certfile {}\nbridge_keyfile {}\n",
                path("ca.pem"),
                path("client.pem"),
                path("client.key"),
            )
            .unwrap();
        }
    }
    text
}

pub(crate) fn free_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// A certificate authority with a certificate for brokers and one for clients, as PEM files.
#[derive(Debug)]
pub(crate) struct Certificates {
    dir: PathBuf,
}

impl Certificates {
    /// Makes all of it in `dir`.
    pub(crate) fn make(dir: &Path) -> Certificates {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "benchmark");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(dir.join("ca.pem"), issuer.pem()).unwrap();
        let ends = [
            ("broker", ExtendedKeyUsagePurpose::ServerAuth),
            ("client", ExtendedKeyUsagePurpose::ClientAuth),
        ];
        for (end, usage) in ends {
            let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
            let mut params = CertificateParams::new(names).unwrap();
            params.extended_key_usages = vec![usage];
            params.distinguished_name.push(DnType::CommonName, end);
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            fs::write(dir.join(format!("{end}.pem")), certificate.pem()).unwrap();
            secret(&dir.join(format!("{end}.key")), &key.serialize_pem());
        }
        Certificates { dir: dir.to_owned() }
    }

    /// Of a server that wants no certificate of its clients.
    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        let chain = CertificateDer::pem_file_iter(self.path("broker.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.path("broker.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.map(Result::unwrap).collect(), key)
            .unwrap();
        Arc::new(config)
    }

    /// `ca.pem`, `broker.pem`, `broker.key`, `client.pem` or `client.key`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Writes a file that only its owner may read, as the relay wants its secrets.
fn secret(path: &Path, text: &str) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = fs::File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
