//! The beginning: brokers, both halves and the plant are started, in this order.

use std::time::Duration;

use clock::Clock;

use super::{Demo, LOOK_EVERY};
use crate::attempts::Attempts;
use crate::broker::Broker;
use crate::enterprise::Enterprise;
use crate::interrupts::Interrupts;
use crate::plant::Plant;
use crate::relay::{JournalView, Workplace};
use crate::screen::Screen;
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
        say("Starting two brokers: one for the plant (OT), one for the enterprise (IT) …");
        let thread = |what| move |source| DemoError::Thread { what, source };
        let clock = Clock::start();
        let ot_broker = Broker::start("OT").map_err(thread("OT broker"))?;
        let it_broker = Broker::start("IT").map_err(thread("IT broker"))?;
        let mut workplace = Workplace::new(ot_broker.address(), it_broker.address())?;
        let enterprise =
            Enterprise::start(it_broker.address(), clock).map_err(thread("IT side"))?;
        say("The OT half is sealed, connects to the OT broker and subscribes …");
        let mut ot = workplace.start("ot", clock)?;
        let mut journal = JournalView::open(&workplace.journal())?;
        // The relay listens before the plant speaks: what it can't have heard isn't missing.
        let mut waited = Duration::ZERO;
        while !journal.connected() {
            if !interrupts.pause(LOOK_EVERY).await {
                return Err(DemoError::Interrupted);
            }
            waited = waited.saturating_add(LOOK_EVERY);
            if let Some(status) = ot.ended() {
                let what = format!("the OT half ended: {status}");
                return Err(workplace.error_of(&ot, &what));
            }
            if waited > READY_WITHIN {
                return Err(workplace.error_of(&ot, "the OT half doesn't get ready"));
            }
            journal.look();
        }
        say("The IT half is sealed, and reads the journal that the OT half writes …");
        let mut it = workplace.start("it", clock)?;
        while !it.new_log_lines().iter().any(|line| line.contains(" it: STARTED ")) {
            if !interrupts.pause(LOOK_EVERY).await {
                return Err(DemoError::Interrupted);
            }
            waited = waited.saturating_add(LOOK_EVERY);
            if let Some(status) = it.ended() {
                let what = format!("the IT half ended: {status}");
                return Err(workplace.error_of(&it, &what));
            }
            if waited > READY_WITHIN {
                return Err(workplace.error_of(&it, "the IT half doesn't get ready"));
            }
        }
        say("The plant begins to send, and a strict host on IT judges what arrives.");
        let plant = Plant::start(ot_broker.address(), clock).map_err(thread("plant"))?;
        let screen = match options.screen {
            true => Some(Screen::begin(options.colour).map_err(DemoError::Stdout)?),
            false => None,
        };
        Ok(Demo {
            screen,
            options,
            began: clock.elapsed(),
            clock,
            it,
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
