//! Access control lists of files (POSIX ACLs): they let others in whom the mode doesn't name.
//!
//! | offset | size | field of `system.posix_acl_access`, little endian |
//! |---|---|---|
//! | 0 | 4 | version, 2 |
//! | 4 + 8 n | 2 | tag: 2 a user, 8 a group, 16 the mask that bounds both |
//! | 6 + 8 n | 2 | permissions: 4 reading, 2 writing |
//! | 8 + 8 n | 4 | the user or group |

use std::fmt;
use std::path::Path;

use super::Identity;

pub(super) const READ: u16 = 4;
pub(super) const WRITE: u16 = 2;
const ATTRIBUTE: &str = "system.posix_acl_access";
const VERSION: [u8; 4] = [2, 0, 0, 0];
const USER: u16 = 2;
const GROUP: u16 = 8;
const MASK: u16 = 16;
/// Of a list; the kernel's own limit for an attribute.
const MAX_BYTES: usize = 64 * 1024;

/// Somebody whom a list lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    is_group: bool,
    id: u32,
}

impl Entry {
    /// As `setfacl` takes it.
    pub(super) fn short(self) -> String {
        format!("{}:{}", if self.is_group { "g" } else { "u" }, self.id)
    }
}

/// `group 995, by its access control list`.
impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_group { "group" } else { "user" };
        write!(formatter, "{kind} {}, by its access control list", self.id)
    }
}

/// The first user or group besides root and this half that has this permission.
pub(super) fn others(identity: Identity, path: &Path, permission: u16) -> Option<Entry> {
    let mut bytes = vec![0; MAX_BYTES];
    // Without a list, and on file systems that have none, the mode says all.
    let length = rustix::fs::getxattr(path, ATTRIBUTE, &mut bytes[..]).ok()?;
    find(identity, bytes.get(..length)?, permission)
}

fn find(identity: Identity, list: &[u8], permission: u16) -> Option<Entry> {
    let entries = list.strip_prefix(&VERSION)?.as_chunks::<8>().0;
    let parsed = entries.iter().map(|[tag, tag2, may, may2, id @ ..]| {
        let (tag, may) = (u16::from_le_bytes([*tag, *tag2]), u16::from_le_bytes([*may, *may2]));
        (tag, may, u32::from_le_bytes(*id))
    });
    let mask = parsed.clone().find(|(tag, ..)| *tag == MASK).map_or(u16::MAX, |(_, may, _)| may);
    parsed.filter(|(_, may, _)| may & mask & permission != 0).find_map(|(tag, _, id)| match tag {
        USER if ![0, identity.uid].contains(&id) => Some(Entry { is_group: false, id }),
        GROUP if ![0, identity.gid].contains(&id) => Some(Entry { is_group: true, id }),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Identity = Identity { uid: 990, gid: 991 };

    fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut bytes = VERSION.to_vec();
        for (tag, may, id) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(may.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn others_that_a_list_lets_in_are_found_as_far_as_its_mask_lets_them() {
        const NOBODY: u32 = u32::MAX;
        let ours = [(1, 6, NOBODY), (USER, 4, 990), (4, 0, NOBODY), (MASK, 4, NOBODY)];
        assert_eq!(find(US, &list(&ours), READ), None);
        let theirs = [(1, 6, NOBODY), (GROUP, 6, 995), (MASK, 4, NOBODY)];
        let group = Entry { is_group: true, id: 995 };
        assert_eq!(find(US, &list(&theirs), READ), Some(group));
        assert_eq!(find(US, &list(&theirs), WRITE), None);
        assert_eq!(find(US, &list(&[(USER, 2, 995)]), WRITE).unwrap().short(), "u:995");
        assert_eq!(find(US, &[], READ), None);
        assert_eq!(find(US, b"\x01\0\0\0garbage!", READ), None);
    }

    /// The kernel's own layout, where the file system of the test has such lists.
    #[test]
    fn a_list_on_a_file_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(others(US, file.path(), READ), None);
        let entries = [(1, 6, u32::MAX), (GROUP, 4, 995), (4, 0, u32::MAX), (MASK, 4, u32::MAX)];
        let list = list(&[&entries[..], &[(32, 0, u32::MAX)]].concat());
        let flags = rustix::fs::XattrFlags::empty();
        if rustix::fs::setxattr(file.path(), ATTRIBUTE, &list, flags).is_ok() {
            assert_eq!(others(US, file.path(), READ).unwrap().short(), "g:995");
        }
    }
}
