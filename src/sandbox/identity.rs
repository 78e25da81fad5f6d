//! The user that a half runs as.

use std::{fmt, fs};

use rustix::process::{getegid, geteuid, getgid, getgroups, getuid};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};

use super::error::os;
use super::{Role, SandboxError};

/// Highest capability that a kernel may have one day; those that it hasn't are skipped.
const CAPABILITIES: u32 = 63;
const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// A user as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSpec {
    /// Name or number.
    pub user: String,
    /// Name or number; `None`: the user's own.
    pub group: Option<String>,
}

/// User and group of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "uid {}, gid {}", self.uid, self.gid)
    }
}

impl Identity {
    /// What this process runs as.
    pub fn current() -> Identity {
        Identity { uid: geteuid().as_raw(), gid: getegid().as_raw() }
    }
}

impl UserSpec {
    /// Looks user and group up in /etc/passwd and /etc/group: a half's user is one of this
    /// machine, not of a directory service that lies across the network.
    ///
    /// # Errors
    /// They aren't there. A number needs no entry if the group is a number too.
    pub fn resolve(&self) -> Result<Identity, SandboxError> {
        self.look_up(
            &fs::read_to_string(PASSWD).unwrap_or_default(),
            &fs::read_to_string(GROUP).unwrap_or_default(),
        )
    }

    fn look_up(&self, passwd: &str, groups: &str) -> Result<Identity, SandboxError> {
        let unknown = |kind, name: &String| SandboxError::Unknown { kind, name: name.clone() };
        let number = self.user.parse::<u32>().ok();
        let entry = passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (name, uid) = (fields.next()?, fields.nth(1)?.parse::<u32>().ok()?);
            let gid = fields.next()?.parse::<u32>().ok()?;
            (name == self.user || number == Some(uid)).then_some(Identity { uid, gid })
        });
        let uid = entry.map(|entry| entry.uid).or(number);
        let uid = uid.ok_or_else(|| unknown("user", &self.user))?;
        let gid = match &self.group {
            None => entry.map(|entry| entry.gid).ok_or_else(|| {
                unknown("user (a number without an entry needs a `group`)", &self.user)
            })?,
            Some(group) => match group.parse::<u32>() {
                Ok(gid) => gid,
                Err(_) => groups
                    .lines()
                    .find_map(|line| {
                        let mut fields = line.split(':');
                        (fields.next()? == group).then_some(())?;
                        fields.nth(1)?.parse::<u32>().ok()
                    })
                    .ok_or_else(|| unknown("group", group))?,
            },
        };
        Ok(Identity { uid, gid })
    }
}

/// Who this process will be once it has become `user`.
pub(super) fn future(user: Option<&UserSpec>) -> Result<Identity, SandboxError> {
    user.map_or_else(|| Ok(Identity::current()), UserSpec::resolve)
}

/// Makes this process a user of its own, in its group alone.
pub(super) fn take(role: Role, user: Option<&UserSpec>) -> Result<Identity, SandboxError> {
    let is = Identity::current();
    let wanted = user.map(UserSpec::resolve).transpose()?;
    let identity = match wanted {
        Some(wanted) if is.uid == 0 => {
            if wanted.uid == 0 || wanted.gid == 0 {
                return Err(SandboxError::Root { role });
            }
            switch(wanted)?;
            wanted
        }
        Some(wanted) if wanted.uid != is.uid => {
            return Err(SandboxError::OtherUser { is: is.uid, wanted: wanted.uid });
        }
        _ if is.uid == 0 || is.gid == 0 => return Err(SandboxError::Root { role }),
        _ => is,
    };
    require(identity)?;
    Ok(identity)
}

/// The layer is waived: the process stays what it is, unless it is root and a user is named.
pub(super) fn keep(user: Option<&UserSpec>) -> Result<Identity, SandboxError> {
    let is = Identity::current();
    match user.map(UserSpec::resolve).transpose()? {
        Some(wanted) if is.uid == 0 => {
            switch(wanted)?;
            Ok(wanted)
        }
        _ => Ok(is),
    }
}

fn switch(wanted: Identity) -> Result<(), SandboxError> {
    let (uid, gid) = (Uid::from_raw(wanted.uid), Gid::from_raw(wanted.gid));
    // While there still is the right to: what execve could ever give back.
    drop_bounding_set()?;
    rustix::thread::set_thread_groups(&[]).map_err(os("leave all groups"))?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(os("change the group"))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(os("change the user"))
}

/// Looks at what the kernel says afterwards.
fn require(identity: Identity) -> Result<(), SandboxError> {
    let uids = [getuid().as_raw(), geteuid().as_raw()];
    let gids = [getgid().as_raw(), getegid().as_raw()];
    let other = uids.into_iter().find(|uid| *uid != identity.uid);
    if let Some(is) = other {
        return Err(SandboxError::OtherUser { is, wanted: identity.uid });
    }
    let groups = getgroups().map_err(os("ask for groups"))?;
    let others: Vec<u32> = groups
        .into_iter()
        .map(Gid::as_raw)
        .chain(gids)
        .filter(|group| *group != identity.gid)
        .collect();
    if others.is_empty() { Ok(()) } else { Err(SandboxError::Groups { own: identity.gid, others }) }
}

/// Empties effective, permitted, inheritable and ambient sets. A process that stays root, since
/// that layer is waived, keeps what root has.
pub(super) fn drop_capabilities(waived: bool) -> Result<(), SandboxError> {
    if waived && geteuid().is_root() {
        return Ok(());
    }
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    let ask = || rustix::thread::capabilities(None).map_err(os("ask for capabilities"));
    // Where there are none, as in a service, this may be a call that the service manager forbids.
    // The ambient set is a part of the permitted and the inheritable one.
    if ask()? != sets {
        rustix::thread::clear_ambient_capability_set().map_err(os("drop ambient capabilities"))?;
        rustix::thread::set_capabilities(None, sets).map_err(os("drop capabilities"))?;
    }
    let left = ask()?;
    if left == sets {
        Ok(())
    } else {
        let source = std::io::Error::other(format!("{left:?} are left"));
        Err(SandboxError::Os { verb: "drop capabilities", source })
    }
}

fn drop_bounding_set() -> Result<(), SandboxError> {
    for number in 0..=CAPABILITIES {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        // Fails for numbers that this kernel doesn't know.
        if rustix::thread::capability_is_in_bounding_set(capability).unwrap_or(false) {
            rustix::thread::remove_capability_from_bounding_set(capability)
                .map_err(os("drop capabilities from the bounding set"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/bash\nbroken\nrelay-ot:x:990:991::/:/bin/false\n";
    const GROUPS: &str = "root:x:0:\nreaders:x:995:relay-it\n";

    fn look_up(user: &str, group: Option<&str>) -> Result<(u32, u32), String> {
        let spec = UserSpec { user: user.to_owned(), group: group.map(str::to_owned) };
        let found = spec.look_up(PASSWD, GROUPS);
        found.map(|found| (found.uid, found.gid)).map_err(|error| error.to_string())
    }

    #[test]
    fn users_and_groups_are_names_or_numbers() {
        assert_eq!(look_up("relay-ot", None), Ok((990, 991)));
        assert_eq!(look_up("990", None), Ok((990, 991)));
        assert_eq!(look_up("relay-ot", Some("readers")), Ok((990, 995)));
        assert_eq!(look_up("64001", Some("64002")), Ok((64001, 64002)));
        assert_eq!(look_up("nobody-here", None), Err("unknown user: `nobody-here`".into()));
        assert_eq!(look_up("990", Some("none")), Err("unknown group: `none`".into()));
        assert!(look_up("64001", None).unwrap_err().contains("needs a `group`"));
    }
}
