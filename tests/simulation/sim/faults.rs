//! Planted mistakes, one per mechanism. Each is planted between two parts: what a part hands on is
//! changed as it would be by a part that has the mistake. The product has no line for it.

use std::collections::VecDeque;

use it::mirror::Outgoing;
use prost::Message as _;
use sparkplug::Payload;

use super::ot_broker::Message;

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
}

impl Fault {
    /// Changes what the OT half gets of its broker.
    pub fn on_deliveries(self, messages: &mut Vec<Message>) {
        for message in messages {
            let topic = String::from_utf8_lossy(&message.delivery.topic).into_owned();
            let is = |kind: &str| topic.contains(&format!("/{kind}/"));
            match self {
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
        for one in outgoing.iter_mut() {
            let is_data = is(one, "NDATA") || is(one, "DDATA");
            let Outgoing::Publish { payload: bytes, .. } = one else { continue };
            let Ok(mut payload) = Payload::decode(&bytes[..]) else { continue };
            match self {
                Fault::KeepsGood => {
                    payload.metrics.iter_mut().for_each(|metric| metric.properties = None);
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
                _ => continue,
            }
            *bytes = payload.encode_to_vec();
        }
    }
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
