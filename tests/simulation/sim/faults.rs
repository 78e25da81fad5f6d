//! Planted mistakes, one per mechanism. Each is planted between two parts: what a part hands on is
//! changed as it would be by a part that has the mistake. The product has no line for it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use it::mirror::Outgoing;
use ot::PipelineSettings;
use prost::Message as _;
use sparkplug::{Metric, Payload};

use super::ot_broker::Message;
use super::world::FOLDED;

macro_rules! faults {
    ($($fault:ident: $what:literal,)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($fault,)+ }

        impl Fault {
            pub const ALL: &[Fault] = &[$(Fault::$fault,)+];

            /// What is wrong, and whose mechanism it is.
            pub fn what(self) -> &'static str {
                match self { $(Fault::$fault => $what,)+ }
            }
        }
    };
}

faults! {
    IgnoresSeq: "holes in the sequence are not seen",
    HistoryIsNow: "historical values are taken for current ones",
    SkipsNull: "values that became null stay",
    LosesNodeDeaths: "deaths of nodes are lost",
    LosesDeviceDeaths: "deaths of devices are lost",
    KeepsGood: "what is doubted is shown as good",
    SkipsNumbers: "a number of the sequence on IT is left out",
    ShowsNoDeath: "a node that ends is not shown to",
    ShowsNoDeviceDeath: "a device that ends is not shown to",
    SwapsNames: "a value is shown under the name of another metric",
    SwapsAliases: "an alias means another metric than its birth said",
    InventsAliases: "data comes by an alias that no birth gave",
    RepeatsAliases: "a device has the aliases of its edge node",
    NamesAliased: "data comes by an alias and by another metric's name",
    WaitsForEver: "nobody gives up waiting for what is missing",
    NeverUnheard: "a node of which nothing is heard is never given up",
    AcknowledgesEarly: "a message is acknowledged before the journal has it",
    SkipsFrames: "the position in the journal is stored before what was read is",
    BelievesStored: "what a broker has stored is taken for news",
    IgnoresReload: "another policy isn't taken",
    MissesWindows: "a rule doesn't come into force or go out of it by the clock",
    DropsOverRate: "what is over a rate limit is dropped, and doesn't wait",
    ForgetsNames: "names on IT are those of the plant",
    ForgetsShapes: "values aren't shaped",
    ExpiresEarly: "segments of the journal go before their time",
    WritesIntoNothing: "what a full disk refused isn't written again",
    HidesHistory: "what hosts missed isn't told them later",
    SetsAsideUntold: "a message is set aside, and nobody is told",
    MixesMembers: "data of an edge node is that of another one of its fold",
    CountsByMember: "edge nodes of a fold have numbers of their own",
    ForgetsMembers: "an edge node isn't born again with its fold",
}

impl Fault {
    /// Whether nothing is wrong where no edge node is folded.
    pub fn is_of_folds(self) -> bool {
        matches!(self, Fault::MixesMembers | Fault::CountsByMember | Fault::ForgetsMembers)
    }

    /// Changes what the OT half gets of its broker.
    pub fn on_deliveries(self, messages: &mut Vec<Message>) {
        for message in messages {
            let topic = String::from_utf8_lossy(&message.delivery.topic).into_owned();
            let is = |kind: &str| topic.contains(&format!("/{kind}/"));
            match self {
                Fault::BelievesStored => message.delivery.retain = false,
                Fault::IgnoresSeq => change(message, |payload| payload.seq = None),
                Fault::HistoryIsNow => change(message, |payload| {
                    payload.metrics.iter_mut().for_each(|metric| metric.is_historical = None);
                }),
                Fault::SkipsNull => change(message, |payload| {
                    payload.metrics.retain(|metric| metric.is_null != Some(true));
                }),
                Fault::LosesNodeDeaths if is("NDEATH") => elsewhere(message),
                Fault::LosesDeviceDeaths if is("DDEATH") => {
                    let topic = topic.replace("/DDEATH/", "/DDATA/");
                    message.delivery.topic = topic.into_bytes().into();
                }
                _ => {}
            }
        }
    }

    /// Changes how the OT half is set up.
    pub fn on_pipeline(self, settings: &mut PipelineSettings) {
        const NEVER: Duration = Duration::from_secs(1_000_000);
        match self {
            Fault::WaitsForEver => settings.reorder_timeout = NEVER,
            Fault::NeverUnheard => settings.doubt_after = NEVER,
            _ => {}
        }
    }

    /// Changes what both halves read as their policy.
    pub fn on_policy(self, text: String) -> String {
        let without = |what: &str| text.split(what).next().unwrap_or_default().to_owned();
        match self {
            // A window, and no more than that, is open for ever or for never.
            Fault::MissesWindows => {
                let is_edge = |line: &&str| line.starts_with("not-after");
                text.lines().filter(|line| !is_edge(line)).map(|line| format!("{line}\n")).collect()
            }
            Fault::DropsOverRate => {
                text.replace("burst-messages = 4\n", "burst-messages = 4\non-excess = \"drop\"\n")
            }
            Fault::ForgetsNames => without("[rename"),
            Fault::ForgetsShapes => without("[[rule.metric"),
            _ => text,
        }
    }

    /// Changes what the OT half hears of its session.
    pub fn on_session(self, present: bool) -> bool {
        present
    }

    /// Changes what the IT half asks of its broker.
    pub fn on_outgoing(self, outgoing: &mut VecDeque<Outgoing>) {
        let is = |one: &Outgoing, kind: &str| match one {
            Outgoing::Publish { topic, .. } => topic.contains(&format!("/{kind}/")),
            _ => false,
        };
        match self {
            Fault::ShowsNoDeath => outgoing.retain(|one| !is(one, "NDEATH")),
            Fault::ShowsNoDeviceDeath => {
                // The number isn't left out: that would be another mistake.
                for one in outgoing.iter_mut().filter(|one| is(one, "DDEATH")) {
                    if let Outgoing::Publish { topic, .. } = one {
                        *topic = topic.replace("/DDEATH/", "/DDATA/").into();
                    }
                }
            }
            _ => {}
        }
        outgoing.iter_mut().for_each(|one| self.on_member(one));
        for one in outgoing.iter_mut() {
            let is_data = is(one, "NDATA") || is(one, "DDATA");
            let is_device_birth = is(one, "DBIRTH");
            let Outgoing::Publish { payload: bytes, .. } = one else { continue };
            let Ok(mut payload) = Payload::decode(&bytes[..]) else { continue };
            match self {
                Fault::KeepsGood => {
                    payload.metrics.iter_mut().for_each(|metric| metric.properties = None);
                }
                Fault::HidesHistory if is_data => {
                    let old = |metric: &&mut Metric| metric.is_historical == Some(true);
                    for metric in payload.metrics.iter_mut().filter(old) {
                        (metric.value, metric.is_null) = (None, Some(true));
                    }
                }
                Fault::SkipsNumbers if is_data => {
                    payload.seq = payload.seq.map(|seq| if seq == 7 { 8 } else { seq });
                }
                Fault::SwapsNames if is_data => {
                    for metric in &mut payload.metrics {
                        if metric.name.as_deref() == Some("m0") {
                            metric.name = Some("m1".into());
                        }
                    }
                }
                Fault::SwapsAliases if !is_data => swap_aliases(&mut payload),
                Fault::InventsAliases if is_data => {
                    let aliases = payload.metrics.iter_mut().filter_map(|one| one.alias.as_mut());
                    aliases.for_each(|alias| *alias += 1_000);
                }
                Fault::RepeatsAliases if is_device_birth => {
                    for (alias, metric) in (2..).zip(&mut payload.metrics) {
                        metric.alias = metric.alias.map(|_| alias);
                    }
                }
                Fault::NamesAliased if is_data => {
                    let aliased = payload.metrics.iter_mut().filter(|one| one.alias.is_some());
                    aliased.for_each(|metric| metric.name = Some("m1".into()));
                }
                _ => continue,
            }
            *bytes = payload.encode_to_vec();
        }
    }
}

impl Fault {
    /// Changes what is said of an edge node that is a device of a folded one.
    fn on_member(self, one: &mut Outgoing) {
        let Outgoing::Publish { topic, payload: bytes, .. } = one else { return };
        let Some((head, device)) = topic.rsplit_once(&format!("/{FOLDED}/")) else { return };
        let kind = head.rsplit('/').next().unwrap_or_default();
        let is_member = !device.contains(':');
        let is_second = device == "N1" || device.starts_with("N1:");
        let said_as = match (self, kind) {
            (Fault::MixesMembers, "DDATA") if is_second => topic.replace("/N1", "/N0"),
            // The number isn't left out: that would be another mistake.
            (Fault::ShowsNoDeath, "DDEATH") if is_member => topic.replace("/DDEATH/", "/DDATA/"),
            (Fault::ForgetsMembers, "DBIRTH") if is_second && is_member => {
                topic.replace("/DBIRTH/", "/DDEATH/")
            }
            (Fault::CountsByMember, "DBIRTH") if is_second && is_member => {
                if let Ok(mut payload) = Payload::decode(&bytes[..]) {
                    payload.seq = Some(0);
                    *bytes = payload.encode_to_vec();
                }
                return;
            }
            _ => return,
        };
        *topic = said_as.into();
    }
}

/// The first two values of a birth have each other's alias.
fn swap_aliases(birth: &mut Payload) {
    let is_one = |metric: &&mut Metric| {
        metric.alias.is_some() && metric.name.as_deref().is_some_and(|name| name.starts_with('m'))
    };
    let mut aliased = birth.metrics.iter_mut().filter(is_one);
    if let (Some(first), Some(second)) = (aliased.next(), aliased.next()) {
        std::mem::swap(&mut first.alias, &mut second.alias);
    }
}

/// The segments of a journal, in order.
pub fn segments(journal: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(journal).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "sdj")).collect();
    paths.sort();
    paths
}

fn change(message: &mut Message, change: impl FnOnce(&mut Payload)) {
    if let Ok(mut payload) = Payload::decode(&message.delivery.payload[..]) {
        change(&mut payload);
        message.delivery.payload = payload.encode_to_vec().into();
    }
}

/// The message is one of nobody.
fn elsewhere(message: &mut Message) {
    message.delivery.topic = "elsewhere".into();
}
