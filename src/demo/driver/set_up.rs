//! The beginning: brokers, both halves and the plant are started, in this order; with two boxes, each in its
//! own.

use std::time::Duration;

use clock::Clock;

use super::between::Between;
use super::{Demo, LOOK_EVERY};
use crate::attempts::Attempts;
use crate::broker::Broker;
use crate::enterprise::Enterprise;
use crate::interrupts::Interrupts;
use crate::keys::Keys;
use crate::plant::Plant;
use crate::relay::{Half, JournalView, Workplace};
use crate::screen::Screen;
use crate::two_boxes::{Place, TwoBoxes};
use crate::view::History;
use crate::{DemoError, Options};

/// How long the halves may take until they are ready.
const READY_WITHIN: Duration = Duration::from_secs(15);

impl Demo {
    /// Starts brokers, both halves and the plant, in this order.
    pub(crate) async fn set_up(
        options: Options,
        interrupts: &mut Interrupts,
        say: &mut dyn FnMut(&str),
    ) -> Result<Demo, DemoError> {
        let boxes = match options.two_boxes {
            true => {
                say("Making two boxes, each a network of its own, and a cable between them …");
                Some(TwoBoxes::new()?)
            }
            false => None,
        };
        say("Starting two brokers: one for the plant (OT), one for the enterprise (IT) …");
        let thread = |what| move |source| DemoError::Thread { what, source };
        let clock = Clock::start();
        let ot_broker = within(boxes.as_ref(), Place::Plant, || Broker::start("OT"))?;
        let ot_broker = ot_broker.map_err(thread("OT broker"))?;
        let it_broker = within(boxes.as_ref(), Place::Enterprise, || Broker::start("IT"))?;
        let it_broker = it_broker.map_err(thread("IT broker"))?;
        let (ot_address, it_address) = (ot_broker.address(), it_broker.address());
        let mut workplace = Workplace::new(ot_address, it_address, boxes.is_some())?;
        let enterprise =
            within(boxes.as_ref(), Place::Enterprise, || Enterprise::start(it_address, clock))?;
        let enterprise = enterprise.map_err(thread("IT side"))?;
        say("The OT half is sealed, connects to the OT broker and subscribes …");
        let mut ot = workplace.start("ot", clock, boxes.as_ref())?;
        let mut journal = JournalView::open(&workplace.journal())?;
        // The relay listens before the plant speaks: what it can't have heard isn't missing.
        let is_connected = |_: &mut Half| {
            journal.look();
            journal.connected()
        };
        wait(interrupts, &mut workplace, &mut ot, "the OT half", is_connected).await?;
        let mut between = None;
        if let Some(boxes) = boxes {
            say("Both ends of the cable are sealed: one only sends, the other only receives …");
            let mut link = Between::start(&workplace, boxes, clock)?;
            for (end, what) in
                [(&mut link.receive, "the receiving end"), (&mut link.send, "the sending end")]
            {
                wait(interrupts, &mut workplace, end, what, has_started).await?;
            }
            say("The IT half is sealed, and reads the journal that the receiving end writes …");
            between = Some(link);
        } else {
            say("The IT half is sealed, and reads the journal that the OT half writes …");
        }
        let boxes = between.as_ref().map(|between| &between.boxes);
        let mut it = workplace.start("it", clock, boxes)?;
        wait(interrupts, &mut workplace, &mut it, "the IT half", has_started).await?;
        say("The plant begins to send, and a strict host on IT judges what arrives.");
        let plant = within(boxes, Place::Plant, || Plant::start(ot_address, clock))?;
        let plant = plant.map_err(thread("plant"))?;
        let (screen, keys) = match options.screen {
            true => {
                let keys = boxes.and_then(|_| Keys::listen());
                (Some(Screen::begin(options.colour).map_err(DemoError::Stdout)?), keys)
            }
            false => (None, None),
        };
        Ok(Demo {
            screen,
            keys,
            options,
            began: clock.elapsed(),
            clock,
            it,
            between,
            ot,
            usage: [None, None],
            journal,
            plant,
            enterprise,
            attempts: Attempts::new(),
            history: History::default(),
            ot_broker,
            it_broker,
            workplace,
            downtimes: Vec::new(),
        })
    }
}

/// In a box, if there are two.
fn within<T: Send>(
    boxes: Option<&TwoBoxes>,
    place: Place,
    act: impl FnOnce() -> T + Send,
) -> Result<T, DemoError> {
    match boxes {
        Some(boxes) => boxes.within(place, act),
        None => Ok(act()),
    }
}

/// Waits until a half or an end is ready, or has ended.
async fn wait(
    interrupts: &mut Interrupts,
    workplace: &mut Workplace,
    half: &mut Half,
    what: &str,
    mut is_ready: impl FnMut(&mut Half) -> bool,
) -> Result<(), DemoError> {
    let mut waited = Duration::ZERO;
    while !is_ready(half) {
        if !interrupts.pause(LOOK_EVERY).await {
            return Err(DemoError::Interrupted);
        }
        waited = waited.saturating_add(LOOK_EVERY);
        if let Some(status) = half.ended() {
            return Err(workplace.error_of(half, &format!("{what} ended: {status}")));
        }
        if waited > READY_WITHIN {
            return Err(workplace.error_of(half, &format!("{what} doesn't get ready")));
        }
    }
    Ok(())
}

/// Its log says so.
fn has_started(half: &mut Half) -> bool {
    let started = format!(" {}: STARTED ", half.name);
    half.new_log_lines().iter().any(|line| line.contains(&started))
}
