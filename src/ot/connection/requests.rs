//! Everything that this half can send to its broker. There is no PUBLISH.

use rumqttc::{AsyncClient, ManualAck, Publish, QoS, SubscribeFilterInput};

use super::subscriptions::Request;

#[derive(Clone)]
pub(super) struct Requests(AsyncClient);

impl Requests {
    pub(super) fn new(client: AsyncClient) -> Requests {
        Requests(client)
    }

    pub(super) fn send(&self, request: Request) {
        match request {
            Request::Subscribe(filters) => self.subscribe(filters),
            Request::Unsubscribe(filters) => self.unsubscribe(filters),
        }
    }

    /// At QoS 1.
    fn subscribe(&self, filters: Vec<String>) {
        let filters =
            filters.into_iter().map(|filter| SubscribeFilterInput::new(filter, QoS::AtLeastOnce));
        if let Err(error) = self.0.try_subscribe_many(filters.collect::<Vec<_>>()) {
            tracing::error!(target: "ot", %error, "cannot subscribe");
        }
    }

    fn unsubscribe(&self, filters: Vec<String>) {
        if let Err(error) = self.0.try_unsubscribe_many(filters) {
            tracing::error!(target: "ot", %error, "cannot unsubscribe");
        }
    }

    /// How to acknowledge a message; `None` at QoS 0.
    pub(super) fn prepare_ack(&self, publish: &Publish) -> Option<ManualAck> {
        self.0.prepare_ack(publish)
    }

    pub(super) fn acknowledge(&self, ack: ManualAck) {
        // Fails only when the session has ended: then the broker delivers again.
        let _ = self.0.try_manual_ack(ack);
    }

    pub(super) fn disconnect(&self) {
        let _ = self.0.try_disconnect();
    }
}
