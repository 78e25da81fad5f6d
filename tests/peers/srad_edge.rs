//! An edge node of the crate `srad`: every metric has an alias, data carries aliases only.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use srad::client_rumqtt::{EventLoop, MqttOptions};
use srad::eon::{
    AliasConfig, BirthInitializer, BirthMetricDetails, DeviceHandle, DeviceMetricManager,
    EoNBuilder, MetricManager, MetricPublisher, MetricToken, NodeHandle, NodeMetricManager,
};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::waiting::wait_until;

/// Of the node and of its device `Press`.
pub const COUNTER: &str = "Line/Counter";

pub struct SradEdge {
    runtime: Handle,
    node: NodeHandle,
    device: DeviceHandle,
    node_metrics: Metrics,
    device_metrics: Metrics,
    thread: Option<thread::JoinHandle<()>>,
    /// Dropped with the edge, which then goes: it would come to whoever has its broker's port next.
    _running: oneshot::Sender<()>,
}

impl SradEdge {
    /// Connects; births follow by themselves.
    pub fn start(broker: SocketAddr, group: &str, node: &str) -> SradEdge {
        let mut options =
            MqttOptions::new(format!("srad-{node}"), broker.ip().to_string(), broker.port());
        options.set_keep_alive(std::time::Duration::from_secs(30));
        let (node_metrics, device_metrics) = (Metrics::default(), Metrics::default());
        let (send, receive) = mpsc::channel();
        let (running, ended) = oneshot::channel();
        let (group, node) = (group.to_owned(), node.to_owned());
        let (of_node, of_device) = (node_metrics.clone(), device_metrics.clone());
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (eventloop, client) = EventLoop::new(options, 64);
                let (edge, handle) = EoNBuilder::new(eventloop, client)
                    .with_group_id(group)
                    .with_node_id(node)
                    .with_metric_manager(of_node)
                    .build()
                    .unwrap();
                let device = handle.register_device("Press", of_device).unwrap();
                device.enable();
                send.send((Handle::current(), handle, device)).unwrap();
                tokio::select! {
                    () = edge.run() => {}
                    _ = ended => {}
                }
            });
        });
        let (runtime, node, device) = receive.recv().unwrap();
        let (thread, _running) = (Some(thread), running);
        let edge =
            SradEdge { runtime, node, device, node_metrics, device_metrics, thread, _running };
        wait_until("srad's births", || edge.try_data(1));
        edge
    }

    /// Publishes this value of the counter of the node and of its device, by alias.
    pub fn data(&self, value: i32) {
        assert!(self.try_data(value));
    }

    /// A rebirth within the session.
    pub fn rebirth(&self) {
        self.node.rebirth();
    }

    /// NDEATH and DISCONNECT.
    pub fn leave(mut self) {
        let node = self.node.clone();
        self.wait(async move { node.cancel().await });
        self.thread.take().unwrap().join().unwrap();
    }

    fn try_data(&self, value: i32) -> bool {
        let Some(of_node) = self.node_metrics.counter(value) else { return false };
        let Some(of_device) = self.device_metrics.counter(value) else { return false };
        let (node, device) = (self.node.clone(), self.device.clone());
        self.wait(async move {
            node.publish_metric(of_node).await.is_ok()
                && device.publish_metric(of_device).await.is_ok()
        })
    }

    fn wait<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        let (send, receive) = mpsc::channel();
        self.runtime.spawn(async move { send.send(future.await).unwrap() });
        receive.recv().unwrap()
    }
}

/// The metrics of a node or device, with the aliases that the last birth gave them.
#[derive(Clone, Default)]
struct Metrics {
    counter: Arc<Mutex<HashMap<&'static str, MetricToken<i32>>>>,
}

impl Metrics {
    fn counter(&self, value: i32) -> Option<srad::eon::PublishMetric> {
        let tokens = self.counter.lock().unwrap();
        Some(tokens.get(COUNTER)?.create_publish_metric(Some(value)))
    }
}

impl MetricManager for Metrics {
    fn initialise_birth(&self, birth: &mut BirthInitializer) {
        let with_alias = BirthMetricDetails::new_with_initial_value(COUNTER, 0)
            .with_alias_config(AliasConfig::Generate);
        let token = birth.register_metric(with_alias).unwrap();
        self.counter.lock().unwrap().insert(COUNTER, token);
        let label =
            BirthMetricDetails::new_with_initial_value("Line/Label", String::from("made by srad"));
        birth.register_metric(label).unwrap();
        let secret =
            BirthMetricDetails::new_with_initial_value("Recipe/Secret", String::from("of srad"));
        birth.register_metric(secret).unwrap();
    }
}

impl NodeMetricManager for Metrics {}
impl DeviceMetricManager for Metrics {}
