//! One session of an edge node: the order of its births and deaths, bdSeq, sequence numbers and
//! timestamps.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use prost::Message;
use sparkplug::{Caps, DecodeError, Metric, Payload, Value, names};

use crate::address::{Address, MessageType};
use crate::entity::{BirthScope, Entity, REBIRTH};
use crate::findings::{Findings, report_equal_in_lower_case};
use crate::template::Definitions;

const BD_SEQ: &str = "bdSeq";

/// How old the timestamp of a payload may be when it is seen.
const MAX_AGE_MS: u64 = 60_000;
/// How far in the future it may be: all clocks here are the same one, but they are read in
/// different processes.
const MAX_AHEAD_MS: u64 = 1_000;

/// What outlives one session of an edge node.
#[derive(Debug, Default)]
pub struct NodeHistory {
    bd_seq: Option<u64>,
    birth_ms: Option<u64>,
}

impl NodeHistory {
    /// bdSeq of the last session, as far as it is known.
    pub fn last_bd_seq(&self) -> Option<u64> {
        self.bd_seq
    }

    /// A session with this bdSeq begins where `due` was expected.
    pub fn begin_session(&mut self, got: u64, due: u64, findings: &mut Findings) {
        if got != due {
            let after = self.bd_seq.map_or("none".into(), |last| format!("a session with {last}"));
            let text = format!("bdSeq {got} after {after}: {due} was due");
            findings.add("topics-nbirth-bdseq-increment", text);
        }
        self.bd_seq = Some(got);
    }

    /// The bdSeq that follows the last one; `None` before the first session.
    pub fn next_bd_seq(&self) -> Option<u64> {
        self.bd_seq.map(next_of_256)
    }
}

/// Where the number of a session was learnt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum BdSeq {
    /// Nobody has seen the will: the first NBIRTH says it.
    #[default]
    Unknown,
    Will(Option<u64>),
    Birth(Option<u64>),
}

/// One session of an edge node, from its NBIRTH to its NDEATH. Default is one whose will nobody
/// has seen.
#[derive(Debug, Default)]
pub struct Session {
    bd_seq: BdSeq,
    dead: bool,
    /// Of the last message.
    seq: Option<u64>,
    node: Option<Entity>,
    /// Devices whose birth was sent in this session and that aren't dead.
    devices: BTreeMap<String, Entity>,
    scope: BirthScope,
    /// Devices that were alive at the last rebirth and haven't been born again.
    unborn: BTreeSet<String>,
    data_since_birth: bool,
}

impl Session {
    /// A session whose will was seen, with this bdSeq, or with none that is valid.
    pub fn with_will(bd_seq: Option<u64>) -> Session {
        Session { bd_seq: BdSeq::Will(bd_seq), ..Session::default() }
    }

    /// An NBIRTH was seen.
    pub fn is_born(&self) -> bool {
        self.node.is_some()
    }

    /// Its NDEATH was seen.
    pub fn is_dead(&self) -> bool {
        self.dead
    }

    /// Sequence number of the last message.
    pub fn seq(&self) -> Option<u64> {
        self.seq
    }

    pub fn bd_seq(&self) -> Option<u64> {
        match self.bd_seq {
            BdSeq::Unknown => None,
            BdSeq::Will(bd_seq) | BdSeq::Birth(bd_seq) => bd_seq,
        }
    }

    /// The node itself (`None`) or a device, if it is born.
    pub fn entity(&self, device: Option<&str>) -> Option<&Entity> {
        match device {
            None => self.node.as_ref(),
            Some(device) => self.devices.get(device),
        }
    }

    /// Devices that are born.
    pub fn devices(&self) -> impl Iterator<Item = &Entity> {
        self.devices.values()
    }

    /// Template definitions of the last NBIRTH.
    pub fn definitions(&self) -> &Definitions {
        &self.scope.definitions
    }

    /// Judges a message that was seen at `at_ms`, and returns its payload if it has one. Metrics that
    /// came by an alias of the births have its name there.
    pub fn judge(
        &mut self,
        address: &Address,
        bytes: &[u8],
        at_ms: u64,
        history: &mut NodeHistory,
        findings: &mut Findings,
    ) -> Option<Payload> {
        let kind = address.kind;
        if self.dead {
            findings.add(
                "relay-nothing-after-ndeath",
                format!("{kind} after NDEATH with no NBIRTH since"),
            );
        }
        if kind == MessageType::NDeath {
            self.dead = true;
        }
        let mut payload = decode(kind, bytes, findings)?;
        if kind == MessageType::NDeath {
            self.node_death(&payload, findings);
            return Some(payload);
        }
        check_timestamps(kind, &payload, at_ms, findings);
        self.check_seq(kind, &payload, findings);
        match (kind, address.device.as_deref()) {
            (MessageType::NBirth, _) => self.node_birth(&payload, history, findings),
            (MessageType::DBirth, Some(device)) => self.device_birth(device, &payload, findings),
            (MessageType::DDeath, Some(device)) => self.device_death(device, findings),
            (kind, device) => self.data(kind, device, &mut payload, findings),
        }
        Some(payload)
    }

    fn node_death(&mut self, payload: &Payload, findings: &mut Findings) {
        if payload.seq.is_some() {
            findings.add("payloads-ndeath-seq", "NDEATH with a seq");
        }
        let got = payload.metrics.first().and_then(bd_seq);
        match self.bd_seq {
            BdSeq::Unknown => {
                let text = "NDEATH of an edge node that isn't alive";
                findings.add("relay-nothing-after-ndeath", text);
            }
            BdSeq::Will(due) if got != due => {
                findings.add("payloads-ndeath-bdseq", format!("NDEATH {got:?}, will {due:?}"));
            }
            BdSeq::Birth(due) if got != due => {
                let text = format!("NDEATH {got:?}, born with {due:?}");
                findings.add("payloads-ndeath-bdseq", text);
            }
            BdSeq::Will(_) | BdSeq::Birth(_) => {}
        }
    }

    fn check_seq(&mut self, kind: MessageType, payload: &Payload, findings: &mut Findings) {
        if kind == MessageType::NBirth {
            if payload.seq != Some(0) {
                findings.add("payloads-nbirth-seq", format!("seq {:?}", payload.seq));
            }
            self.seq = Some(0);
            return;
        }
        let Some(got) = payload.seq else {
            findings.add("payloads-sequence-num-always-included", format!("{kind} without seq"));
            return;
        };
        if let Some(last) = self.seq
            && got != next_of_256(last)
        {
            let due = next_of_256(last);
            let text = format!("{kind} with seq {got} after {last}: seq {due} was due");
            findings.add("payloads-sequence-num-incrementing", text);
        }
        self.seq = Some(got);
    }

    fn node_birth(
        &mut self,
        payload: &Payload,
        history: &mut NodeHistory,
        findings: &mut Findings,
    ) {
        if let (Some(last), Some(stamp)) = (history.birth_ms, payload.timestamp)
            && stamp <= last
        {
            let text = format!("NBIRTH of {stamp} after one of {last}");
            findings.add("relay-birth-timestamp-increases", text);
        }
        history.birth_ms = payload.timestamp.or(history.birth_ms);
        self.data_since_birth = false;
        self.unborn = core::mem::take(&mut self.devices).into_keys().collect();
        self.check_bd_seq(payload, history, findings);
        check_rebirth_metric(payload, findings);
        self.scope = BirthScope::new(payload);
        self.node = Some(Entity::born(MessageType::NBirth, payload, &mut self.scope, findings));
    }

    fn check_bd_seq(
        &mut self,
        payload: &Payload,
        history: &mut NodeHistory,
        findings: &mut Findings,
    ) {
        let metric = find(payload, BD_SEQ);
        let got = metric.and_then(bd_seq);
        let before = self.bd_seq;
        if before == BdSeq::Unknown {
            self.bd_seq = BdSeq::Birth(got);
        }
        let Some(metric) = metric else {
            findings.add("topics-nbirth-bdseq-included", "no bdSeq");
            return;
        };
        let Some(got) = got else {
            findings.add("payloads-nbirth-bdseq", format!("{metric:?}"));
            return;
        };
        match before {
            BdSeq::Unknown => {
                let due = history.next_bd_seq().unwrap_or(got);
                history.begin_session(got, due, findings);
            }
            BdSeq::Will(due) if due != Some(got) => {
                let text = format!("NBIRTH {got}, will {due:?}");
                findings.add("topics-nbirth-bdseq-matching", text);
            }
            BdSeq::Birth(due) if due != Some(got) => {
                let text = format!("rebirth with another bdSeq: {got}, born with {due:?}");
                findings.add("topics-nbirth-bdseq-matching", text);
            }
            BdSeq::Will(_) | BdSeq::Birth(_) => {}
        }
    }

    fn device_birth(&mut self, device: &str, payload: &Payload, findings: &mut Findings) {
        if self.node.is_none() {
            findings.add("payloads-dbirth-order", "DBIRTH with no NBIRTH before it");
        }
        if self.devices.contains_key(device) {
            let text = format!("second DBIRTH of `{device}`");
            findings.add("topic-structure-namespace-unique-device-id", text);
        }
        if self.unborn.remove(device) && self.data_since_birth {
            let rule = "operational-behavior-data-commands-rebirth-action-1";
            findings.add(rule, format!("data before the DBIRTH of `{device}`"));
        }
        let birth = Entity::born(MessageType::DBirth, payload, &mut self.scope, findings);
        self.devices.insert(device.into(), birth);
        report_equal_in_lower_case(self.devices.keys().map(String::as_str), |pair| {
            findings.add("case-sensitivity-sparkplug-ids", pair);
        });
    }

    fn device_death(&mut self, device: &str, findings: &mut Findings) {
        if self.node.is_none() {
            findings.add("operational-behavior-device-ddeath", "DDEATH with no NBIRTH before it");
        } else if self.devices.remove(device).is_none() {
            let text = format!("DDEATH of `{device}`, which isn't born");
            findings.add("operational-behavior-device-ddeath", text);
        }
    }

    fn data(
        &mut self,
        kind: MessageType,
        device: Option<&str>,
        payload: &mut Payload,
        findings: &mut Findings,
    ) {
        self.data_since_birth = true;
        let entity = match (&mut self.node, device) {
            (None, _) => {
                let text = format!("{kind} with no NBIRTH before it");
                findings.add(format!("payloads-{}-order", kind.in_rule()), text);
                return;
            }
            (Some(node), None) => Some(node),
            (Some(_), Some(device)) => self.devices.get_mut(device),
        };
        match entity {
            Some(entity) => entity.judge_data(kind, payload, &self.scope.definitions, findings),
            None => {
                let text = format!("{kind}: data before its birth");
                findings.add(format!("payloads-{}-order", kind.in_rule()), text);
            }
        }
    }
}

/// Payload of a message; `None` when it is none, which is a finding.
fn decode(kind: MessageType, bytes: &[u8], findings: &mut Findings) -> Option<Payload> {
    let rule = match kind {
        MessageType::NBirth => "message-flow-edge-node-birth-publish-nbirth-payload".into(),
        MessageType::DBirth => "message-flow-device-birth-publish-dbirth-payload".into(),
        kind => format!("topics-{}-payload", kind.in_rule()),
    };
    let unwrapped = match unwrap(kind, bytes, findings) {
        Ok(unwrapped) => unwrapped,
        Err(error) => {
            findings.add(rule, format!("a compressed payload: {error}"));
            return None;
        }
    };
    match Payload::decode(unwrapped.as_deref().unwrap_or(bytes)) {
        Ok(payload) if kind == MessageType::NDeath && !is_only_bd_seq(&payload) => {
            findings.add(rule, format!("{payload:?}"));
            None
        }
        Ok(payload) => Some(payload),
        Err(error) => {
            findings.add(rule, format!("not a Sparkplug payload: {error}"));
            None
        }
    }
}

/// The birth in a compressed payload; `None` where the payload isn't compressed. Nothing but a birth may
/// be, and what hosts read of the wrapper has to be what the birth says.
fn unwrap(
    kind: MessageType,
    bytes: &[u8],
    findings: &mut Findings,
) -> Result<Option<Vec<u8>>, DecodeError> {
    let Some(inner) = sparkplug::unwrap(bytes, &Caps::of_payloads(Caps::MOST_BYTES))? else {
        return Ok(None);
    };
    let (outer, birth) = (Payload::decode(bytes), Payload::decode(&inner[..]));
    if let (Ok(outer), Ok(birth)) = (outer, birth)
        && (!matches!(kind, MessageType::NBirth | MessageType::DBirth)
            || (outer.timestamp, outer.seq) != (birth.timestamp, birth.seq)
            || !matches!(&outer.metrics[..], [one] if one.name() == names::ALGORITHM))
    {
        let text = format!(
            "{kind} of {:?} with seq {:?} in a wrapper of {:?} with seq {:?}",
            birth.timestamp, birth.seq, outer.timestamp, outer.seq
        );
        findings.add("relay-compressed-birth", text);
    }
    Ok(Some(inner))
}

/// Exactly one metric, named bdSeq.
pub fn is_only_bd_seq(payload: &Payload) -> bool {
    matches!(payload.metrics.as_slice(), [metric] if metric.name() == BD_SEQ)
}

/// The value of a bdSeq metric, if it is an Int64 in 0..=255.
pub fn bd_seq(metric: &Metric) -> Option<u64> {
    match (metric.datatype, &metric.value) {
        (Some(4), Some(Value::Long(value))) if *value < 256 => Some(*value),
        _ => None,
    }
}

fn check_timestamps(kind: MessageType, payload: &Payload, at_ms: u64, findings: &mut Findings) {
    match payload.timestamp {
        None => findings.add(format!("payloads-{}-timestamp", kind.in_rule()), "no timestamp"),
        Some(stamp)
            if stamp > at_ms.saturating_add(MAX_AHEAD_MS)
                || stamp.saturating_add(MAX_AGE_MS) < at_ms =>
        {
            let text = format!("{kind} of {stamp}, seen at {at_ms}");
            findings.add("payloads-timestamp-in-UTC", text);
        }
        Some(_) => {}
    }
    for metric in payload.metrics.iter().filter(|metric| metric.timestamp.is_none()) {
        let text = format!("{kind}: `{}` without timestamp", metric.name());
        findings.add("payloads-name-birth-data-requirement", text);
    }
}

/// `Node Control/Rebirth`, which every NBIRTH has.
fn check_rebirth_metric(payload: &Payload, findings: &mut Findings) {
    let Some(rebirth) = find(payload, REBIRTH) else {
        findings.add("topics-nbirth-rebirth-metric", "no Node Control/Rebirth");
        return;
    };
    if rebirth.datatype != Some(11) {
        let rule = "operational-behavior-data-commands-rebirth-datatype";
        findings.add(rule, format!("datatype {:?}", rebirth.datatype));
    }
    if rebirth.value != Some(Value::Boolean(false)) {
        let rule = "operational-behavior-data-commands-rebirth-value";
        findings.add(rule, format!("value {:?}", rebirth.value));
    }
    if rebirth.alias.is_some() {
        let rule = "operational-behavior-data-commands-rebirth-name-aliases";
        findings.add(rule, format!("alias {:?}", rebirth.alias));
    }
}

fn find<'a>(payload: &'a Payload, name: &str) -> Option<&'a Metric> {
    payload.metrics.iter().find(|metric| metric.name() == name)
}

/// The number after this one, of those that go round at 256.
fn next_of_256(last: u64) -> u64 {
    last.wrapping_add(1) & 0xff
}
