//! Which mechanisms enforce the layers: all of them Landlock and seccomp where the kernel's Landlock can
//! do all that is asked; where it can't, a half makes no sockets at all.

use std::fmt;

use super::landlock::{self, SCOPES, TCP};
use super::{Layer, SandboxError};

/// How the layers that concern sockets are enforced. Both levels stop every attack by two layers;
/// the manual's hardening page says by which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A half makes its own sockets, and Landlock bounds where they go.
    Full { abi: i32 },
    /// Landlock is older: a dialling process makes every socket, to the ports and sockets of the
    /// configuration alone, and the half has no system call that makes or connects one.
    Dialled { abi: i32 },
}

impl Level {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Level::Full { .. } => "full",
            Level::Dialled { .. } => "dialled",
        }
    }

    /// Landlock's version on this kernel; 0: none.
    pub fn abi(self) -> i32 {
        match self {
            Level::Full { abi } | Level::Dialled { abi } => abi,
        }
    }

    pub fn is_dialled(self) -> bool {
        matches!(self, Level::Dialled { .. })
    }

    /// What this kernel and these waivers come to.
    pub(super) fn of(abi: i32, waived: &[Layer]) -> Result<Level, SandboxError> {
        let asked = |layer: Layer| !waived.contains(&layer);
        let missing = |layer: Layer, but: &str| SandboxError::Missing {
            layer,
            why: format!(
                "it needs {}, and this kernel has {}{but}",
                landlock::needs(layer),
                version(abi)
            ),
        };
        if asked(Layer::LandlockFiles) && abi < 1 {
            return Err(missing(Layer::LandlockFiles, ""));
        }
        let lacks = [(Layer::LandlockTcp, TCP), (Layer::LandlockScopes, SCOPES)];
        let lacked = lacks.into_iter().find(|(layer, from)| asked(*layer) && abi < *from);
        match lacked {
            None => Ok(Level::Full { abi }),
            Some((layer, _)) if !asked(Layer::Seccomp) => {
                Err(missing(layer, "; what takes its place needs `seccomp`, which is waived"))
            }
            Some(_) => Ok(Level::Dialled { abi }),
        }
    }
}

/// `Landlock ABI 2`.
fn version(abi: i32) -> String {
    if abi < 1 { "none".to_owned() } else { format!("Landlock ABI {abi}") }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let landlock = version(self.abi());
        match self {
            Level::Full { .. } => write!(formatter, "full ({landlock})"),
            Level::Dialled { .. } => write!(
                formatter,
                "dialled ({landlock} lacks TCP ports or scopes: a dialling process and seccomp take \
                 their place)"
            ),
        }
    }
}

/// What this kernel can do, where nothing is waived.
///
/// # Errors
/// A layer is missing, and nothing takes its place.
pub fn level() -> Result<Level, SandboxError> {
    Level::of(landlock::kernel_abi(), &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_landlock_is_a_level_and_none_at_all_stops_the_start() {
        let of = |abi, waived: &[Layer]| Level::of(abi, waived).map(Level::name).ok();
        for (abi, wanted) in [(1, "dialled"), (2, "dialled"), (4, "dialled"), (5, "dialled")] {
            assert_eq!(of(abi, &[]), Some(wanted), "{abi}");
        }
        assert_eq!((of(6, &[]), of(11, &[])), (Some("full"), Some("full")));
        assert_eq!(of(0, &[]), None);
        assert_eq!(of(0, &[Layer::LandlockFiles]), Some("dialled"));
    }

    #[test]
    fn what_is_waived_needs_nothing_in_its_place_and_seccomp_is_needed_for_the_rest() {
        let of = |abi, waived: &[Layer]| Level::of(abi, waived).map(Level::name);
        let both = [Layer::LandlockTcp, Layer::LandlockScopes];
        assert_eq!(of(2, &both).unwrap(), "full");
        assert_eq!(of(4, &[Layer::LandlockScopes]).unwrap(), "full");
        assert_eq!(of(4, &[Layer::LandlockTcp]).unwrap(), "dialled");
        let error = of(4, &[Layer::Seccomp]).unwrap_err().to_string();
        let wanted = "`landlock-scopes`: it needs Landlock ABI 6 (Linux 6.12), and this kernel has \
                      Landlock ABI 4; what takes its place needs `seccomp`, which is waived";
        assert!(error.ends_with(wanted), "{error}");
        assert_eq!(of(6, &[Layer::Seccomp]).unwrap(), "full");
    }
}
