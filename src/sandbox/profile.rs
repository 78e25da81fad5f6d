//! What a profile is made of: system calls, conditions on their arguments, and reasons.

use std::fmt;

use super::Role;

/// A system call that a sealed process may make.
#[derive(Debug)]
pub struct Call {
    /// As the kernel calls it, with the `SYS_` of its constant.
    constant: &'static str,
    pub(super) number: i64,
    /// Who needs it.
    who: Who,
    /// Needed only where the configuration asks for this.
    only_for: Option<Need>,
    sockets: Sockets,
    /// Empty: whatever its arguments are. Otherwise one of these must describe them.
    pub(super) forms: &'static [Form],
    /// Why it is needed.
    pub because: &'static str,
}

/// One way in which a call may be made: all of these arguments are as they must be.
#[derive(Debug)]
pub struct Form {
    /// In words.
    pub says: &'static str,
    pub(super) arguments: &'static [Argument],
}

/// A condition on one argument.
#[derive(Debug)]
pub(super) struct Argument {
    pub(super) index: u8,
    pub(super) width: Width,
    pub(super) must: Must,
}

/// How much of an argument the kernel looks at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Width {
    /// `int` and `unsigned int`: what is above 32 bits is ignored by the kernel too.
    Int,
    /// `long`, `size_t` and pointers.
    Long,
}

/// What an argument must be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Must {
    /// Less than this.
    BeBelow(u64),
    /// At least this.
    BeFrom(u64),
    /// Equal to this.
    Be(u64),
    /// Equal to this under a mask.
    Match { mask: u64, value: u64 },
    /// The identifier of this very process.
    BeOwnPid,
}

/// Whose calls they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    /// `dialled`: it makes no sockets.
    Sealed { role: Role, dialled: bool },
    /// The process that makes them for it.
    Dialler { role: Role },
}

/// Where a half's sockets come from, as far as a call is about that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sockets {
    Whatever,
    /// The half makes them.
    Own,
    /// They are handed to it.
    Dialled,
}

/// Roles that need a call: a bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Who(u8);

impl Who {
    const ALL: Who = Who(u8::MAX);
    /// Those that connect to brokers.
    const HALVES: Who = Who::of(Role::Ot).and(Who::of(Role::It));
    /// Those that write a journal.
    const WRITERS: Who = Who::of(Role::Ot).and(Who::of(Role::Receive));
    /// Those with sockets of the link.
    const LINK: Who = Who::of(Role::Send).and(Who::of(Role::Receive));

    const fn of(role: Role) -> Who {
        Who(match role {
            Role::Ot => 1,
            Role::It => 2,
            Role::Send => 4,
            Role::Receive => 8,
        })
    }

    const fn and(self, other: Who) -> Who {
        Who(self.0 | other.0)
    }

    const fn has(self, role: Role) -> bool {
        self.0 & Who::of(role).0 != 0
    }
}

/// What a configuration can ask for beyond the usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Datagrams to syslog servers.
    SyslogUdp,
    /// The local syslog socket, or the service manager's.
    UnixDatagrams,
}

impl fmt::Display for Need {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Need::SyslogUdp => "syslog over UDP",
            Need::UnixDatagrams => "local syslog or the service manager's socket",
        })
    }
}

impl Call {
    /// Any arguments.
    pub(super) const fn any(
        constant: &'static str,
        number: libc::c_long,
        because: &'static str,
    ) -> Call {
        Call::with(constant, number, &[], because)
    }

    /// Arguments of one of these forms.
    pub(super) const fn with(
        constant: &'static str,
        number: libc::c_long,
        forms: &'static [Form],
        because: &'static str,
    ) -> Call {
        let (who, sockets) = (Who::ALL, Sockets::Whatever);
        Call { constant, number, who, only_for: None, sockets, forms, because }
    }

    /// For the roles that write a journal.
    pub(super) const fn writers(mut self) -> Call {
        self.who = Who::WRITERS;
        self
    }

    /// For the roles that connect to brokers.
    pub(super) const fn halves(mut self) -> Call {
        self.who = Who::HALVES;
        self
    }

    /// For both ends of the link.
    pub(super) const fn link(mut self) -> Call {
        self.who = Who::LINK;
        self
    }

    /// For this role alone.
    pub(super) const fn only(mut self, role: Role) -> Call {
        self.who = Who::of(role);
        self
    }

    /// Where the configuration asks for `need` alone.
    pub(super) const fn only_for(mut self, need: Need) -> Call {
        self.only_for = Some(need);
        self
    }

    /// For a half that makes its own sockets.
    pub(super) const fn own(mut self) -> Call {
        self.sockets = Sockets::Own;
        self
    }

    /// For a half whose sockets are handed to it.
    pub(super) const fn dialled(mut self) -> Call {
        self.sockets = Sockets::Dialled;
        self
    }

    /// As the kernel calls it.
    pub fn name(&self) -> &'static str {
        self.constant.strip_prefix("SYS_").unwrap_or(self.constant)
    }

    /// What in the configuration it depends on.
    pub fn need(&self) -> Option<Need> {
        self.only_for
    }

    /// The ways in which it may be made; empty: any.
    pub fn forms(&self) -> &'static [Form] {
        self.forms
    }

    /// Whether it is in the profile of this role.
    pub fn is_for(&self, role: Role) -> bool {
        self.who.has(role)
    }

    /// Whether it is in the profile of a half with these sockets.
    pub fn is_with(&self, dialled: bool) -> bool {
        match self.sockets {
            Sockets::Whatever => true,
            Sockets::Own => !dialled,
            Sockets::Dialled => dialled,
        }
    }

    /// Whether a configuration with these needs asks for it.
    pub(super) fn is_needed(&self, needs: &[Need]) -> bool {
        self.only_for.is_none_or(|need| needs.contains(&need))
    }
}

impl Form {
    pub(super) const fn of(says: &'static str, arguments: &'static [Argument]) -> Form {
        Form { says, arguments }
    }
}

impl Argument {
    /// An `int` that is `value`.
    pub(super) const fn is(index: u8, value: libc::c_int) -> Argument {
        Argument { index, width: Width::Int, must: Must::Be(value as u32 as u64) }
    }

    /// A `long` or pointer that is `value`.
    pub(super) const fn is_long(index: u8, value: u64) -> Argument {
        Argument { index, width: Width::Long, must: Must::Be(value) }
    }

    /// An `int` without these bits.
    pub(super) const fn without(index: u8, bits: libc::c_int) -> Argument {
        let must = Must::Match { mask: bits as u32 as u64, value: 0 };
        Argument { index, width: Width::Int, must }
    }

    /// An `int` whose bits in `mask` are those of `value`.
    pub(super) const fn only(index: u8, value: libc::c_int, mask: libc::c_int) -> Argument {
        let must = Must::Match { mask: mask as u32 as u64, value: value as u32 as u64 };
        Argument { index, width: Width::Int, must }
    }

    /// An `int` that is `value` where `optional` bits don't count.
    pub(super) const fn is_but(index: u8, value: libc::c_int, optional: libc::c_int) -> Argument {
        let must = Must::Match { mask: !optional as u32 as u64, value: value as u32 as u64 };
        Argument { index, width: Width::Int, must }
    }

    /// A `long` that is `value` where `optional` bits don't count.
    pub(super) const fn is_long_but(index: u8, value: u64, optional: u64) -> Argument {
        Argument { index, width: Width::Long, must: Must::Match { mask: !optional, value } }
    }

    /// A descriptor below this.
    pub(super) const fn is_below(index: u8, limit: u32) -> Argument {
        Argument { index, width: Width::Int, must: Must::BeBelow(limit as u64) }
    }

    /// A descriptor from this on.
    pub(super) const fn is_from(index: u8, limit: u32) -> Argument {
        Argument { index, width: Width::Int, must: Must::BeFrom(limit as u64) }
    }

    /// The identifier of this process.
    pub(super) const fn is_own_pid(index: u8) -> Argument {
        Argument { index, width: Width::Int, must: Must::BeOwnPid }
    }
}
