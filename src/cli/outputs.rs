//! Files that a tool writes once it is sealed: made before that, and removed again if nothing comes of
//! them.

use std::fs::File;
use std::path::PathBuf;

use sandbox::{Janitor, Start};

use super::sealing::not_confined;
use super::{Exit, Failure};

/// Files of one tool. Those that aren't kept are removed when this is dropped.
#[derive(Debug)]
pub(super) struct Outputs {
    files: Vec<(PathBuf, File)>,
    /// By their places, the first being the lowest bit.
    kept: u8,
    janitor: Option<Janitor>,
}

impl Outputs {
    /// Takes files that have just been made.
    pub(super) fn of(start: &Start, files: Vec<(PathBuf, File)>) -> Result<Outputs, Failure> {
        let named: Vec<_> = files.iter().map(|(path, file)| (path.as_path(), file)).collect();
        match start.leave_janitor(&named) {
            Ok(janitor) => Ok(Outputs { files, kept: 0, janitor: Some(janitor) }),
            Err(error) => {
                for (path, _) in &files {
                    let _ = std::fs::remove_file(path);
                }
                Err(not_confined(error))
            }
        }
    }

    /// The file that was named at this place.
    pub(super) fn file(&self, place: usize) -> Result<&File, Failure> {
        let file = self.files.get(place).map(|(_, file)| file);
        file.ok_or_else(|| Failure::new(Exit::Software, "a file that was never made"))
    }

    /// Something has come of the file at this place.
    pub(super) fn keep(&mut self, place: usize) {
        self.kept |= bit(place);
    }

    /// Nobody needs the file at this place once the tool has ended.
    pub(super) fn give_up(&mut self, place: usize) {
        self.kept &= !bit(place);
    }
}

fn bit(place: usize) -> u8 {
    u32::try_from(place).ok().and_then(|place| 1_u8.checked_shl(place)).unwrap_or(0)
}

impl Drop for Outputs {
    fn drop(&mut self) {
        if let Some(janitor) = self.janitor.take() {
            janitor.remove(!self.kept);
        }
    }
}
