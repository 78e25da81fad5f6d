//! A breath between the stages of a birth: one of 200,000 metrics takes longer than a turn may, and the
//! driver gives its sign of life meanwhile.

use super::Mirror;

/// What is called between stages.
#[derive(Default)]
pub(super) struct Breath(Option<Box<dyn FnMut() + Send>>);

impl std::fmt::Debug for Breath {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Breath").field(&self.0.is_some()).finish()
    }
}

impl Mirror {
    /// Has `breathe` called between the stages of a birth, which may be large.
    pub fn set_breath(&mut self, breathe: Box<dyn FnMut() + Send>) {
        self.breath = Breath(Some(breathe));
    }
}

impl Breath {
    /// A stage is over.
    pub(super) fn draw(&mut self) {
        if let Some(breathe) = &mut self.0 {
            breathe();
        }
    }
}
