//! Profiles to seccomp filters.
//!
//! Two filters are installed: one that answers `ENOSYS` to the few calls that libraries try and
//! can do without, and the profile itself, in which everything that isn't named ends the
//! process. Ending it, instead of an error, has three reasons: a taken-over process gets one
//! wrong guess instead of as many as it likes; code of ours never has to go on after a refusal
//! that nobody tested; and the death by SIGSYS, with the number of the call in the kernel's log,
//! can't be overlooked. What is lost by it is what is lost by a `kill -9`: nothing, by P4.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::calls::{CALLS, DIALLER, REFUSED};
use super::profile::{Argument, Call, Form, Must, Need, Profile, Width};

/// Both filters, ready to be installed.
pub(super) struct Filters {
    refused: BpfProgram,
    profile: BpfProgram,
}

/// What happens to a call that isn't in the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Otherwise {
    /// The process ends.
    Kill,
    /// The call fails with `EPERM`: for the check of the kernel, which wants to go on.
    Refuse,
}

/// Calls of a profile under a configuration with these needs.
fn calls(profile: Profile, needs: &[Need]) -> impl Iterator<Item = &'static Call> {
    let all: Vec<&'static Call> = match profile {
        Profile::Sealed { role, dialled } => {
            let all = CALLS.iter().flat_map(|(_, calls)| *calls);
            all.filter(|call| call.is_for(role) && call.is_with(dialled)).collect()
        }
        Profile::Dialler { role } => DIALLER.iter().filter(|call| call.is_for(role)).collect(),
    };
    all.into_iter().filter(move |call| call.is_needed(needs))
}

impl Filters {
    /// Compiles the profile.
    ///
    /// # Errors
    /// The architecture has no profile; our data is wrong.
    pub(super) fn compile(
        profile: Profile,
        needs: &[Need],
        otherwise: Otherwise,
    ) -> Result<Filters, seccompiler::BackendError> {
        let arch = TargetArch::try_from(std::env::consts::ARCH)?;
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
        for call in calls(profile, needs) {
            let forms = rules.entry(call.number).or_default();
            for form in call.forms {
                forms.push(rule(form)?);
            }
        }
        let refused: BTreeMap<i64, Vec<SeccompRule>> =
            REFUSED.iter().map(|(_, number, _)| (*number, Vec::new())).collect();
        // The stricter answer of the two filters counts, so the profile has to let them pass.
        rules.extend(refused.clone());
        let otherwise = match otherwise {
            Otherwise::Kill => SeccompAction::KillProcess,
            Otherwise::Refuse => SeccompAction::Errno(errno(libc::EPERM)),
        };
        let profile = SeccompFilter::new(rules, otherwise, SeccompAction::Allow, arch)?;
        let nosys = SeccompAction::Errno(errno(libc::ENOSYS));
        let refused = SeccompFilter::new(refused, SeccompAction::Allow, nosys, arch)?;
        Ok(Filters { refused: refused.try_into()?, profile: profile.try_into()? })
    }

    /// Instructions of both.
    pub(super) fn instructions(&self) -> usize {
        self.refused.len().saturating_add(self.profile.len())
    }

    /// Installs both on this thread and those that it makes.
    ///
    /// # Errors
    /// The kernel has no seccomp filters.
    pub(super) fn install(&self) -> io::Result<()> {
        for program in [&self.refused, &self.profile] {
            seccompiler::apply_filter(program).map_err(|error| match error {
                seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => error,
                other => io::Error::other(other.to_string()),
            })?;
        }
        Ok(())
    }
}

fn rule(form: &Form) -> Result<SeccompRule, seccompiler::BackendError> {
    let conditions: Result<Vec<_>, _> = form.arguments.iter().map(condition).collect();
    SeccompRule::new(conditions?)
}

fn condition(argument: &Argument) -> Result<SeccompCondition, seccompiler::BackendError> {
    let width = match argument.width {
        Width::Int => SeccompCmpArgLen::Dword,
        Width::Long => SeccompCmpArgLen::Qword,
    };
    let (operator, value) = match argument.must {
        Must::BeBelow(limit) => (SeccompCmpOp::Lt, limit),
        Must::BeFrom(limit) => (SeccompCmpOp::Ge, limit),
        Must::Be(value) => (SeccompCmpOp::Eq, value),
        Must::Match { mask, value } => (SeccompCmpOp::MaskedEq(mask), value),
        Must::BeOwnPid => (SeccompCmpOp::Eq, u64::from(std::process::id())),
    };
    SeccompCondition::new(argument.index, width, operator, value)
}

/// Error numbers are small and positive.
fn errno(number: libc::c_int) -> u32 {
    number.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::Role;
    use super::*;

    const LINK: u64 = super::super::LINK_DESCRIPTORS as u64;
    const NEEDS: [Need; 2] = [Need::SyslogUdp, Need::UnixDatagrams];
    const PROFILES: [Profile; 9] = [
        Profile::Sealed { role: Role::Ot, dialled: false },
        Profile::Sealed { role: Role::It, dialled: false },
        Profile::Sealed { role: Role::Ot, dialled: true },
        Profile::Sealed { role: Role::It, dialled: true },
        Profile::Sealed { role: Role::Send, dialled: true },
        Profile::Sealed { role: Role::Receive, dialled: true },
        Profile::Dialler { role: Role::Ot },
        Profile::Dialler { role: Role::Send },
        Profile::Dialler { role: Role::Receive },
    ];

    #[test]
    fn profiles_compile_and_are_small() {
        for profile in PROFILES {
            for needs in [&NEEDS[..], &[]] {
                let filters = Filters::compile(profile, needs, Otherwise::Kill).unwrap();
                let instructions = filters.instructions();
                assert!(instructions < 600, "{profile:?}: {instructions} instructions");
            }
        }
    }

    #[test]
    fn every_call_has_a_reason_and_every_form_says_what_it_is() {
        for (topic, calls) in CALLS {
            for call in *calls {
                assert!(!call.because.is_empty(), "{topic}: {}", call.name());
                for form in call.forms {
                    assert!(!form.says.is_empty(), "{topic}: {}", call.name());
                }
            }
        }
    }

    /// A call without conditions beside one with conditions would undo them.
    #[test]
    fn no_call_is_both_free_and_bound() {
        for profile in PROFILES {
            let free: BTreeSet<i64> = calls(profile, &NEEDS)
                .filter(|call| call.forms.is_empty())
                .map(|call| call.number)
                .collect();
            for call in calls(profile, &NEEDS).filter(|call| !call.forms.is_empty()) {
                assert!(!free.contains(&call.number), "{profile:?}: {}", call.name());
            }
        }
    }

    #[test]
    fn what_an_intruder_would_want_is_in_no_profile() {
        let wanted = [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_ptrace,
            libc::SYS_kill,
            libc::SYS_tkill,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_getfd,
            libc::SYS_pidfd_open,
            libc::SYS_pidfd_send_signal,
            libc::SYS_rt_sigqueueinfo,
            libc::SYS_io_uring_setup,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_mount,
            libc::SYS_fadvise64,
            libc::SYS_bind,
            libc::SYS_listen,
            libc::SYS_accept4,
            libc::SYS_sendmmsg,
            libc::SYS_ioctl,
            libc::SYS_add_key,
            libc::SYS_keyctl,
            libc::SYS_bpf,
            libc::SYS_perf_event_open,
            libc::SYS_userfaultfd,
            libc::SYS_memfd_create,
            libc::SYS_shmget,
            libc::SYS_mq_open,
            libc::SYS_linkat,
            libc::SYS_symlinkat,
            libc::SYS_mkdirat,
            libc::SYS_mknodat,
            libc::SYS_fchmodat,
            libc::SYS_fchown,
            libc::SYS_setxattr,
            libc::SYS_fallocate,
            libc::SYS_utimensat,
            libc::SYS_prlimit64,
            libc::SYS_setpriority,
            libc::SYS_statfs,
            libc::SYS_fstatfs,
            libc::SYS_sysinfo,
            libc::SYS_mincore,
            libc::SYS_preadv2,
            libc::SYS_sched_setaffinity,
            libc::SYS_setuid,
            libc::SYS_capset,
            libc::SYS_openat2,
        ];
        for profile in PROFILES {
            for number in wanted {
                let found = calls(profile, &NEEDS).find(|call| call.number == number);
                assert!(found.is_none(), "{profile:?}: {}", found.map_or("", Call::name));
            }
        }
        let may = |profile, number| calls(profile, &NEEDS).any(|call| call.number == number);
        for profile in PROFILES {
            let makes = [libc::SYS_socket, libc::SYS_connect].map(|number| may(profile, number));
            let dialled = matches!(profile, Profile::Sealed { dialled: true, .. });
            assert_eq!(makes, [!dialled; 2], "{profile:?}");
            assert_eq!(may(profile, libc::SYS_recvmsg), dialled, "{profile:?}");
            // What hands sockets over can be used by the dialling process alone; the sending end has it
            // for sockets of a network, which hand nothing over.
            let hands = matches!(profile, Profile::Dialler { .. });
            let sends = profile == Profile::Sealed { role: Role::Send, dialled: true };
            assert_eq!(may(profile, libc::SYS_sendmsg), hands || sends);
        }
        let dialler = Profile::Dialler { role: Role::It };
        for number in [libc::SYS_openat, libc::SYS_read, libc::SYS_mmap, libc::SYS_clone] {
            assert!(!may(dialler, number), "{number}");
        }
        for number in [
            libc::SYS_flock,
            libc::SYS_pwrite64,
            libc::SYS_ftruncate,
            libc::SYS_fchmod,
            libc::SYS_fdatasync,
        ] {
            for dialled in [false, true] {
                assert!(!may(Profile::Sealed { role: Role::It, dialled }, number));
                assert!(!may(Profile::Sealed { role: Role::Send, dialled }, number));
            }
        }
    }

    /// Whatever could receive from a network, at the sending end, and send to one, at the receiving
    /// end: it isn't there, or it isn't for sockets of the link, and there are no others.
    #[test]
    fn no_end_of_the_link_has_a_call_for_the_other_direction() {
        let receives = [
            libc::SYS_read,
            libc::SYS_readv,
            libc::SYS_recvfrom,
            libc::SYS_recvmsg,
            libc::SYS_recvmmsg,
            libc::SYS_splice,
            libc::SYS_getsockopt,
        ];
        let sends = [
            libc::SYS_write,
            libc::SYS_writev,
            libc::SYS_sendto,
            libc::SYS_sendmsg,
            libc::SYS_sendmmsg,
            libc::SYS_splice,
            libc::SYS_sendfile,
            libc::SYS_vmsplice,
            libc::SYS_setsockopt,
        ];
        let others = [
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_bind,
            libc::SYS_dup,
            libc::SYS_dup3,
            libc::SYS_ioctl,
            libc::SYS_shutdown,
        ];
        let is_kept_from_the_link = |call: &Call| {
            let must_be_other = |form: &Form| {
                form.arguments.iter().any(|argument| {
                    argument.index == 0 && matches!(argument.must, Must::BeBelow(LINK))
                })
            };
            !call.forms.is_empty() && call.forms.iter().all(must_be_other)
        };
        for (role, forbidden) in [(Role::Send, &receives[..]), (Role::Receive, &sends[..])] {
            let profile = Profile::Sealed { role, dialled: true };
            for call in calls(profile, &NEEDS) {
                assert!(!others.contains(&call.number), "{role}: {}", call.name());
                if forbidden.contains(&call.number) {
                    assert!(is_kept_from_the_link(call), "{role}: {}", call.name());
                }
            }
            // And no other way to give a socket of the link a low number.
            let fcntl = calls(profile, &NEEDS).find(|call| call.number == libc::SYS_fcntl);
            for form in fcntl.unwrap().forms {
                assert!(form.says.starts_with("F_GET") || form.says == "F_SETFD", "{form:?}");
            }
        }
    }
}
