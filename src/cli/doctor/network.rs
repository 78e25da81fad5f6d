//! The broker of one half, asked by a process of its own: it is sealed as the half is before it connects,
//! and knows nothing of the other half.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use broker::{FailureKind, Server};
use config::{Address, BrokerConfig, ItConfig, OtConfig, Protocol, SandboxConfig};
use doctor::{Found, OpenedVisit, Visit};
use sandbox::{Layer, Role};
use sparkplug::{Caps, STATE_FILTERS};
use text::counted;
use tls::{EXPIRY_WARNING_DAYS, days_left};

use super::DoctorArgs;
use super::finding::Finding;
use super::heard::Ear;
use crate::cli::check::{Kind, recognise};
use crate::cli::policy_source::PolicySource;
use crate::cli::{Exit, Failure, addresses, report, sealing, startup, status};

/// Longest wait for each step: people wait for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Filters that are named.
const MAX_NAMED: usize = 3;

/// What is asked, of one half.
struct Question {
    role: Role,
    broker: BrokerConfig,
    sandbox: SandboxConfig,
    client_id: String,
    filters: Vec<String>,
    caps: Caps,
    sessions: usize,
}

/// Asks, and prints what was found: one JSON array a line.
pub(super) fn run(path: &Path, arguments: &DoctorArgs) -> Result<Exit, Failure> {
    let findings = ask(path, arguments).unwrap_or_else(|failure| {
        let (words, hint) = failure.words();
        let remedy = hint.unwrap_or_else(|| "mend what is named above first".to_owned());
        vec![Finding::odd("network", format!("the broker wasn't asked: {words}"), remedy)]
    });
    for finding in findings {
        report::json(&finding.to_json())?;
    }
    Ok(Exit::Ok)
}

fn ask(path: &Path, arguments: &DoctorArgs) -> Result<Vec<Finding>, Failure> {
    let (kind, _) = recognise(path)?;
    let is_it = kind == Kind::It;
    let role = if is_it { Role::It } else { Role::Ot };
    let start = sealing::start(role)?;
    let mut question = question(is_it, path, arguments)?;
    let mut findings = Vec::new();
    for address in question.broker.servers.addresses() {
        findings.push(names(address, &question.broker));
    }
    if findings.iter().all(Finding::is_bad) {
        return Ok(findings);
    }
    // Whoever may not do everything here isn't kept from asking.
    question.sandbox.waived.extend(&missing(arguments));
    let mut broker = startup::broker_settings(&question.broker, question.client_id.clone())?;
    broker.connect_within = broker.connect_within.min(PATIENCE);
    broker.answer_within = broker.answer_within.min(PATIENCE);
    let demoted = sealing::demote_tool(start, path, &question.broker, &question.sandbox)?;
    let servers = Arc::clone(&broker.servers);
    let mut visits = Vec::new();
    // One whose name has no address can't be asked.
    let known = servers.iter().filter(|server| !server.addresses.in_turn().is_empty());
    for server in known {
        let visit = Visit {
            broker: broker.with_only(server),
            filters: question.filters.clone(),
            extras: STATE_FILTERS.map(str::to_owned).to_vec(),
            listen: Duration::from_secs(arguments.listen_s.into()),
            sessions: question.sessions,
        };
        let opened = OpenedVisit::new(visit)
            .map_err(|error| Failure::new(Exit::Io, format!("cannot start: {error}")))?;
        visits.push((server, opened));
    }
    let sealed = sealing::seal(demoted, &sealing::tool_grants(&question.broker))?;
    for (server, opened) in visits {
        let mut ear = Ear::default();
        let caps = question.caps.clone();
        let found = doctor::visit(opened, &sealed, &mut |heard| {
            ear.hear(heard, &caps, clock::wall_ms());
        });
        let mut of_server = steps(&found, &question, server);
        if found.session.as_ref().is_some_and(Result::is_ok) && !found.granted.is_empty() {
            of_server.extend(ear.findings());
        }
        if servers.are_several() {
            let address = server.address();
            of_server = of_server.into_iter().map(|finding| finding.at(&address)).collect();
        }
        findings.extend(of_server);
    }
    Ok(findings)
}

/// What the name of a server is.
fn names(address: &Address, broker: &BrokerConfig) -> Finding {
    match addresses::of_server(address, broker.addresses_file.as_ref()) {
        Ok(found) => {
            let found: Vec<String> =
                found.in_turn().iter().map(|one| one.ip().to_string()).collect();
            Finding::good("names", format!("`{}` is {}", address.host, found.join(", ")))
        }
        Err(failure) => {
            let remedy = "correct `address`, or the resolver (/etc/resolv.conf, /etc/hosts): getent \
                          hosts tries it; an IP address needs none";
            Finding::bad("names", failure.words().0, remedy)
        }
    }
}

/// Layers that the kernel was found to lack.
fn missing(arguments: &DoctorArgs) -> Vec<Layer> {
    let is_named = |layer: &Layer| arguments.missing.iter().any(|name| name == layer.name());
    Layer::ALL.into_iter().filter(is_named).collect()
}

fn question(is_it: bool, path: &Path, arguments: &DoctorArgs) -> Result<Question, Failure> {
    let own = |id: &str| match &arguments.client_id {
        Some(id) => id.clone(),
        None => format!("{id}-doctor-{}", std::process::id()),
    };
    Ok(match is_it {
        false => {
            let (config, _) = OtConfig::load(path)?;
            Question {
                role: Role::Ot,
                client_id: own(&config.client_id),
                filters: filters_of_policy(&config),
                caps: config.limits,
                broker: config.broker,
                sandbox: config.sandbox,
                sessions: 1,
            }
        }
        true => {
            let (config, _) = ItConfig::load(path)?;
            Question {
                role: Role::It,
                client_id: own(&config.client_id_prefix),
                filters: filters_of_mirror(&config),
                caps: config.limits,
                broker: config.broker,
                sandbox: config.sandbox,
                sessions: arguments.sessions.into(),
            }
        }
    })
}

/// What the OT half would subscribe to; nothing where its policy can't be read, which others tell.
fn filters_of_policy(config: &OtConfig) -> Vec<String> {
    let paths = config.policy_paths.clone();
    let source = PolicySource::new(paths, config.require_signature.clone(), &config.state_dir);
    source.read().map(|(policy, _)| policy.policy.subscriptions()).unwrap_or_default()
}

/// What the IT half would subscribe to: commands of the nodes that it mirrors, as far as they are
/// known, and the STATE of the host that it waits for.
fn filters_of_mirror(config: &ItConfig) -> Vec<String> {
    let state = config.mirror.primary_host.as_ref();
    let mut filters: Vec<String> =
        state.map(|host| format!("spBv1.0/STATE/{host}")).into_iter().collect();
    let status = status::peek(&config.state_dir);
    let nodes = status.iter().flat_map(|status| status.nodes.talkers.iter());
    let names = nodes.filter_map(|node| node.node.split_once('/'));
    let before = filters.len();
    for (group, node) in names {
        filters.push(format!("spBv1.0/{group}/NCMD/{node}"));
        filters.push(format!("spBv1.0/{group}/DCMD/{node}/+"));
    }
    if filters.len() == before {
        filters.push("spBv1.0/+/NCMD/+".to_owned());
        filters.push("spBv1.0/+/DCMD/+/+".to_owned());
    }
    filters
}

/// What each step came to.
fn steps(found: &Found, question: &Question, server: &Server) -> Vec<Finding> {
    let address = server.address();
    let mut findings = Vec::new();
    match &found.connection {
        Some(Ok(())) => {
            findings.push(Finding::good("tcp", format!("{address} takes connections")));
        }
        Some(Err(error)) => findings.push(Finding::bad(
            "tcp",
            format!("{address}: {error}"),
            "start the broker, or correct `address`; a firewall or a missing route looks the same: \
             ip route get, ss -tln at the broker",
        )),
        None => {}
    }
    match &found.handshake {
        Some(Ok(())) => findings.push(Finding::good(
            "tls",
            format!("the broker is `{}`, by an authority of `ca-file`", server_name(server)),
        )),
        Some(Err(error)) => {
            let remedy = format!(
                "mend what is named there, or `ca-file`, `server-name` and the port: openssl s_client \
                 -connect {address} -showcerts </dev/null shows what the broker shows"
            );
            findings.push(Finding::bad("tls", error, remedy));
        }
        None if found.connection.as_ref().is_some_and(Result::is_ok) => {
            findings.push(Finding::odd(
                "tls",
                "none: `plaintext = true`",
                "[broker.tls], once the broker has a listener for it",
            ))
        }
        None => {}
    }
    findings.extend(peer_end(server));
    match &found.session {
        Some(Ok(())) if found.needs_short_id => findings.push(Finding::odd(
            "session",
            "the broker takes short client identifiers alone, which each start finds out anew",
            "client-id-form = \"short\"",
        )),
        Some(Ok(())) => {
            findings.push(Finding::good("session", admitted(question.broker.protocol, found)))
        }
        Some(Err(failure)) => {
            findings.push(Finding::bad("session", &failure.text, of_login(failure.kind)));
        }
        None => {}
    }
    if found.session.as_ref().is_some_and(Result::is_ok) {
        findings.push(rights(found, question.role));
        if question.role == Role::It {
            findings.push(sessions(found, question.sessions));
        }
    }
    findings
}

/// That we are in, by which MQTT, and what the broker says of its limits.
fn admitted(protocol: Protocol, found: &Found) -> String {
    let words = "the broker lets us in".to_owned();
    match (protocol, found.offers.join(", ")) {
        (Protocol::Three, _) => words,
        (Protocol::Five, offers) if offers.is_empty() => format!("{words}, in MQTT 5"),
        (Protocol::Five, offers) => format!("{words}, in MQTT 5; it says: {offers}"),
    }
}

fn server_name(server: &Server) -> String {
    server.tls.as_ref().map_or_else(String::new, |tls| tls.server_name.clone())
}

/// The broker's certificate, if it ends soon.
fn peer_end(server: &Server) -> Option<Finding> {
    let end = server.tls.as_ref()?.source.peer().end()?;
    let left = days_left(end.not_after, clock::wall());
    (0..EXPIRY_WARNING_DAYS).contains(&left).then(|| {
        let words = format!("the broker's certificate ends in {}", counted(left, "day"));
        Finding::odd("tls", words, "have it renewed before that: nothing crosses afterwards")
    })
}

/// What helps where a session is refused.
fn of_login(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Login => {
            "compare `user` and `password-file` with the broker's users, and see that its access list \
             admits the client identifier (`--client-id` names one that it does)"
        }
        FailureKind::Identifier => {
            "`client-id-form = \"short\"`, or allow the identifier at the broker (`--client-id` names \
             another one for this visit); a smaller `keep-alive-s`"
        }
        FailureKind::Later => {
            "look at the broker's load and its limit of connections, and whether `address` is a standby's"
        }
        FailureKind::Tls => "compare `[broker.tls]` with the broker's listener",
        FailureKind::Other => {
            "compare `address` and `[broker.tls]` with the broker's listeners: which port speaks what?"
        }
    }
}

/// What the broker grants of what the half needs.
fn rights(found: &Found, role: Role) -> Finding {
    let remedy = "`sparkdiode policy acl --mosquitto` prints the list that the broker needs";
    if let Some(why) = &found.unsubscribed {
        return Finding::bad("rights", format!("no answer to a subscription: {why}"), remedy);
    }
    let all = found.granted.len().saturating_add(found.refused.len());
    if all == 0 {
        return Finding::odd("rights", "nothing to ask for: no policy that can be read", "mend it");
    }
    if found.refused.is_empty() {
        let publishing = match role == Role::It {
            false => "",
            true => "; whether it lets us publish can't be asked without publishing",
        };
        let words = format!("the broker grants {}{publishing}", counted(all, "subscription"));
        return Finding::good("rights", words);
    }
    let named: Vec<String> =
        found.refused.iter().take(MAX_NAMED).map(|filter| format!("`{filter}`")).collect();
    let more = found.refused.len().saturating_sub(named.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let refused = counted(found.refused.len(), "subscription");
    let words = format!("the broker refuses {refused} of {all}: {}{more}", named.join(", "));
    Finding::bad("rights", words, remedy)
}

/// How many sessions the enterprise broker lets stand at once.
fn sessions(found: &Found, wanted: usize) -> Finding {
    match &found.no_more {
        None => {
            let words =
                format!("the broker let {} stand at once", counted(found.sessions, "session"));
            Finding::good("sessions", words)
        }
        Some(why) => Finding::bad(
            "sessions",
            format!(
                "the broker let {} stand at once, of {wanted} tried, and then: {why}",
                counted(found.sessions, "session")
            ),
            "each mirrored edge node has a session of its own: raise the broker's limit of connections \
             (mosquitto: max_connections), for all clients or for this user",
        ),
    }
}

/// Whether something that the connection needs is handed over by systemd alone, and isn't here.
pub(super) fn needs_systemd(broker: &BrokerConfig) -> bool {
    let tls = broker.tls.iter().flat_map(|tls| {
        let own = tls.identity.iter();
        let own =
            own.flat_map(|own| [own.certificate_file.clone(), own.key_file.path().to_owned()]);
        own.chain([tls.ca_file.clone()])
    });
    let password = broker.credentials.iter().filter_map(|own| own.password.as_ref());
    let password = password.map(|file| file.path().to_owned());
    tls.chain(password).any(|file: PathBuf| file.starts_with(config::CREDENTIALS_VARIABLE))
}
