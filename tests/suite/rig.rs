//! Everything around the relay: two brokers, a recording proxy before each, an observer on
//! both, and the judgement that every end-to-end test ends with.

use std::net::SocketAddr;

use crate::broker::{Broker, Options};
use crate::checker::{Excuse, errors};
use crate::packet::{Connect, Packet};
use crate::peers::observer::Observer;
use crate::peers::unfolded;
use crate::relay::{Half, Link, Relay, Settings};
use crate::waiting::wait_until;
use crate::wire::{Event, Proxy, Record, ot_guard};

/// Forwards everything of the group `Plant`.
pub(crate) const EVERYTHING: &str = r#"
[[rule]]
name = "everything"
action = "forward"
group = "Plant"
"#;

pub(crate) struct Rig {
    pub(crate) relay: Relay,
    /// Before the OT broker; only the relay goes through it.
    pub(crate) ot_proxy: Proxy,
    /// Before the IT broker; only the relay goes through it.
    pub(crate) it_proxy: Proxy,
    pub(crate) ot_broker: Broker,
    pub(crate) it_broker: Broker,
    /// Sees everything on the OT broker.
    pub(crate) ot: Observer,
    /// Sees everything on the IT broker.
    pub(crate) it: Observer,
}

/// What a test may vary before the relay starts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variation {
    pub(crate) ot_broker: Options,
    pub(crate) it_broker: Options,
    pub(crate) journal: String,
    pub(crate) journal_source: String,
    pub(crate) mirror: String,
    pub(crate) ot_extra: String,
    /// More lines of `[broker]` of `ot.toml`, and of `it.toml`.
    pub(crate) ot_connection: String,
    pub(crate) it_connection: String,
    /// The relay is at both brokers under the access lists that follow from its policy. With
    /// `SPARKDIODE_TEST_ACCESS_LISTS` it is in every test.
    pub(crate) lists: bool,
}

/// Which MQTT both halves speak in every test that starts with a rig: `3.1.1` or `5`.
const PROTOCOL: &str = "SPARKDIODE_TEST_PROTOCOL";

/// The line of `[broker]` for it.
pub(crate) fn protocol() -> String {
    std::env::var(PROTOCOL).map(|value| format!("protocol = \"{value}\"\n")).unwrap_or_default()
}

impl Rig {
    /// Brokers, proxies and both halves run, and the OT half has its subscriptions. `None`
    /// when there is no broker to be had.
    pub(crate) fn start(policy: &str) -> Option<Rig> {
        let mut rig = Rig::prepare(policy, &Variation::default())?;
        rig.start_both();
        Some(rig)
    }

    /// The same, but neither half runs yet.
    pub(crate) fn prepare(policy: &str, variation: &Variation) -> Option<Rig> {
        let lists = variation.lists || std::env::var_os("SPARKDIODE_TEST_ACCESS_LISTS").is_some();
        let start = |options: &Options| {
            // Another kind of access is what such a test is about; and a broker that was restarted has
            // forgotten by which listener an absent client without a name came.
            let own = options.access.is_some() || options.user.is_some() || options.persistence;
            let list = lists && !own;
            Broker::start(Options { list, ..options.clone() })
        };
        let ot_broker = start(&variation.ot_broker)?;
        let it_broker = start(&variation.it_broker)?;
        let ot_proxy = Proxy::start(ot_broker.list_address.unwrap_or(ot_broker.address));
        let it_proxy = Proxy::start(it_broker.list_address.unwrap_or(it_broker.address));
        let protocol = protocol();
        // A test about folds says so itself.
        let folds = unfolded::is_asked_for() && !variation.mirror.contains("fold");
        let fold = if folds { "fold = \"group\"\n" } else { "" };
        let mirror = format!("{fold}{}", variation.mirror);
        let settings = Settings {
            ot: Link::Plain(ot_proxy.address),
            it: Link::Plain(it_proxy.address),
            policy: policy.to_owned(),
            ot_broker: format!("{protocol}{}", variation.ot_connection),
            it_broker: format!("{protocol}{}", variation.it_connection),
            ot_extra: variation.ot_extra.clone(),
            mirror,
            journal: variation.journal.clone(),
            journal_source: variation.journal_source.clone(),
        };
        let mut relay = Relay::new(&settings);
        let list = |broker: &Broker| broker.list_address.map(|_| broker.list());
        relay.lists = [(Half::Ot, list(&ot_broker)), (Half::It, list(&it_broker))];
        relay.ask_for_rights();
        let ot = Observer::start(ot_broker.address);
        let it = match folds {
            true => Observer::unfolding(it_broker.address),
            false => Observer::start(it_broker.address),
        };
        Some(Rig { relay, ot_proxy, it_proxy, ot_broker, it_broker, ot, it })
    }

    pub(crate) fn start_both(&mut self) {
        self.start_ot();
        self.relay.start(Half::It);
    }

    /// Starts the OT half and waits until the broker has granted its subscriptions.
    pub(crate) fn start_ot(&mut self) {
        let before = self.subscriptions();
        self.relay.start(Half::Ot);
        wait_until("the OT half has subscribed", || {
            assert!(!self.relay.has_ended(Half::Ot), "it ended by itself");
            self.subscriptions() > before
        });
    }

    /// How often the OT broker granted subscriptions to the relay.
    pub(crate) fn subscriptions(&self) -> usize {
        self.ot_proxy.subscriptions()
    }

    pub(crate) fn ot_address(&self) -> SocketAddr {
        self.ot_broker.address
    }

    pub(crate) fn it_address(&self) -> SocketAddr {
        self.it_broker.address
    }

    /// Waits until this many messages of this topic are on the IT broker.
    #[track_caller]
    pub(crate) fn wait_for(&self, topic: &str, count: usize) {
        wait_until(&format!("{count} of {topic} on IT"), || self.it.count(topic) >= count);
    }

    /// Waits until the current value of this integer metric, in data or in a birth, is `value`.
    #[track_caller]
    pub(crate) fn wait_for_value(&self, entity: &str, name: &str, value: u64) {
        wait_until(&format!("{entity}: `{name}` = {value} on IT"), || {
            self.it.current(entity, name) == Some(value)
        });
    }

    /// Asserts that both links were used as they may be.
    #[track_caller]
    pub(crate) fn judge(&self, excuse: Excuse) {
        self.judge_without(excuse, &[]);
    }

    /// The same, without what was said on IT in the sessions of these edge nodes.
    #[track_caller]
    pub(crate) fn judge_without(&self, excuse: Excuse, nodes: &[String]) {
        let ot = ot_guard(&self.ot_proxy.records());
        assert!(ot.is_empty(), "on the OT link: {ot:#?}");
        let mut records = self.it_proxy.records();
        let of_these = |record: &Record| match record.sent() {
            Some(Packet::Connect(Connect { will: Some(will), .. })) => {
                nodes.iter().any(|node| will.topic.ends_with(&format!("/NDEATH/{node}")))
            }
            _ => false,
        };
        let left_out: Vec<usize> =
            records.iter().filter(|record| of_these(record)).map(|one| one.connection).collect();
        records.retain(|record| !left_out.contains(&record.connection));
        assert!(
            records.iter().any(|record| matches!(&record.event, Event::Packet(_))),
            "nothing was recorded on the IT link"
        );
        let it: Vec<_> = errors(&records, excuse).iter().map(ToString::to_string).collect();
        assert!(it.is_empty(), "on the IT link: {it:#?}");
    }

    /// Asserts that no command is on the OT broker.
    #[track_caller]
    pub(crate) fn no_command_on_ot(&self) {
        for publish in self.ot.arrivals() {
            let verb = publish.topic.split('/').nth(2).unwrap_or("");
            assert!(!matches!(verb, "NCMD" | "DCMD"), "{publish:?}");
        }
    }
}
