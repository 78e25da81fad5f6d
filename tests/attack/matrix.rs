//! The layers one by one, on this kernel and as older ones have them, and what came of each attack
//! under each.

use sandbox::Layer;

/// Exit codes of an intruder.
pub(crate) const WORKED: i32 = 0;
pub(crate) const REFUSED: i32 = 10;

/// One way to run an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// Root, and nothing else.
    Off,
    /// What can't be waived.
    Always,
    User,
    Landlock,
    Seccomp,
    /// What the units give: network, mounts, IPC.
    Namespaces,
    All,
}

impl Column {
    pub(crate) const ALL: [Column; 7] = [
        Column::Off,
        Column::Always,
        Column::User,
        Column::Landlock,
        Column::Seccomp,
        Column::Namespaces,
        Column::All,
    ];
    /// Those that count as layers.
    pub(crate) const LAYERS: [Column; 5] =
        [Column::Always, Column::User, Column::Landlock, Column::Seccomp, Column::Namespaces];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Column::Off => "off",
            Column::Always => "always",
            Column::User => "user",
            Column::Landlock => "landlock",
            Column::Seccomp => "seccomp",
            Column::Namespaces => "namespaces",
            Column::All => "all",
        }
    }

    pub(crate) fn named(name: &str) -> Column {
        Column::ALL.into_iter().find(|column| column.name() == name).unwrap()
    }

    pub(crate) fn namespaces(self) -> bool {
        matches!(self, Column::Namespaces | Column::All)
    }

    /// Whether it is another one where Landlock is older.
    pub(crate) fn is_of_kernel(self) -> bool {
        matches!(self, Column::Landlock | Column::Seccomp | Column::All)
    }

    /// Layers of the sandbox that it does without. On an older kernel what Landlock lacks belongs to
    /// seccomp's column, with the dialling process that takes its place.
    pub(crate) fn waived(self, kernel: Kernel) -> Vec<Layer> {
        let has = |layer: &Layer| match self {
            Column::Off | Column::Always | Column::Namespaces => false,
            Column::User => *layer == Layer::User,
            Column::Landlock => kernel.landlock_has(*layer),
            Column::Seccomp => match layer {
                Layer::Seccomp => true,
                Layer::LandlockTcp | Layer::LandlockScopes => !kernel.landlock_has(*layer),
                _ => false,
            },
            Column::All => true,
        };
        Layer::ALL.into_iter().filter(|layer| !has(layer)).collect()
    }
}

/// A kernel to try everything on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    pub(crate) name: &'static str,
    /// The version of Landlock that it has; `None`: whatever this one has.
    pub(crate) landlock: Option<i32>,
}

impl Kernel {
    pub(crate) const ALL: [Kernel; 3] = [
        Kernel { name: "this", landlock: None },
        // Ubuntu 24.04.
        Kernel { name: "6.8", landlock: Some(4) },
        // Debian 12.
        Kernel { name: "6.1", landlock: Some(2) },
    ];

    pub(crate) fn named(name: &str) -> Kernel {
        Kernel::ALL.into_iter().find(|kernel| kernel.name == name).unwrap()
    }

    fn landlock_has(self, layer: Layer) -> bool {
        let from = match layer {
            Layer::LandlockFiles => 1,
            Layer::LandlockTcp => 4,
            Layer::LandlockScopes => 6,
            Layer::User | Layer::Seccomp => return false,
        };
        self.landlock.is_none_or(|abi| abi >= from)
    }
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Worked,
    /// By an error number.
    Refused(String),
    /// Ended by SIGSYS.
    Killed,
}

impl Outcome {
    pub(crate) fn text(&self) -> String {
        match self {
            Outcome::Worked => "OPEN".to_owned(),
            Outcome::Refused(error) => error.chars().take(12).collect(),
            Outcome::Killed => "killed".to_owned(),
        }
    }
}

/// Layers that stop an attack by themselves. What is always there counts once; another layer
/// counts beside it only where it is seen to stop it in another way.
pub(crate) fn stopping(outcomes: &[(Column, Outcome)]) -> Vec<Column> {
    let of =
        |column: Column| outcomes.iter().find(|(at, _)| *at == column).map(|(_, outcome)| outcome);
    let always = of(Column::Always).filter(|outcome| **outcome != Outcome::Worked);
    Column::LAYERS
        .into_iter()
        .filter(|column| {
            let outcome = of(*column);
            let stopped = outcome.is_some_and(|outcome| *outcome != Outcome::Worked);
            stopped && (*column == Column::Always || always.is_none() || outcome != always)
        })
        .collect()
}
