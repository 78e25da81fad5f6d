//! What was refused on its way to the worker: counted here, and acknowledged like any other.

use super::Worker;

impl Worker {
    /// Counts what was refused on its way here. Nothing of it is to be delivered again.
    pub(super) fn count_shed(&mut self) {
        let mut shed = match self.shared.shed.lock() {
            Ok(mut shed) if !shed.is_empty() => std::mem::take(&mut *shed),
            _ => return,
        };
        let most = std::mem::take(&mut shed.most);
        for (topic, (messages, receipts)) in shed.into_topics() {
            let topic = std::str::from_utf8(&topic).unwrap_or_default();
            self.pipeline.shed(topic, messages, &most);
            self.take_receipts(receipts);
        }
    }
}
