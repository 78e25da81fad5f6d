//! The journal, read by a reader of the simulation's own: the numbers in it, and those that were said
//! of what lives. Where old segments go, it is read all the while.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use journal_format::Body;
use journal_read::{From, Item, Reader};
use prost::Message as _;
use sparkplug::Payload;

use super::host::Host;
use super::plant::{Number, Shape};

#[derive(Debug, Default)]
pub struct Journal {
    reader: Option<Reader>,
    /// Numbers said since the last birth, by what has them on IT.
    living: BTreeMap<String, BTreeSet<Number>>,
    /// All numbers that were ever in it.
    pub all: BTreeSet<Number>,
    /// What is read is shown.
    shows: bool,
    /// Why not all of it was read.
    pub trouble: Option<String>,
}

/// A frame for people.
fn show(body: Option<&Body>) {
    match body {
        Some(Body::Relayed(one)) => {
            let outdated = if one.outdated { " outdated" } else { "" };
            let (topic, payload) = (&one.topic, super::world::show(&one.payload));
            println!("             journal {topic} losses {}{outdated} {payload}", one.losses);
        }
        Some(Body::Keyframe(one)) => {
            let uncertain = if one.uncertain { " uncertain" } else { "" };
            let (topic, payload) = (&one.topic, super::world::show(&one.payload));
            let (losses, doubts) = (one.losses, one.doubts);
            println!("             keyframe {topic} losses {losses}.{doubts}{uncertain} {payload}");
        }
        Some(Body::Data(one)) => println!("             journal {one:?}"),
        _ => {}
    }
}

impl Journal {
    /// Nothing was read yet; `shows`: what will be is shown.
    pub fn new(shows: bool) -> Journal {
        Journal { shows, ..Journal::default() }
    }

    /// Reads what is new.
    pub fn read(&mut self, dir: &Path) {
        if let Err(why) = self.try_read(dir) {
            self.trouble.get_or_insert(why);
        }
    }

    fn try_read(&mut self, dir: &Path) -> Result<(), String> {
        let text =
            |error: journal_read::JournalError| format!("the journal can't be read: {error}");
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => Reader::open(dir, From::Oldest).map_err(text)?,
        };
        // An empty answer may mean that it is worth asking once more.
        let mut nothing = 0;
        while nothing < 2 {
            match reader.next().map_err(text)? {
                Some(Item::Frame(frame)) => {
                    nothing = 0;
                    self.take(frame.body)?;
                }
                Some(Item::Lost(lost)) => {
                    self.trouble.get_or_insert(format!("frames are lost: {lost:?}"));
                }
                Some(Item::Late(frame)) => {
                    self.trouble.get_or_insert(format!("late in the plant's journal: {frame:?}"));
                }
                None => nothing += 1,
            }
        }
        self.reader = Some(reader);
        Ok(())
    }

    fn take(&mut self, body: Option<Body>) -> Result<(), String> {
        if self.shows {
            show(body.as_ref());
        }
        let (topic, bytes, is_relayed) = match body {
            Some(Body::Relayed(relayed)) => (relayed.topic, relayed.payload, true),
            Some(Body::Keyframe(keyframe)) => (keyframe.topic, keyframe.payload, false),
            _ => return Ok(()),
        };
        let levels: Vec<&str> = topic.split('/').collect();
        let entity = levels[3..].join("/");
        if is_relayed {
            match levels[2] {
                // Devices end with their node.
                "NBIRTH" | "NDEATH" => {
                    self.living.retain(|known, _| known.split('/').next() != Some(levels[3]));
                }
                "DBIRTH" | "DDEATH" => drop(self.living.remove(&entity)),
                _ => {}
            }
        }
        let payload = Payload::decode(&bytes[..]).map_err(|error| error.to_string())?;
        let numbers = payload.metrics.iter().filter_map(|metric| metric.value.as_ref());
        // Below are bdSeq, and the values of definitions.
        let numbers = numbers.flat_map(Shape::numbers).filter(|number| *number > 1_000);
        for number in numbers {
            self.all.insert(number);
            if is_relayed {
                self.living.entry(entity.clone()).or_default().insert(number);
            }
        }
        Ok(())
    }

    /// Whether all of it was read.
    pub fn is_whole(&self) -> bool {
        self.trouble.is_none()
    }

    /// The numbers that were said of what the host shows since its last birth.
    pub fn living(&self, host: &Host) -> BTreeSet<Number> {
        let is_shown = |entity: &str| {
            // What isn't born on IT waits for that.
            let (node, device) = entity.split_once('/').unwrap_or((entity, ""));
            let shown = host.nodes.get(node).filter(|node| node.is_online);
            shown.is_some_and(|shown| shown.entities.contains_key(device))
        };
        let shown = self.living.iter().filter(|(entity, _)| is_shown(entity));
        shown.flat_map(|(_, numbers)| numbers.iter().copied()).collect()
    }
}
