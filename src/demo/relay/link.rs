//! Both ends of a link: their files, and what they may get at.

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;

use sandbox::Layer;

use super::{IT_USER, OT_USER, RECEIVE_USER, SEND_USER, Workplace};
use crate::DemoError;
use crate::two_boxes::{FAR, FAR_ADDRESS, NEAR};

/// The journal that the receiving end writes.
pub(super) const RECEIVED: &str = "received";
/// A frame that was lost goes again when it is so old, and until it is so old. The first is short, since
/// somebody watches; the second is as long as one will have the cable out.
const AGAIN_AFTER_S: u32 = 2;
const AGAIN_WITHIN_S: u32 = 600;

impl Workplace {
    /// Files and directories of both ends.
    pub(super) fn add_link(&self) -> Result<(), DemoError> {
        let send_toml = format!(
            "[link]\nname = \"demo\"\nkey-file = \"send.key\"\n\n\
             [[path]]\nname = \"cable\"\ninterface = \"{NEAR}\"\nto = \"{FAR_ADDRESS}\"\n\n\
             [repair]\nclose-after-ms = 20\nspread-ms = 20\n\n\
             [second-pass]\nafter-s = {AGAIN_AFTER_S}\nwindow-s = {AGAIN_WITHIN_S}\nshare-percent = 50\n\n\
             [journal]\npath = \"journal\"\n\n[state]\npath = \"send\"\n\n{}",
            self.sandbox(SEND_USER)
        );
        let receive_toml = format!(
            "[link]\nname = \"demo\"\nkey-file = \"receive.key\"\n\n\
             [[path]]\nname = \"cable\"\ninterface = \"{FAR}\"\nlisten = \"{FAR_ADDRESS}\"\n\n\
             [repair]\nreorder-ms = 100\n\n\
             [journal]\npath = \"{RECEIVED}\"\n\n[state]\npath = \"receive\"\n\n{}",
            self.sandbox(RECEIVE_USER)
        );
        for (name, text) in [("send.toml", send_toml), ("receive.toml", receive_toml)] {
            let path = self.dir.join(name);
            fs::write(&path, text).map_err(|source| DemoError::File {
                verb: "write",
                path,
                source,
            })?;
        }
        let key = random_key()?;
        self.write_key("send.key", SEND_USER, &key)?;
        self.write_key("receive.key", RECEIVE_USER, &key)?;
        self.make_directories(&[
            (RECEIVED, RECEIVE_USER, IT_USER, 0o2750),
            ("send", SEND_USER, SEND_USER, 0o700),
            ("receive", RECEIVE_USER, RECEIVE_USER, 0o700),
        ])
    }

    fn write_key(&self, name: &str, user: u32, key: &str) -> Result<(), DemoError> {
        let path = self.dir.join(name);
        let os = |verb| {
            let path = path.clone();
            move |source| DemoError::File { verb, path, source }
        };
        fs::write(&path, key).map_err(os("write"))?;
        fs::set_permissions(&path, Permissions::from_mode(0o400)).map_err(os("set the mode of"))?;
        if !self.waived.contains(&Layer::User) {
            chown(&path, Some(user), Some(user)).map_err(os("give away"))?;
        }
        Ok(())
    }

    /// The journal that the receiving end writes and the IT half reads.
    pub(crate) fn received(&self) -> PathBuf {
        self.dir.join(RECEIVED)
    }

    /// How halves and ends are confined, for people.
    pub(super) fn confinement_of_four(&self) -> String {
        let boxes = "each box a network of its own";
        let waived: Vec<&str> = self.waived.iter().map(|layer| layer.name()).collect();
        match self.waived.as_slice() {
            [] => {
                format!("all four, as users {OT_USER} to {RECEIVE_USER}; nothing waived; {boxes}")
            }
            _ => format!("all four, without {}: not to be had here; {boxes}", waived.join(", ")),
        }
    }
}

/// As `sparkdiode link-key` makes it.
fn random_key() -> Result<String, DemoError> {
    let path = PathBuf::from("/dev/urandom");
    let mut key = [0; 32];
    File::open(&path)
        .and_then(|mut random| random.read_exact(&mut key))
        .map_err(|source| DemoError::File { verb: "read", path, source })?;
    Ok(key.iter().map(|byte| format!("{byte:02x}")).collect())
}
