//! Users, files, directories and disk of a half.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use diagnostic::os_error;
use sandbox::{Finding as Probed, Identity, Layer, Role, SandboxError};
use text::rough_size;

use super::finding::{Finding, Verdict};
use crate::cli::half_files::HalfFiles;

const WRITE_AND_ENTER: u32 = 0o3;
const READ_AND_ENTER: u32 = 0o5;
/// What the package calls the group that reads the journal.
const IT_GROUP: &str = "sparkdiode-it";

/// The layers of the seal, as this kernel has them.
pub(super) fn kernel(probed: &[Probed], waived: &[Layer]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut good = Vec::new();
    for Probed { layer, result } in probed {
        match result {
            Ok(_) => good.push(layer.name()),
            Err(why) if waived.contains(layer) => findings.push(Finding::odd(
                "kernel",
                format!("`{layer}` is missing, and waived: {why}"),
                "a newer kernel has it; then take it out of `waive`",
            )),
            Err(why) => findings.push(Finding::bad(
                "kernel",
                format!("`{layer}` can't be enforced: {why}"),
                format!("Debian 12's kernel and newer ones have it (a container may hide it); to do without: [sandbox] waive = [\"{layer}\"]"),
            )),
        }
    }
    if !good.is_empty() {
        findings.push(Finding::good("kernel", format!("enforces {}", good.join(", "))));
    }
    findings
}

/// By what this kernel has them enforced, where nothing is missing.
pub(super) fn level() -> Option<Finding> {
    sandbox::level().ok().map(|level| Finding::good("level", level.to_string()))
}

/// Whose the files are, and whether the half can use its directories. `journal_group`: who reads the
/// journal, where that is known.
pub(super) fn files(half: &HalfFiles, journal_group: Option<&str>) -> Vec<Finding> {
    let waived = half.sandbox.waived.contains(&Layer::User);
    let identity = match half.identity() {
        Ok(identity) => identity,
        Err(_) if waived => Identity::current(),
        Err(error) => {
            let role = half.role;
            return vec![Finding::bad(
                "user",
                error,
                format!(
                    "useradd --system --user-group --no-create-home --shell /usr/sbin/nologin \
                     sparkdiode-{role}, and [sandbox] user = \"sparkdiode-{role}\""
                ),
            )];
        }
    };
    let mut findings = vec![if waived {
        Finding::odd(
            "user",
            format!("waived: runs as whoever starts it (now {identity})"),
            "fine in a laboratory; in production take \"user\" out of [sandbox] waive",
        )
    } else {
        Finding::good("user", identity.to_string())
    }];
    if !waived {
        let before = findings.len();
        for owned in &half.owned {
            findings.extend(sandbox::require_own(identity, owned).err().map(of_sandbox));
        }
        if findings.len() == before {
            let words = "nobody else can write them, or read what is secret";
            findings.push(Finding::good("files", words));
        }
    }
    let place = Place { identity, half, journal_group };
    findings.extend(place.writable("state", &half.state, 0o750, None));
    if let Some(textfile) = &half.textfile {
        findings.extend(place.writable("metrics", textfile, 0o755, None));
    }
    match half.role {
        Role::Ot | Role::Receive => {
            findings.extend(place.writable("journal", &half.journal, 0o2750, journal_group));
            if !waived && half.journal.is_dir() {
                findings.extend(sandbox::readers(identity, &half.journal).err().map(of_sandbox));
            }
        }
        Role::It | Role::Send => {
            let readable = place.readable_journal();
            let is_good = readable.verdict == Verdict::Good;
            findings.push(readable);
            if !waived && is_good {
                let foreign =
                    half.unowned.iter().map(|path| sandbox::require_foreign(identity, path));
                findings.extend(foreign.filter_map(Result::err).map(of_sandbox));
            }
        }
    }
    findings
}

/// Free bytes for a journal that may grow to `retain_bytes`; `used`: what it has already.
pub(super) fn disk(journal: &Path, retain_bytes: u64) -> Finding {
    let mut place = journal.to_owned();
    while !place.is_dir() && place.pop() {}
    if place.as_os_str().is_empty() {
        place = PathBuf::from(".");
    }
    let shown = journal.display();
    let free = match rustix::fs::statvfs(&place) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => {
            return Finding::odd(
                "disk",
                format!("`{shown}` can't be measured: {error}"),
                "look at it",
            );
        }
    };
    let used = used_by(journal);
    judge_disk(&shown.to_string(), free, used, retain_bytes)
}

fn judge_disk(shown: &str, free: u64, used: u64, retain_bytes: u64) -> Finding {
    let room = free.saturating_add(used);
    let words = format!(
        "`{shown}` may grow to {} (`retain-bytes`) and has room for {}",
        rough_size(retain_bytes),
        rough_size(room)
    );
    // The oldest segment goes when the next one is begun, and state files take their part.
    let comfortable = retain_bytes.saturating_add(retain_bytes / 20);
    let remedy = format!(
        "`retain-bytes` of at most {}, or a larger file system: a full disk stops everything",
        room.saturating_sub(room / 10)
    );
    if room < retain_bytes {
        Finding::bad("disk", words, remedy)
    } else if room < comfortable {
        Finding::odd("disk", words, remedy)
    } else {
        Finding::good("disk", words)
    }
}

/// What the files in a directory take.
fn used_by(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let sizes = entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()));
    sizes.fold(0, u64::saturating_add)
}

/// As whom the half uses its directories.
struct Place<'a> {
    identity: Identity,
    half: &'a HalfFiles,
    journal_group: Option<&'a str>,
}

impl Place<'_> {
    /// A directory that the half writes; one that isn't there it makes itself, where it may.
    fn writable(
        &self,
        subject: &str,
        path: &Path,
        mode: u32,
        group: Option<&str>,
    ) -> Option<Finding> {
        let shown = path.display();
        let install = self.install(path, mode, group);
        match path.metadata() {
            Ok(found) if !found.is_dir() => {
                let words = format!("`{shown}` is no directory");
                Some(Finding::bad(subject, words, format!("move it away, and {install}")))
            }
            Ok(found) if !self.may(&found, WRITE_AND_ENTER) => {
                let words =
                    format!("`{shown}` can't be written by {}: {}", self.identity, owner(&found));
                Some(Finding::bad(subject, words, install))
            }
            Ok(_) => Some(Finding::good(subject, format!("`{shown}` can be written"))),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // The half makes one level, below a directory that is there.
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                let parent = parent.unwrap_or(Path::new("."));
                let makes = parent.metadata().is_ok_and(|found| self.may(&found, WRITE_AND_ENTER));
                if makes {
                    let words = format!("`{shown}` isn't there yet: the half makes it");
                    return Some(Finding::good(subject, words));
                }
                let words = format!("`{shown}` isn't there, and the half can't make it");
                Some(Finding::bad(subject, words, install))
            }
            Err(error) => {
                let words = format!("`{shown}`: {}", os_error(&error));
                Some(Finding::bad(
                    subject,
                    words,
                    "namei -l shows which directory can't be entered",
                ))
            }
        }
    }

    /// The journal as the IT half needs it.
    fn readable_journal(&self) -> Finding {
        let path = &self.half.journal;
        let shown = path.display();
        match path.metadata() {
            Ok(found) if self.may(&found, READ_AND_ENTER) => {
                Finding::good("journal", format!("`{shown}` can be read"))
            }
            Ok(found) => {
                let words =
                    format!("`{shown}` can't be read by {}: {}", self.identity, owner(&found));
                let group = self.group();
                Finding::bad(
                    "journal",
                    words,
                    format!("chgrp {group} {shown} && chmod 2750 {shown}"),
                )
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Finding::bad(
                "journal",
                format!("`{shown}` isn't there"),
                format!(
                    "start the OT half, which makes it where it may; or \
                     install -d -m 2750 -o sparkdiode-ot -g {} {shown}",
                    self.group()
                ),
            ),
            Err(error) => {
                let words = format!("`{shown}`: {}", os_error(&error));
                Finding::bad(
                    "journal",
                    words,
                    format!("namei -l {shown} shows which directory can't be entered"),
                )
            }
        }
    }

    fn may(&self, metadata: &Metadata, wanted: u32) -> bool {
        let Identity { uid, gid } = self.identity;
        let mode = metadata.mode();
        let bits = match () {
            () if uid == 0 => return true,
            () if metadata.uid() == uid => mode >> 6,
            () if metadata.gid() == gid => mode >> 3,
            () => mode,
        };
        bits & wanted == wanted
    }

    /// The command that makes a directory as the half needs it.
    fn install(&self, path: &Path, mode: u32, group: Option<&str>) -> String {
        let Identity { uid, gid } = self.identity;
        let named = self.half.sandbox.user.as_ref();
        let user = named.map_or_else(|| uid.to_string(), |spec| spec.user.clone());
        let own = named.and_then(|spec| spec.group.clone()).unwrap_or_else(|| match named {
            Some(spec) => spec.user.clone(),
            None => gid.to_string(),
        });
        let group = match group {
            Some(group) => group.to_owned(),
            None if mode & 0o2000 != 0 => self.group(),
            None => own,
        };
        format!("install -d -m {mode:04o} -o {user} -g {group} {}", path.display())
    }

    /// The group that reads the journal.
    fn group(&self) -> String {
        self.journal_group.unwrap_or(IT_GROUP).to_owned()
    }
}

/// `mode 0700, user 0, group 0`.
fn owner(metadata: &Metadata) -> String {
    let (mode, user, group) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
    format!("mode {mode:04o}, user {user}, group {group}")
}

fn of_sandbox(error: SandboxError) -> Finding {
    let remedy = error.hint().unwrap_or_else(|| "look at its owner and mode: ls -ld".to_owned());
    Finding::bad("files", error.to_string(), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_lacks_is_named_and_a_waiver_makes_it_no_fault() {
        let probed = [
            Probed { layer: Layer::Seccomp, result: Ok("fine".to_owned()) },
            Probed { layer: Layer::LandlockScopes, result: Err("ABI 6".to_owned()) },
        ];
        let found = kernel(&probed, &[]);
        assert_eq!(found[0].verdict, Verdict::Bad);
        assert!(found[0].remedy.as_ref().unwrap().contains("waive = [\"landlock-scopes\"]"));
        assert_eq!(found[1], Finding::good("kernel", "enforces seccomp"));
        let found = kernel(&probed, &[Layer::LandlockScopes]);
        assert_eq!(found[0].verdict, Verdict::Odd);
    }

    #[test]
    fn a_disk_that_the_retention_does_not_fit_on_is_a_fault() {
        const GIB: u64 = 1 << 30;
        for (free, used, verdict) in [
            (9 * GIB, 0, Verdict::Bad),
            (10 * GIB, 0, Verdict::Odd),
            (11 * GIB, 0, Verdict::Good),
            (2 * GIB, 9 * GIB, Verdict::Good),
        ] {
            let found = judge_disk("/j", free, used, 10 * GIB);
            assert_eq!(found.verdict, verdict, "{found:?}");
        }
    }
}
