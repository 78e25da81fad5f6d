//! What is written to the journal: messages by names and by places, heartbeats, and whatever somebody
//! says is one of these.

use std::sync::Arc;

use journal_format::{Body, Data, Frame, Heartbeat, Layout, Relayed};
use journal_read::Item;

use super::Journal;

impl Journal {
    pub(super) fn relayed(&mut self, topic: &str, payload: Vec<u8>, flags: u8) {
        let relayed = Relayed {
            source: "line".into(),
            topic: topic.into(),
            payload,
            received_ms: self.now.wall_ms,
            loss_before: flags & 0x3f == 0x3f,
            losses: if flags & 0x20 == 0 { 0 } else { u64::from(flags >> 6) },
            synthetic: flags & 0x18 == 0x18,
            aliased: flags & 0x14 == 0x14,
            typed: flags & 0x12 == 0x12,
            urgent: flags & 0x11 == 0x11,
            outdated: flags & 0x12 == 0x12,
            withdrawn: if flags & 0x19 == 0x19 { "no_rule".into() } else { String::new() },
            layout: 0,
            given_aliases: match topic.contains("BIRTH") {
                true => vec![flags.rotate_left(3), 0xff],
                false => Vec::new(),
            },
        };
        self.frames.insert(self.next, relayed.clone());
        self.frame(Some(Body::Relayed(relayed)), 0);
    }

    /// Data by places in a layout that was given, or what somebody says is that.
    pub(super) fn placed(
        &mut self,
        (number, layout): (u64, Arc<Layout>),
        metrics: Vec<u8>,
        flags: u8,
    ) {
        let data = Data {
            layout: number,
            timestamp: self.now.wall_ms,
            received_after: i64::from(flags),
            metrics,
            loss_before: flags & 0x3e == 0x3e,
            synthetic: flags & 0x18 == 0x18,
            losses: u64::from(flags >> 6),
            typed: flags & 0x12 == 0x12,
            urgent: flags & 0x22 == 0x22,
            outdated: flags & 0x0a == 0x0a,
        };
        if let Some(relayed) = layout.by_names(&data, self.settings.caps.payload_bytes) {
            // What is read a second time is read by names.
            self.frames.insert(self.next, relayed);
        }
        self.put(Some(Body::Data(data)), 0, Some(layout));
    }

    pub(super) fn heartbeat(&mut self, ot_connected: bool, ot_away_ms: u64) {
        let heartbeat = Heartbeat { ot_connected, ot_away_ms, ..Heartbeat::default() };
        self.frame(Some(Body::Heartbeat(heartbeat)), 0);
    }

    pub(super) fn frame(&mut self, body: Option<Body>, in_head: u8) {
        self.put(body, in_head, None);
    }

    /// Every second message is handed on by places, where it can be.
    pub(super) fn put(&mut self, body: Option<Body>, in_head: u8, layout: Option<Arc<Layout>>) {
        let seq = self.next;
        self.next += 1;
        self.frame_bytes += body.as_ref().map_or(0, Body::encoded_len);
        let appended_ms = self.now.wall_ms;
        let frame = Frame { seq, epoch: 1, appended_ms, body, in_head: in_head != 0, layout };
        let told = self.teller.tell(frame.clone());
        let is_placed = matches!(told.body, Some(Body::Data(_)));
        let frame = if is_placed && seq.is_multiple_of(2) { frame } else { told };
        self.mirror.handle_item(self.now, Item::Frame(frame));
        self.carry_out();
    }
}
