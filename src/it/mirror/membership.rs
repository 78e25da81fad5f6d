//! The place of a plant's edge node in a [fold](super::fold), and the topics of devices.

use std::sync::Arc;

use sparkplug::FOLD_SEPARATOR;

/// One folded edge node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FoldId(pub(super) u32);

/// What a member knows of its fold.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) fold: FoldId,
    /// The folded edge node.
    pub(super) edge_node: Arc<str>,
    /// The device as which hosts see it.
    pub(super) device: String,
    /// What its template definitions begin with, where others have taken their names.
    pub(super) prefix: Option<String>,
    /// Where the DDEATHs go of all that hosts see of it, itself first.
    pub(super) shown: Vec<Arc<str>>,
}

#[derive(Debug)]
pub(super) struct DeviceTopics {
    pub(super) birth: Arc<str>,
    pub(super) death: Arc<str>,
    pub(super) data: Arc<str>,
}

impl DeviceTopics {
    pub(super) fn new(group: &str, edge_node: &str, device: &str) -> DeviceTopics {
        let topic = |kind: &str| Arc::from(format!("spBv1.0/{group}/{kind}/{edge_node}/{device}"));
        DeviceTopics { birth: topic("DBIRTH"), death: topic("DDEATH"), data: topic("DDATA") }
    }
}

impl Membership {
    pub(super) fn topics(&self, group: &str, device: Option<&str>) -> DeviceTopics {
        match device {
            None => DeviceTopics::new(group, &self.edge_node, &self.device),
            Some(device) => {
                let name = format!("{}{FOLD_SEPARATOR}{device}", self.device);
                DeviceTopics::new(group, &self.edge_node, &name)
            }
        }
    }
}
