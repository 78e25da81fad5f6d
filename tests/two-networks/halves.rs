//! Both halves around a link, or without one: the OT half in the plant's network, the IT half in the
//! office's.

use std::fs;
use std::net::SocketAddr;

use crate::ends::{End, Files, IT, SEND, give};
use crate::network::Network;

const OT: u32 = 64_021;
/// A mirror that lacks something is whole again within this time, seconds.
const KEYFRAME_EVERY_S: u32 = 10;

/// How frames come from one half to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Link,
    /// Both halves have one journal.
    Disk,
}

impl Files {
    /// Writes what the halves need: who may forward all of the group `Plant`.
    pub(crate) fn add_halves(&self, way: Way, plant: SocketAddr, office: SocketAddr) {
        let reader = if way == Way::Link { SEND } else { IT };
        for (name, user, group, mode) in [
            ("journal", OT, reader, 0o2750),
            ("ot", OT, OT, 0o750),
            ("it", IT, IT, 0o750),
            ("policies", 0, 0, 0o755),
        ] {
            let path = self.path(name);
            if !path.exists() {
                fs::create_dir(&path).unwrap();
            }
            give(&path, user, group, mode);
        }
        let rule = "[[rule]]\nname = \"everything\"\naction = \"forward\"\ngroup = \"Plant\"\n";
        fs::write(self.path("policies/policy.toml"), rule).unwrap();
        let from = if way == Way::Link { "received" } else { "journal" };
        let broker = |address| format!("[broker]\naddress = \"{address}\"\nplaintext = true\n");
        let rest = |half: &str, user: u32| {
            format!(
                "[state]\npath = \"{half}\"\n[status]\nevery-s = 1\n[sandbox]\nuser = \"{user}\"\ngroup = \
                 \"{user}\"\n"
            )
        };
        let ot = format!(
            "name = \"through\"\n{}[policies]\npaths = [\"policies\"]\n[journal]\npath = \"journal\"\n\
             [relay]\nkeyframe-every-s = {KEYFRAME_EVERY_S}\n{}",
            broker(plant),
            rest("ot", OT)
        );
        let it = format!(
            "{}[journal]\npath = \"{from}\"\n[health]\nenabled = false\n{}",
            broker(office),
            rest("it", IT)
        );
        fs::write(self.path("ot.toml"), ot).unwrap();
        fs::write(self.path("it.toml"), it).unwrap();
    }

    pub(crate) fn start_ot(&self, network: &Network) -> End {
        self.start("ot", network.at_plant(&self.binary))
    }

    pub(crate) fn start_it(&self, network: &Network) -> End {
        self.start("it", network.at_office(&self.binary))
    }
}
