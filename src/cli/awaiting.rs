//! The IT half's wait for the journal's directory, which the OT half makes: whoever starts both at
//! once needn't know which of them is first.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use telemetry::Notifier;

use super::{Exit, Failure, report};

/// Less than service managers wait for a start.
const WITHIN: Duration = Duration::from_secs(45);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Waits until the directory is there, and says that it does.
///
/// # Errors
/// It isn't made in time. A restart may help.
pub(super) fn journal(path: &Path, notifier: &Notifier) -> Result<(), Failure> {
    directory(path, WITHIN, std::thread::sleep, |line| {
        report::note(line);
        notifier.status(line);
    })
}

fn directory(
    path: &Path,
    within: Duration,
    pause: impl Fn(Duration),
    say: impl Fn(&str),
) -> Result<(), Failure> {
    let mut waited = Duration::ZERO;
    // Whatever else is wrong with it is told by those who look at it next.
    while path.metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        let shown = path.display();
        if waited.is_zero() {
            say(&format!(
                "no journal yet: `{shown}`; waiting up to {} s for the OT half to make it",
                within.as_secs()
            ));
        }
        if waited >= within {
            let message = format!("no journal: `{shown}` isn't there after {} s", within.as_secs());
            return Err(Failure::new(Exit::Io, message).hint(
                "the OT half makes it when it starts (`sparkdiode ot`); if that one runs, compare \
                 `[journal] path` of both files: `sparkdiode check ot.toml it.toml`",
            ));
        }
        pause(LOOK_EVERY);
        waited = waited.saturating_add(LOOK_EVERY);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::fs;

    use super::*;

    #[test]
    fn a_directory_that_is_made_meanwhile_is_waited_for_and_one_that_is_not_is_told() {
        let lab = tempfile::tempdir().unwrap();
        let path = lab.path().join("journal");
        let (pauses, said) = (Cell::new(0), RefCell::new(Vec::new()));
        let make_at = |number: u32| {
            let path = path.clone();
            let pauses = &pauses;
            move |_| {
                pauses.set(pauses.get() + 1);
                if pauses.get() == number {
                    fs::create_dir(&path).unwrap();
                }
            }
        };
        let say = |line: &str| said.borrow_mut().push(line.to_owned());
        directory(&path, WITHIN, make_at(3), say).unwrap();
        assert_eq!((pauses.get(), said.borrow().len()), (3, 1));
        // It is there: not a word.
        directory(&path, WITHIN, make_at(0), say).unwrap();
        assert_eq!((pauses.get(), said.borrow().len()), (3, 1));
        fs::remove_dir(&path).unwrap();
        let failure = directory(&path, WITHIN, make_at(0), say).unwrap_err();
        assert_eq!(failure.exit(), Exit::Io);
        assert_eq!(pauses.get(), 3 + 450);
    }
}
