//! A subscriber that keeps everything that a broker delivers, `$`-topics included.

use std::net::SocketAddr;

use prost::Message;
use sparkplug::{Caps, Metric, Payload};

use crate::client::{Arrival, Client};
use crate::metrics::number;
use crate::packet::{Connect, Publish};
use crate::unfolded::unfold;

pub struct Observer {
    address: SocketAddr,
    client: Client,
    /// What arrived over earlier connections.
    earlier: Vec<Arrival>,
    /// Shows what is folded as it would be without.
    unfolds: bool,
}

impl Observer {
    pub fn start(address: SocketAddr) -> Observer {
        let client = subscribe(address).unwrap();
        Observer { address, client, earlier: Vec::new(), unfolds: false }
    }

    /// On IT, where groups are folded by the relay under test: shown as without.
    pub fn unfolding(address: SocketAddr) -> Observer {
        Observer { unfolds: true, ..Observer::start(address) }
    }

    /// Calls `look` with what arrived over the present connection.
    fn look<T>(&self, look: impl FnOnce(&[Arrival]) -> T) -> T {
        match self.unfolds {
            true => look(&unfold(&self.client.arrivals())),
            false => self.client.look(look),
        }
    }

    /// After its broker was restarted.
    pub fn reconnect(&mut self) -> Result<(), String> {
        let client = subscribe(self.address)?;
        let arrivals = self.look(<[Arrival]>::to_vec);
        self.earlier.extend(arrivals);
        self.client = client;
        Ok(())
    }

    /// Everything so far, in the order of arrival.
    pub fn arrivals(&self) -> Vec<Publish> {
        let earlier = self.earlier.iter().cloned();
        earlier.chain(self.look(<[Arrival]>::to_vec)).map(|arrival| arrival.publish).collect()
    }

    /// The payloads of this topic so far, in the order of arrival; what came by an alias has its name
    /// as well.
    pub fn payloads(&self, topic: &str) -> Vec<Payload> {
        let of = |arrivals: &[Arrival]| -> Vec<Payload> {
            let wanted = |at: &usize| arrivals[*at].publish.topic == topic;
            (0..arrivals.len()).filter(wanted).map(|at| named(arrivals, at)).collect()
        };
        let mut all = of(&self.earlier);
        all.extend(self.look(of));
        all
    }

    /// How many messages of this topic arrived so far.
    pub fn count(&self, topic: &str) -> usize {
        let of = |arrivals: &[Arrival]| {
            arrivals.iter().filter(|arrival| arrival.publish.topic == topic).count()
        };
        of(&self.earlier) + self.look(of)
    }

    /// The values of an integer metric in the messages of this topic, in the order of arrival.
    pub fn numbers(&self, topic: &str, name: &str) -> Vec<u64> {
        let payloads = self.payloads(topic);
        let metrics = payloads.iter().flat_map(|payload| &payload.metrics);
        metrics.filter(|metric| metric.name() == name).filter_map(number).collect()
    }

    /// The current value of an integer metric of `group/edge_node` or
    /// `group/edge_node/device`: the last one of births and data that isn't historical.
    pub fn current(&self, entity: &str, name: &str) -> Option<u64> {
        let levels: Vec<&str> = entity.split('/').collect();
        let topics = match levels[..] {
            [group, node] => {
                ["NBIRTH", "NDATA"].map(|verb| format!("spBv1.0/{group}/{verb}/{node}"))
            }
            [group, node, device] => {
                ["DBIRTH", "DDATA"].map(|verb| format!("spBv1.0/{group}/{verb}/{node}/{device}"))
            }
            _ => panic!("`{entity}` is no entity"),
        };
        let last = |arrivals: &[Arrival]| {
            let of_entity = |at: &usize| topics.contains(&arrivals[*at].publish.topic);
            (0..arrivals.len()).rev().filter(of_entity).find_map(|at| {
                let payload = named(arrivals, at);
                let wanted = |metric: &&Metric| metric.name() == name && !metric.is_historical();
                payload.metrics.iter().rev().find(wanted).and_then(number)
            })
        };
        self.look(last).or_else(|| last(&self.earlier))
    }

    /// The metric of this name in the last message of this topic that has it.
    pub fn last(&self, topic: &str, name: &str) -> Option<Metric> {
        let find = |payload: Payload| payload.metrics.into_iter().find(|one| one.name() == name);
        self.payloads(topic).into_iter().rev().find_map(find)
    }
}

/// The payload of an arrival, with the names of aliases by the births before it.
fn named(arrivals: &[Arrival], at: usize) -> Payload {
    let decode = |arrival: &Arrival| {
        let bytes = &arrival.publish.payload[..];
        let unwrapped = sparkplug::unwrap(bytes, &Caps::of_payloads(Caps::MOST_BYTES)).unwrap();
        Payload::decode(unwrapped.as_deref().unwrap_or(bytes)).unwrap()
    };
    let mut payload = decode(&arrivals[at]);
    let levels = |at: usize| arrivals[at].publish.topic.split('/').collect::<Vec<_>>();
    let own = levels(at);
    for metric in payload.metrics.iter_mut().filter(|metric| metric.name.is_none()) {
        let Some(alias) = metric.alias else { continue };
        for before in (0..at).rev() {
            let of = levels(before);
            if of.get(1) != own.get(1) || of.get(3) != own.get(3) || !of[2].ends_with("BIRTH") {
                continue;
            }
            let born = decode(&arrivals[before]).metrics;
            metric.name =
                born.into_iter().find(|one| one.alias == Some(alias)).and_then(|one| one.name);
            if metric.name.is_some() || of[2] == "NBIRTH" {
                break;
            }
        }
    }
    payload
}

fn subscribe(address: SocketAddr) -> Result<Client, String> {
    let connect = Connect {
        client_id: format!("observer-{address}"),
        clean_session: true,
        ..Connect::default()
    };
    let mut client = Client::connect(address, connect)?;
    client.subscribe(&[("#", 1), ("$sparkplug/#", 1)]);
    Ok(client)
}
