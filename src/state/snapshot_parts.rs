//! A message of many pieces that are replaced one by one, and stored as a whole.

use super::{StateDir, StateError, StateFile};

/// The pieces, by their places. Each is elements of the message as they are on the wire, with
/// keys and lengths; the message is all of them behind each other.
#[derive(Debug, Default)]
pub struct SnapshotParts {
    pieces: Vec<Vec<u8>>,
}

impl SnapshotParts {
    /// Replaces the piece at `place`.
    pub fn put(&mut self, place: usize, piece: Vec<u8>) {
        if self.pieces.len() <= place {
            self.pieces.resize_with(place.saturating_add(1), Vec::new);
        }
        if let Some(former) = self.pieces.get_mut(place) {
            *former = piece;
        }
    }

    /// Stores `head`, the other elements of the message, and the pieces; returns their bytes.
    ///
    /// # Errors
    /// The operating system refuses; what was stored before is still there.
    pub fn save(&self, dir: &StateDir, file: StateFile, head: &[u8]) -> Result<u64, StateError> {
        let pieces = self.pieces.iter().map(Vec::as_slice);
        let all = std::iter::once(head).chain(pieces);
        let bytes = all.clone().map(<[u8]>::len).fold(0, usize::saturating_add);
        dir.save_pieces(file, all)?;
        Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
    }
}
