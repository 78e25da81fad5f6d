//! What the configuration of a half means, in plain words.

use std::path::Path;

use config::{
    BrokerConfig, Durability, FirstStart, ItConfig, OnGap, OtConfig, Protocol, SandboxConfig,
    ServerOrder, SyslogConfig,
};
use sandbox::{Layer, UserSpec};
use text::{counted, escape, exact_size};

use super::lines::{item, line};
use crate::cli::relay_node::RelayNode;
use crate::cli::{addresses, syslog};

pub(super) fn describe_ot(text: &mut String, path: &Path, config: &OtConfig) {
    line(text, &format!("\n{}: OT half `{}`", path.display(), config.name));
    let broker = &config.broker;
    item(text, "broker", &format!("{}, as client `{}`", broker.servers, config.client_id));
    describe_connection(text, broker);
    if broker.servers.are_several() {
        let words = match config.share_sessions {
            true => "what one keeps of the session, all of them have (`share-sessions`)",
            false => "what one keeps while another is used is thrown away before it is used again",
        };
        item(text, "", words);
    }
    if broker.protocol == Protocol::Five {
        let hours = broker.five.session_expiry.as_secs() / 3_600;
        let words = format!(
            "kept by the broker for {} while we are away, if it does",
            counted(hours, "hour")
        );
        item(text, "session", &words);
    }
    let journal = &config.journal;
    item(text, "journal", &format!("{}, written", journal.path.display()));
    let hours = journal.retain_age.as_secs() / 3_600;
    item(
        text,
        "",
        &format!(
            "at most {} or {} old, in segments of {}",
            exact_size(journal.retain_bytes),
            counted(hours, "hour"),
            exact_size(journal.segment_bytes)
        ),
    );
    item(
        text,
        "",
        match journal.durability {
            Durability::Process => {
                "what was acknowledged survives kill -9 of the relay, not a loss of power"
            }
            Durability::Power => "what was acknowledged survives a loss of power",
        },
    );
    item(text, "state", &config.state_dir.display().to_string());
    describe_syslog(text, &config.syslog);
    let relay = &config.relay;
    item(
        text,
        "repeats",
        &format!(
            "every live node and device at least every {} s; up to {} with {} each",
            relay.keyframe_every.as_secs(),
            counted(relay.max_nodes, "edge node"),
            counted(relay.max_devices_per_node, "device")
        ),
    );
    if let Some(shard) = relay.shard {
        let (index, count) = (shard.index(), shard.count());
        let words = format!(
            "{index} of {count}: of the edge nodes that the policy names, those whose names' hash says {index};"
        );
        item(text, "shard", &words);
        item(text, "", "what comes of others is counted apart; whether all relays fit together,");
        item(text, "", "`sparkdiode check` says when it is given the files of all");
    }
    describe_sandbox(text, &config.sandbox);
}

pub(super) fn describe_sandbox(text: &mut String, sandbox: &SandboxConfig) {
    let user = match &sandbox.user {
        Some(UserSpec { user, group: None }) => format!("as user `{user}`"),
        Some(UserSpec { user, group: Some(group) }) => format!("as user `{user}`, group `{group}`"),
        None => "as the user that starts it, which may not be root".to_owned(),
    };
    let waived: Vec<&str> = sandbox.waived.iter().map(|layer| layer.name()).collect();
    let user = if sandbox.waived.contains(&Layer::User) {
        "as whoever starts it".to_owned()
    } else {
        user
    };
    item(text, "sealed", &user);
    // As this machine would do it; `sandbox check` tries it.
    if let Some(level) = sandbox::level().ok().filter(|level| level.is_dialled()) {
        item(text, "", &format!("on this kernel at level {level}"));
    }
    if !waived.is_empty() {
        item(text, "", &format!("WITHOUT {}", waived.join(", ")));
    }
}

pub(super) fn describe_it(text: &mut String, path: &Path, config: &ItConfig) {
    line(text, &format!("\n{}: IT half", path.display()));
    let broker = &config.broker;
    item(
        text,
        "broker",
        &format!(
            "{}, one session per {}, as clients `{}/…`",
            broker.servers,
            if config.mirror.fold.is_some() { "group" } else { "edge node" },
            config.client_id_prefix
        ),
    );
    describe_connection(text, broker);
    let start = match config.first_start {
        FirstStart::Oldest => "oldest frame",
        FirstStart::Newest => "newest segment",
    };
    item(
        text,
        "journal",
        &format!(
            "{}, only read; a first start begins with the {start}",
            config.journal_path.display()
        ),
    );
    item(text, "state", &config.state_dir.display().to_string());
    describe_syslog(text, &config.syslog);
    let mirror = &config.mirror;
    if let Some(fold) = &mirror.fold {
        let words =
            format!("the edge nodes of a group are devices of one edge node, `{}`", escape(fold));
        item(text, "folds", &words);
    }
    item(
        text,
        "deaths",
        &format!(
            "{} of silence of the OT half: every node is declared dead",
            counted(mirror.stale_after.as_secs(), "second")
        ),
    );
    item(
        text,
        "gaps",
        match mirror.on_gap {
            OnGap::Mark => "messages lost in the plant: values not seen since are marked STALE",
            OnGap::Death => "messages lost in the plant: the node is dead until its next birth",
            OnGap::Ignore => "messages lost in the plant: counted only",
        },
    );
    if let Some(host) = &mirror.primary_host {
        item(text, "waits", &format!("for STATE of the primary host `{}`", escape(host)));
    }
    item(
        text,
        "history",
        &if config.backfill.enabled {
            format!(
                "what an outage of IT missed is sent as historical data, {} messages/s",
                config.backfill.messages_per_s
            )
        } else {
            "what an outage of IT missed is not sent again".to_owned()
        },
    );
    match &config.health {
        Some(health) => {
            let own = RelayNode { health, relay: None, it_path: path, paths: &[] }.name();
            let called = match health.edge_node {
                Some(_) => "",
                None => ", NAME being the relay's",
            };
            let said = format!("itself, as edge node `{}`{called}", escape(&own));
            item(text, "shows", &said);
        }
        None => item(text, "shows", "nothing of itself: `[health]` is switched off"),
    }
    if config.policy_paths.is_empty() {
        item(
            text,
            "policies",
            "no copy: frames of the journal are not checked a second time, and history",
        );
        item(
            text,
            "",
            "of before a tighter policy stays here; a copy is recommended (`[policies]`)",
        );
    }
    describe_sandbox(text, &config.sandbox);
}

pub(super) fn describe_syslog(text: &mut String, targets: &[SyslogConfig]) {
    for (at, target) in targets.iter().enumerate() {
        item(text, if at == 0 { "logs to" } else { "" }, &syslog::describe(target));
    }
}

/// `a` and `b`, in the order of the servers; each once.
fn server_names(broker: &BrokerConfig) -> String {
    let mut names: Vec<String> = Vec::new();
    for name in broker.servers.iter().filter_map(|server| server.server_name.as_ref()) {
        let name = format!("`{name}`");
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

fn describe_connection(text: &mut String, broker: &BrokerConfig) {
    let servers = &broker.servers;
    if servers.are_several() {
        let order = match servers.order {
            ServerOrder::InOrder => "the first that can be, in this order",
            ServerOrder::Rotating => "after each the next one that can be",
        };
        let return_to = match servers.return_after {
            None => "the first isn't returned to while another can be used".to_owned(),
            Some(after) => {
                format!("the first again when it has been reachable for {} s", after.as_secs())
            }
        };
        item(text, "", &format!("one at a time: {order}; {return_to}"));
    }
    if let Some(path) = &broker.addresses_file {
        for file in addresses::files_of(broker) {
            let (host, path) = (file.host(), file.path().display());
            item(text, "", &format!("where `{host}` is, `sparkdiode resolve` keeps in {path}"));
        }
        if addresses::files_of(broker).is_empty() {
            let path = path.of_host(&servers.first.address.host);
            let words = format!("{} isn't used: these are addresses", path.display());
            item(text, "", &words);
        }
    }
    if broker.protocol == Protocol::Five {
        item(text, "", "in MQTT 5");
    }
    match &broker.tls {
        None => item(text, "protection", "NONE: plain TCP"),
        Some(tls) => {
            item(
                text,
                "protection",
                &format!(
                    "TLS; the broker must be {}, signed by {}",
                    server_names(broker),
                    tls.ca_file.display()
                ),
            );
            if let Some(identity) = &tls.identity {
                let file = identity.certificate_file.display();
                item(text, "", &format!("we show the certificate in {file}"));
            }
        }
    }
    if let Some(credentials) = &broker.credentials {
        let password = match &credentials.password {
            Some(file) => format!("password from {}", file.path().display()),
            None => "without a password".to_owned(),
        };
        item(text, "user", &format!("`{}`, {password}", escape(&credentials.user)));
    }
}
