//! What is tried. `Ok(())` from an attempt means that the intruder got what it wanted.

mod exhaust;
mod files;
mod journal;
mod kernel;
mod link;
mod meeting;
mod network;
mod process;

use std::fs::File;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::LazyLock;

use sandbox::{Need, Role};

use crate::scene::Place;

/// What an intruder stands on: the half that it took over.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) place: Place,
    /// The journal, as the half had it open: to read.
    pub(crate) segment: File,
    /// A socket of the link, as an end of it has one; and the address of its other end.
    pub(crate) link: UdpSocket,
    pub(crate) peer: SocketAddr,
    pub(crate) scratch: Vec<u8>,
}

/// Tells that a confederate listens, and waits until the intruder has done its part.
pub(crate) type Listen<'a> = &'a mut dyn FnMut() -> io::Result<()>;

/// One attack.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) who: Who,
    pub(crate) attempt: fn(&mut Ground) -> io::Result<()>,
    /// What the other half, taken over too, does meanwhile: the attack works if both get what they
    /// want.
    pub(crate) confederate: Option<fn(&mut Ground, Listen<'_>) -> io::Result<()>>,
    /// What the configuration of the halves opens beyond the usual.
    pub(crate) needs: &'static [Need],
    /// Why it isn't possible even with everything off; then there is nothing to prove.
    pub(crate) kernel_refuses: Option<&'static str>,
    /// Why it may be impossible on a machine; where it is possible, it is an attack as any other.
    pub(crate) missing_here: Option<&'static str>,
    /// What the intruder must be able to do under every layer, as the half that it took over
    /// is; but a network without anything in it gives nothing to connect to.
    pub(crate) control: bool,
    /// Why a half can do it all the same: what bounds it is outside of the half.
    pub(crate) bounded_outside: Option<&'static str>,
    /// Why fewer than two layers are enough.
    pub(crate) reason: Option<&'static str>,
}

/// Intruders that try it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Whoever reads a journal that another writes.
    Reader,
    /// Whoever writes one.
    Writer,
    /// Those with a broker.
    Halves,
    Send,
    Receive,
    All,
}

impl Attack {
    pub(crate) fn is_for(&self, role: Role) -> bool {
        match self.who {
            Who::All => true,
            Who::Reader => matches!(role, Role::It | Role::Send),
            Who::Writer => matches!(role, Role::Ot | Role::Receive),
            Who::Halves => !role.is_of_link(),
            Who::Send => role == Role::Send,
            Who::Receive => role == Role::Receive,
        }
    }

    fn kernel_refuses(mut self, why: &'static str) -> Attack {
        self.kernel_refuses = Some(why);
        self
    }

    fn missing_here(mut self, why: &'static str) -> Attack {
        self.missing_here = Some(why);
        self
    }

    fn bounded_outside(mut self, why: &'static str) -> Attack {
        self.bounded_outside = Some(why);
        self
    }

    fn confederate(mut self, attempt: fn(&mut Ground, Listen<'_>) -> io::Result<()>) -> Attack {
        self.confederate = Some(attempt);
        self
    }

    fn needs(mut self, needs: &'static [Need]) -> Attack {
        self.needs = needs;
        self
    }

    fn control(mut self) -> Attack {
        self.control = true;
        self
    }

    fn reason(mut self, why: &'static str) -> Attack {
        self.reason = Some(why);
        self
    }
}

fn attack(who: Who, name: &'static str, attempt: fn(&mut Ground) -> io::Result<()>) -> Attack {
    Attack {
        name,
        who,
        attempt,
        confederate: None,
        needs: &[],
        kernel_refuses: None,
        missing_here: None,
        control: false,
        bounded_outside: None,
        reason: None,
    }
}

/// All of them.
pub(crate) static ATTACKS: LazyLock<Vec<Attack>> = LazyLock::new(|| {
    let mut all = controls();
    all.extend(journal::attacks());
    all.extend(network::attacks());
    all.extend(link::attacks());
    all.extend(meeting::attacks());
    all.extend(process::attacks());
    all.extend(files::attacks());
    all.extend(exhaust::attacks());
    all.extend(kernel::attacks());
    all
});

/// What a half does all day.
fn controls() -> Vec<Attack> {
    vec![
        attack(Who::Halves, "(control) connect to its own broker", network::own_broker).control(),
        attack(Who::All, "(control) read the journal", |ground| {
            std::fs::read(ground.place.segment()).map(drop)
        })
        .control(),
        attack(Who::All, "(control) replace its own state", |ground| {
            std::fs::write(ground.place.own("new"), "state")?;
            std::fs::rename(ground.place.own("new"), ground.place.own("some.state"))
        })
        .control(),
        attack(Who::Writer, "(control) append to the journal", |ground| {
            let mut options = File::options();
            let file = options.append(true).open(ground.place.segment())?;
            std::os::unix::fs::FileExt::write_all_at(&file, b"frame", 0)
        })
        .control(),
    ]
}

/// A call without effect but for the permission check passes it with `past`.
fn passes(result: io::Result<i64>, past: &[i32]) -> io::Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if error.raw_os_error().is_some_and(|number| past.contains(&number)) => Ok(()),
        Err(error) => Err(error),
    }
}
