//! `[broker]` of both halves: where the broker is, who we are there, and how the connection is
//! protected.

use std::time::Duration;

use diagnostic::{Placed, SecretFile, Section};
use tls::TlsConfig;

use super::broker_tls::read_broker_tls;
use super::code;
use super::five::{self, FiveConfig, Protocol};
use super::profile::{PROFILES, Profile};
use super::reader::Reader;
use super::servers::{self, AddressesPath, ServersConfig};

/// `keep-alive-s`: a dead connection is noticed within twice this. 30 s keeps NAT
/// and firewall tables warm (their shortest usual timeout is 60 s).
const DEFAULT_KEEP_ALIVE_S: u64 = 30;
/// `connect-timeout-s`: clouds and satellite links take some seconds, and a broker that loads its store
/// or asks another server for the login takes more.
const DEFAULT_CONNECT_TIMEOUT_S: u64 = 30;
/// `answer-timeout-s`: brokers answer a request within milliseconds of its arrival; one that owes an
/// answer for so long, and has the request, has forgotten it.
const DEFAULT_ANSWER_TIMEOUT_S: u64 = 30;
/// `max-packet-bytes` of the OT half: births of a few thousand metrics reach some hundred
/// kilobytes; the MQTT client's own default of 10 KiB would cut the connection on them.
pub(super) const DEFAULT_OT_MAX_PACKET_BYTES: u64 = 1024 * 1024;
/// `max-packet-bytes` of the IT half: aliases become names on their way, so that a packet can
/// leave larger than it came.
pub(super) const DEFAULT_IT_MAX_PACKET_BYTES: u64 = 4 * 1024 * 1024;

/// The keys of `[broker]`. `client-id` is that of the OT half, `client-id-prefix` of the IT half.
pub(super) const BROKER_KEYS: &[&str] = &[
    "address",
    "addresses",
    "addresses-file",
    "order",
    "return-to-first-after-s",
    "share-sessions",
    "client-id",
    "client-id-prefix",
    "client-id-form",
    "user",
    "password-file",
    "keep-alive-s",
    "connect-timeout-s",
    "answer-timeout-s",
    "max-packet-bytes",
    "protocol",
    "session-expiry-s",
    "announce-packet-limit",
    "topic-aliases",
    "profile",
    "plaintext",
    "tls",
];
/// How one half reaches its broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerConfig {
    /// Hosts and ports, of which one is used at a time; the relay only ever connects outwards.
    pub servers: ServersConfig,
    /// Where somebody outside of the seal keeps what their names are at the moment.
    pub addresses_file: Option<AddressesPath>,
    pub client_id_form: ClientIdForm,
    pub protocol: Protocol,
    /// Of MQTT 5 alone.
    pub five: FiveConfig,
    /// User and password, if the broker asks for them.
    pub credentials: Option<Credentials>,
    /// MQTT keep alive. 5 s to 1 h.
    pub keep_alive: Duration,
    /// Longest wait for each of TCP connection, TLS handshake and CONNACK. 1 s to 10 min.
    pub connect_timeout: Duration,
    /// Longest wait for an answer to a request that has left. 5 s to 1 h.
    pub answer_timeout: Duration,
    /// Largest MQTT packet in either direction. 16 KiB to 64 MiB.
    pub max_packet_bytes: u32,
    /// What the broker is known to take; `None`: nobody has said which one it is.
    pub profile: Option<&'static Profile>,
    /// `None`: plain TCP, which the operator has asked for by `plaintext = true`.
    ///
    /// Its `server_name` is the first server's; each has its own in [`BrokerConfig::servers`].
    pub tls: Option<TlsConfig>,
}

/// What MQTT client identifiers look like (`client-id-form`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientIdForm {
    /// Readable as long as the broker takes it, else short.
    Auto,
    /// 1 to 23 letters and digits, which every broker must take.
    Short,
    Readable,
}

/// MQTT user name and where its password is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub user: String,
    /// Read by [`SecretFile::read`] when the half starts. `None`: the broker wants a user name
    /// alone, as those do that know a client by its certificate.
    pub password: Option<SecretFile>,
}

impl BrokerConfig {
    /// Types `[broker]`, in which the half has read its own keys; `None` if something in it was
    /// reported.
    pub(super) fn read(
        reader: &mut Reader,
        section: &mut Section<'_, '_>,
        default_max_packet_bytes: u64,
    ) -> Option<BrokerConfig> {
        let named = servers::read_named(reader, section);
        let how = servers::read_use(reader, section, named.as_ref());
        let addresses_file = reader.path_under(section, "addresses-file");
        let addresses_file = named
            .as_ref()
            .and_then(|named| addresses_file.map(|file| AddressesPath::new(file.path, named)));
        let credentials = read_credentials(reader, section);
        let forms = [
            ("auto", ClientIdForm::Auto),
            ("short", ClientIdForm::Short),
            ("readable", ClientIdForm::Readable),
        ];
        let client_id_form = reader.word(section, "client-id-form", &forms, ClientIdForm::Auto);
        let (protocol, five) = five::read(reader, section);
        let keep_alive_s = reader.number(section, "keep-alive-s", 5..=3_600, DEFAULT_KEEP_ALIVE_S);
        let connect_timeout_s =
            reader.number(section, "connect-timeout-s", 1..=600, DEFAULT_CONNECT_TIMEOUT_S);
        let answer_timeout_s =
            reader.number(section, "answer-timeout-s", 5..=3_600, DEFAULT_ANSWER_TIMEOUT_S);
        let known = PROFILES.iter().map(|profile| (profile.name, Some(profile)));
        let known: Vec<_> = known.collect();
        let profile = reader.word(section, "profile", &known, None);
        let taken = profile.and_then(|profile| profile.payload_bytes);
        let default_max_packet_bytes = taken
            .map_or(default_max_packet_bytes, |taken| taken.value.min(default_max_packet_bytes));
        let max_packet_bytes = reader.number(
            section,
            "max-packet-bytes",
            16 * 1024..=64 * 1024 * 1024,
            default_max_packet_bytes,
        );
        let plaintext = section.boolean("plaintext", &mut reader.problems);
        let tls = section.table("tls", "broker.tls", &mut reader.problems);
        reader.close(section);
        let tls = match tls {
            Some(tls) => {
                if let Some(plaintext) = plaintext.filter(|word| word.value) {
                    let title = "`plaintext` and `[broker.tls]` exclude each other";
                    let problem = reader
                        .error(code::COMBINATION, plaintext.span, title)
                        .label("asks for no TLS")
                        .also(tls.header(), "asks for TLS");
                    reader.push(problem);
                }
                Some(read_broker_tls(reader, tls, named.as_ref())?)
            }
            None => {
                check_plaintext(reader, section, plaintext);
                None
            }
        };
        let (tls, names) = tls.unzip();
        Some(BrokerConfig {
            servers: servers::typed(named?, names, how)?,
            addresses_file,
            client_id_form,
            protocol,
            five,
            credentials: credentials?,
            keep_alive: Duration::from_secs(keep_alive_s),
            connect_timeout: Duration::from_secs(connect_timeout_s),
            answer_timeout: Duration::from_secs(answer_timeout_s),
            max_packet_bytes: u32::try_from(max_packet_bytes).ok()?,
            profile,
            tls,
        })
    }
}

/// The largest packet; of a section in which something was reported nothing is used.
pub(super) fn packet_bytes(broker: Option<&BrokerConfig>) -> usize {
    let bytes = broker.map_or(0, |broker| broker.max_packet_bytes);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// No TLS is a choice that the operator makes in words, never one that is made by leaving
/// something out.
fn check_plaintext(
    reader: &mut Reader,
    section: &Section<'_, '_>,
    plaintext: Option<Placed<bool>>,
) {
    match plaintext {
        Some(word) if word.value => {
            let title = "the connection to the broker is neither encrypted nor authenticated";
            let problem = reader
                .warning(code::PLAINTEXT, word.span, title)
                .help("for anything but a laboratory, replace it by `[broker.tls]`");
            reader.push(problem);
        }
        _ if section.is_excused("tls") => {}
        None if section.is_excused("plaintext") => {}
        _ => {
            let Some(span) = section.place() else { return };
            let problem = reader
                .error(code::COMBINATION, span, "no `[broker.tls]`, and plain TCP wasn't asked for")
                .help("add `[broker.tls]` with `ca-file`, or, in a laboratory, `plaintext = true`");
            reader.push(problem);
        }
    }
}

/// Outer `None`: something was reported.
fn read_credentials(
    reader: &mut Reader,
    section: &mut Section<'_, '_>,
) -> Option<Option<Credentials>> {
    let user = section.string("user", &mut reader.problems);
    match (user, section.string("password-file", &mut reader.problems)) {
        (None, None) => Some(None),
        (Some(user), file) => {
            if user.value.is_empty() || user.value.chars().any(char::is_control) {
                let title = format!("bad value of `user`: `{}`", user.value);
                let problem =
                    reader.error(code::VALUE, user.span, title).label("wanted a user name");
                reader.push(problem);
            }
            let password = file.map(|file| read_password(reader, &file));
            Some(Some(Credentials { user: user.value, password }))
        }
        (None, Some(file)) => {
            // MQTT 3.1.1 has no password without a user name (MQTT-3.1.2-22).
            let problem =
                reader.error(code::COMBINATION, file.span, "`password-file` without `user`");
            reader.push(problem);
            None
        }
    }
}

/// Where the password is; that it can be read is seen now, where it is there.
fn read_password(reader: &mut Reader, file: &Placed<String>) -> SecretFile {
    let file = reader.path("password-file", file);
    let password = SecretFile::new(&file.path);
    if file.visible
        && let Err(error) = password.read_line()
    {
        let problem = reader.error(code::SECRET, file.span, error.to_string());
        let problem = error.hint().into_iter().fold(problem, |problem, hint| problem.help(hint));
        reader.push(problem);
    }
    password
}
