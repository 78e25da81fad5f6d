//! TLS with client certificates on both sides, and what happens with the wrong ones.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustix::process::Signal;
use telemetry::Event;

use crate::broker::{Broker, Options, TlsFiles};
use crate::metrics::{int, untyped};
use crate::packet::Packet;
use crate::peers::observer::Observer;
use crate::peers::raw_edge::RawEdge;
use crate::peers::srad_host::SradHost;
use crate::relay::{Half, Link, Relay, Settings, is_root, write_secret};
use crate::rig::EVERYTHING;
use crate::waiting::now_ms;
use crate::wire::{Event as Wire, Proxy};

#[test]
fn both_links_work_over_tls_with_client_certificates() {
    let (ot_side, it_side) = (Authority::new("ot"), Authority::new("it"));
    let Some(ot_broker) = ot_side.broker() else { return };
    let Some(it_broker) = it_side.broker() else { return };
    // In between only to see that what crosses is not plain MQTT.
    let eavesdropper = Proxy::start(it_broker.tls_address.unwrap());
    let mut it = it_side.link(&it_broker, &it_side);
    if let Link::Tls { address, .. } = &mut it {
        *address = eavesdropper.address;
    }
    let mut relay = Relay::new(&settings(ot_side.link(&ot_broker, &ot_side), it));
    relay.start(Half::Ot);
    relay.start(Half::It);
    let host = SradHost::start(it_broker.address, "enterprise");
    let mut edge = RawEdge::connect(ot_broker.address, "Plant", "E");
    // The birth is retained, so that it doesn't matter who is first, the relay or the edge.
    crate::waiting::wait_until("the relay relays", || {
        edge.nbirth(&[int("count", 1)]).unwrap();
        host.births("Plant/E") > 0
    });
    edge.ndata(&[untyped(int("count", 2))]).unwrap();
    host.wait_for("Plant/E", "count", 2);
    let plain = eavesdropper.count(|record| matches!(record.event, Wire::Packet(_)));
    assert_eq!(plain, 0, "MQTT in clear text");
    let garbage = eavesdropper.count(|record| matches!(record.event, Wire::Garbage(_)));
    assert!(garbage > 0, "nothing went through the proxy");
}

#[test]
fn renewed_certificates_are_taken_up_under_the_seal_and_bad_ones_are_not() {
    let (ot_side, it_side) = (Authority::new("ot"), Authority::new("it"));
    let renewed = Authority::new("ot");
    let Some(ot_broker) = ot_side.broker() else { return };
    let Some(it_broker) = it_side.broker() else { return };
    ot_side.open_to(Half::Ot);
    let links = (ot_side.link(&ot_broker, &ot_side), it_side.link(&it_broker, &it_side));
    let mut relay = Relay::new(&settings(links.0, links.1));
    relay.start(Half::Ot);
    relay.wait_for_event(Half::Ot, Event::BrokerUp, &[]);
    // The certificate of another key.
    fs::copy(renewed.path("client.pem"), ot_side.path("client.pem")).unwrap();
    relay.signal(Half::Ot, Signal::HUP);
    relay.wait_for_event(Half::Ot, Event::CertNotRenewed, &[]);
    // And its key.
    fs::copy(renewed.path("client.key"), ot_side.path("client.key")).unwrap();
    relay.signal(Half::Ot, Signal::HUP);
    relay.wait_for_event(Half::Ot, Event::CertRenewed, &[]);
}

/// The broker of each side takes the old client certificate first, and then the renewed one alone.
#[test]
fn sessions_of_either_half_are_made_with_the_renewed_certificate() {
    let mut sides = Vec::new();
    for (half, name) in [(Half::Ot, "ot"), (Half::It, "it")] {
        let (old, renewed) = (Authority::new(name), Authority::new(name));
        fs::copy(old.path("ca.pem"), old.path("clients.pem")).unwrap();
        let Some(broker) = old.broker_for_clients_of("clients.pem") else { return };
        old.open_to(half);
        sides.push((half, old, renewed, broker));
    }
    let link = |side: &(Half, Authority, Authority, Broker)| side.1.link(&side.3, &side.1);
    let mut relay = Relay::new(&settings(link(&sides[0]), link(&sides[1])));
    relay.start(Half::Ot);
    relay.start(Half::It);
    relay.wait_for_event(Half::Ot, Event::BrokerUp, &[]);
    let mut edge = RawEdge::connect(sides[0].3.address, "Plant", "E");
    crate::waiting::wait_until("both halves are up", || {
        edge.nbirth(&[int("count", 1)]).unwrap();
        relay.count_events(Half::It, Event::BrokerUp) > 0
    });
    // IT first: behind an outage on OT the node is dead on IT until it is heard.
    for (half, old, renewed, broker) in sides.iter_mut().rev() {
        let before = relay.count_events(*half, Event::BrokerUp);
        // The key first, as a renewal may be met half done; by name, so that its owner stays.
        fs::write(old.path("client.key"), fs::read(renewed.path("client.key")).unwrap()).unwrap();
        relay.signal(*half, Signal::HUP);
        relay.wait_for_event(*half, Event::CertNotRenewed, &["client.key"]);
        fs::copy(renewed.path("client.pem"), old.path("client.pem")).unwrap();
        relay.signal(*half, Signal::HUP);
        relay.wait_for_event(*half, Event::CertRenewed, &[]);
        assert!(!relay.log(*half).contains("RELOAD_IGNORED"), "there was something to reload");
        broker.kill();
        fs::copy(renewed.path("ca.pem"), old.path("clients.pem")).unwrap();
        broker.restart();
        crate::waiting::wait_until("a session with the renewed certificate", || {
            relay.count_events(*half, Event::BrokerUp) > before
        });
        assert_eq!(relay.count_events(*half, Event::TlsRefused), 0);
    }
}

#[test]
fn a_client_certificate_of_version_1_is_shown_as_it_is() {
    let (ot_side, it_side) = (Authority::new("ot"), Authority::new("it"));
    let Some(ot_broker) = ot_side.broker() else { return };
    let Some(it_broker) = it_side.broker() else { return };
    for line in [
        "ecparam -name prime256v1 -genkey -noout -out client.key",
        "req -new -key client.key -subj /CN=relay -out client.csr",
        "x509 -req -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 9 -sha256 -out \
         client.pem",
    ] {
        if !ot_side.openssl(line) {
            return crate::broker::skipped("openssl is not installed");
        }
    }
    if !ot_side.says("x509 -in client.pem -noout -text").contains("Version: 1 ") {
        return crate::broker::skipped("this openssl makes no certificates of version 1");
    }
    let link = ot_side.link(&ot_broker, &ot_side);
    let mut relay = Relay::new(&settings(link, it_side.link(&it_broker, &it_side)));
    ot_side.open_to(Half::Ot);
    relay.start(Half::Ot);
    relay.wait_for_event(Half::Ot, Event::BrokerUp, &[]);
}

#[test]
fn a_broker_with_a_certificate_of_another_authority_is_refused_on_both_sides() {
    let (ot_side, it_side, other) =
        (Authority::new("ot"), Authority::new("it"), Authority::new("x"));
    let Some(ot_broker) = ot_side.broker() else { return };
    let Some(it_broker) = it_side.broker() else { return };
    let link = |broker: &Broker, of: &Authority| match of.link(broker, of) {
        Link::Tls { address, certificate, key, .. } => {
            Link::Tls { address, ca: other.path("ca.pem"), certificate, key }
        }
        plain @ (Link::Plain(_) | Link::Several(_)) => plain,
    };
    let settings = settings(link(&ot_broker, &ot_side), link(&it_broker, &it_side));
    let mut relay = Relay::new(&settings);
    relay.start(Half::Ot);
    relay.wait_for_log(Half::Ot, &["certificate"]);
    assert!(!ot_broker.log().contains("sparkdiode-ot"), "the relay said who it is");
    drop(relay);

    // With a good OT link there is something to tell IT about.
    let mut relay = Relay::new(&Settings { ot: ot_side.link(&ot_broker, &ot_side), ..settings });
    relay.start(Half::Ot);
    relay.start(Half::It);
    let it = Observer::start(it_broker.address);
    let mut edge = RawEdge::connect(ot_broker.address, "Plant", "E");
    crate::waiting::wait_until("the IT half says why it can't", || {
        edge.nbirth(&[int("count", 1)]).unwrap();
        relay.log(Half::It).lines().any(|line| line.contains("certificate"))
    });
    assert_eq!(it.count("spBv1.0/Plant/NBIRTH/E"), 0);
}

#[test]
fn a_client_certificate_that_the_broker_does_not_trust_is_said_clearly() {
    let (ot_side, other) = (Authority::new("ot"), Authority::new("x"));
    let Some(ot_broker) = ot_side.broker() else { return };
    let link = ot_side.link(&ot_broker, &other);
    let mut relay = Relay::new(&settings(link.clone(), link));
    relay.start(Half::Ot);
    relay.wait_for_log(Half::Ot, &["not connected", "doesn't accept our certificate"]);
}

#[test]
fn a_wrong_password_is_said_clearly() {
    let user = Some(("relay".to_owned(), "right".to_owned()));
    let Some(broker) = Broker::start(Options { user, ..Options::default() }) else { return };
    let proxy = Proxy::start(broker.address);
    let mut settings = settings(Link::Plain(proxy.address), Link::Plain(broker.address));
    settings.ot_broker = "user = \"relay\"\npassword-file = \"password\"".into();
    let mut relay = Relay::new(&settings);
    relay.write_secret(Half::Ot, "password", "wrong\n");
    relay.start(Half::Ot);
    relay.wait_for_event(
        Half::Ot,
        Event::LoginRefused,
        &["not connected", "not authorised (user `relay`"],
    );
    assert!(relay.terminate(Half::Ot).success());
    relay.write_secret(Half::Ot, "password", "right\n");
    relay.start(Half::Ot);
    crate::waiting::wait_until("the relay is in", || {
        proxy.count(|record| matches!(record.received(), Some(Packet::SubAck { .. }))) > 0
    });
    assert!(!relay.log(Half::Ot).contains("wrong"), "the password is in the log");
}

#[test]
fn a_user_without_a_password_goes_alone_on_either_side() {
    let Some(broker) = Broker::plain() else { return };
    let (ot, it) = (Proxy::start(broker.address), Proxy::start(broker.address));
    let mut settings = settings(Link::Plain(ot.address), Link::Plain(it.address));
    settings.ot_broker = "user = \"relay\"".into();
    settings.it_broker = "user = \"mirror\"".into();
    let mut relay = Relay::new(&settings);
    relay.start(Half::Ot);
    relay.start(Half::It);
    relay.wait_for_event(Half::Ot, Event::BrokerUp, &[]);
    let mut edge = RawEdge::connect(broker.address, "Plant", "E");
    crate::waiting::wait_until("the IT half is up", || {
        edge.nbirth(&[int("count", 1)]).unwrap();
        relay.count_events(Half::It, Event::BrokerUp) > 0
    });
    for (proxy, user) in [(ot, "relay"), (it, "mirror")] {
        let records = proxy.records();
        let mut connects = records.iter().filter_map(|record| match record.sent() {
            Some(Packet::Connect(connect)) => Some(connect),
            _ => None,
        });
        let connect = connects.next().unwrap();
        assert_eq!((connect.user.as_deref(), &connect.password), (Some(user), &None));
    }
}

pub(super) fn settings(ot: Link, it: Link) -> Settings {
    Settings {
        ot,
        it,
        policy: EVERYTHING.to_owned(),
        ot_broker: String::new(),
        it_broker: String::new(),
        ot_extra: String::new(),
        mirror: String::new(),
        journal: String::new(),
        journal_source: String::new(),
    }
}

/// A certificate authority with a certificate for a broker and one for a client.
pub(super) struct Authority {
    dir: tempfile::TempDir,
}

impl Authority {
    pub(super) fn new(name: &str) -> Authority {
        Authority::with_broker_until(name, (2999, 12, 31))
    }

    /// The broker's certificate ends so long after now.
    pub(super) fn with_broker_for(name: &str, left: Duration) -> Authority {
        let since_1970 = Duration::from_millis(now_ms()) + left;
        Authority::with_broker(name, |broker| {
            broker.not_after = date_time_ymd(1970, 1, 1) + since_1970;
        })
    }

    /// The broker's certificate is valid until then: year, month, day.
    pub(super) fn with_broker_until(name: &str, until: (i32, u8, u8)) -> Authority {
        Authority::with_broker(name, |broker| {
            broker.not_after = date_time_ymd(until.0, until.1, until.2);
        })
    }

    pub(super) fn with_broker(name: &str, change: impl Fn(&mut CertificateParams)) -> Authority {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, format!("authority {name}"));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        fs::write(dir.path().join("ca.key"), issuer.key().serialize_pem()).unwrap();
        let ends = [
            ("broker", ExtendedKeyUsagePurpose::ServerAuth),
            ("client", ExtendedKeyUsagePurpose::ClientAuth),
        ];
        for (end, usage) in ends {
            let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
            let mut params = CertificateParams::new(names).unwrap();
            params.extended_key_usages = vec![usage];
            if end == "broker" {
                change(&mut params);
            }
            params.distinguished_name.push(DnType::CommonName, format!("{end} of {name}"));
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            fs::write(dir.path().join(format!("{end}.pem")), certificate.pem()).unwrap();
            write_secret(&dir.path().join(format!("{end}.key")), &key.serialize_pem());
        }
        Authority { dir }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        Path::join(self.dir.path(), name)
    }

    /// A half may read the client's files again once it is sealed.
    fn open_to(&self, half: Half) {
        fs::set_permissions(self.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        if is_root() {
            chown(self.path("client.key"), Some(half.user()), Some(half.user())).unwrap();
        }
    }

    /// Runs openssl in the directory; false: there is none here.
    fn openssl(&self, line: &str) -> bool {
        let mut command = Command::new("openssl");
        let Ok(done) = command.args(line.split_whitespace()).current_dir(&self.dir).output() else {
            return false;
        };
        assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        true
    }

    /// What openssl says.
    fn says(&self, line: &str) -> String {
        let mut command = Command::new("openssl");
        let done = command.args(line.split_whitespace()).current_dir(&self.dir).output().unwrap();
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    pub(super) fn broker(&self) -> Option<Broker> {
        self.broker_for_clients_of("ca.pem")
    }

    /// It takes clients that the authorities in this file have signed.
    fn broker_for_clients_of(&self, authorities: &str) -> Option<Broker> {
        let tls = TlsFiles {
            ca: self.path(authorities),
            certificate: self.path("broker.pem"),
            key: self.path("broker.key"),
        };
        Broker::start(Options { tls: Some(tls), ..Options::default() })
    }

    /// To a broker of this authority, with the client certificate of another one perhaps.
    pub(super) fn link(&self, broker: &Broker, client: &Authority) -> Link {
        Link::Tls {
            address: broker.tls_address.unwrap(),
            ca: self.path("ca.pem"),
            certificate: client.path("client.pem"),
            key: client.path("client.key"),
        }
    }
}
