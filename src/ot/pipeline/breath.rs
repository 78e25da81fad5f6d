//! A breath between the stages of a birth: one of 200,000 metrics takes longer than a turn may, and
//! whoever drives the pipeline gives its sign of life meanwhile.

/// What is called between stages.
#[derive(Default)]
pub(super) struct Breath(pub(super) Option<Box<dyn FnMut() + Send>>);

impl std::fmt::Debug for Breath {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Breath").field(&self.0.is_some()).finish()
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
