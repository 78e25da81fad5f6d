//! Which metrics of a birth have an alias in the plant. The aliases themselves don't cross: they are
//! the plant's, and readers can't use them.

use alloc::vec::Vec;

/// Eight metrics to a byte, the first one lowest, in the order of the payload; no bytes where the
/// rest have none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct GivenAliases {
    bits: Vec<u8>,
    metrics: usize,
}

impl GivenAliases {
    /// Notes the next metric.
    pub fn note(&mut self, has_alias: bool) {
        if has_alias {
            let byte = self.metrics / 8;
            if self.bits.len() <= byte {
                self.bits.resize(byte.saturating_add(1), 0);
            }
            if let Some(bits) = self.bits.last_mut() {
                *bits |= 1 << (self.metrics % 8);
            }
        }
        self.metrics = self.metrics.saturating_add(1);
    }

    /// As the frame of the birth has it.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bits
    }
}

/// Whether the metric at this place of a birth has an alias in the plant, by what its frame says.
#[inline]
pub fn has_alias(given: &[u8], place: usize) -> bool {
    given.get(place / 8).is_some_and(|bits| bits >> (place % 8) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_and_no_more_is_written() {
        for wanted in [&[][..], &[3], &[0, 7, 8, 20], &[15]] {
            let mut given = GivenAliases::default();
            (0..40).for_each(|place| given.note(wanted.contains(&place)));
            let bytes = given.into_bytes();
            assert_eq!(bytes.len(), wanted.last().map_or(0, |last| last / 8 + 1));
            for place in 0..100 {
                assert_eq!(has_alias(&bytes, place), wanted.contains(&place), "{place}");
            }
        }
    }
}
