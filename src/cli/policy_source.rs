//! Where a half's policy comes from: files, and the signatures that they need. Every file is
//! read once; what was verified is what is parsed.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use config::{file_diagnostic, policies};
use diagnostic::{Diagnostic, Diagnostics, SecretFile, SourceFile};
use policy::shape::PseudonymKey;
use policy::{Policy, digest_of};
use signature::{
    Accepted, Requirement, SignatureError, Signed, SignedPolicy, check_rollback, verify,
};
use state::{StateDir, StateError, StateFile, Stored};
use telemetry::event;
use tools::cases;

use super::policy_history::{self, Kept};
use super::{Exit, Failure};

/// Directory, below that of a half's state, of what is remembered about policies.
pub(super) const DIRECTORY: &str = "policy";
const ACCEPTED: StateFile = StateFile { name: "accepted.state", magic: *b"SPKDPOL1" };
/// Code of problems with the key for pseudonyms.
const KEY: &str = "P042";
/// Code of a problem with what is remembered.
const CODE_STATE: &str = "S010";

/// Looks up what is remembered in a state directory.
type Peek = fn(&Path) -> Result<Stored<StoredAccepted>, StateError>;

/// The highest version that was in force, as it is stored.
#[derive(Clone, PartialEq, prost::Message)]
struct StoredAccepted {
    #[prost(uint64, tag = "1")]
    version: u64,
    #[prost(string, tag = "2")]
    digest: String,
}

/// Where a half's policy comes from, before the half has become its user.
#[derive(Debug)]
pub(super) struct PolicySource {
    paths: Vec<PathBuf>,
    state_dir: PathBuf,
    required: Option<Requirement>,
    /// The files as they were read last, until what they say is remembered.
    last: RefCell<Vec<SourceFile>>,
    /// Of the half that makes pseudonyms: its key, if there is one.
    pseudonyms: Option<Option<SecretFile>>,
    /// Where the policy in shadow is; empty: there is none.
    observed: Vec<PathBuf>,
}

/// The same for the half that runs, and remembers which versions were in force.
#[derive(Debug)]
pub(super) struct ClaimedSource {
    source: PolicySource,
    state: StateDir,
}

impl PolicySource {
    /// For the half with this state directory.
    pub(super) fn new(
        paths: Vec<PathBuf>,
        requirement: Option<Requirement>,
        state_dir: &Path,
    ) -> PolicySource {
        PolicySource {
            paths,
            state_dir: state_dir.to_owned(),
            required: requirement,
            last: RefCell::default(),
            pseudonyms: None,
            observed: Vec::new(),
        }
    }

    /// The same with a policy that looks on.
    #[must_use]
    pub(super) fn observing(self, observed: Vec<PathBuf>) -> PolicySource {
        PolicySource { observed, ..self }
    }

    /// Reads the policy that looks on, as it would have to be to come into force, but for signatures;
    /// `None`: none is to.
    pub(super) fn read_observed(&self) -> Option<Result<(Policy, Diagnostics), Diagnostics>> {
        if self.observed.is_empty() {
            return None;
        }
        Some(read_policy(&self.observed).and_then(|(policy, warnings)| {
            match (&self.pseudonyms, missing_key(&policy)) {
                (Some(None), Some(problem)) => Err(problem.into()),
                _ => Ok((policy, warnings)),
            }
        }))
    }

    /// The same for the half that makes the pseudonyms which a policy asks for, with this key.
    #[must_use]
    pub(super) fn making_pseudonyms(self, key: Option<SecretFile>) -> PolicySource {
        PolicySource { pseudonyms: Some(key), ..self }
    }

    /// The signature file, where signatures are required.
    pub(super) fn signature(&self) -> Option<&Path> {
        self.required.as_ref().map(|requirement| requirement.file.as_path())
    }

    /// Reads the policy; where signatures are required, checks them, and that the version isn't
    /// below one that was in force.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(super) fn read(&self) -> Result<(SignedPolicy, Diagnostics), Diagnostics> {
        self.read_by(peek)
    }

    fn read_by(&self, peek: Peek) -> Result<(SignedPolicy, Diagnostics), Diagnostics> {
        let (mut read, warnings) = self.read_files(peek)?;
        match &self.pseudonyms {
            Some(Some(key)) => read.policy.set_pseudonym_key(read_key(key)?),
            Some(None) => {
                if let Some(problem) = missing_key(&read.policy) {
                    return Err(problem.into());
                }
            }
            None => {}
        }
        Ok((read, warnings))
    }

    fn read_files(&self, peek: Peek) -> Result<(SignedPolicy, Diagnostics), Diagnostics> {
        let sources = policies::load_sources(&self.paths)?;
        let Some(requirement) = &self.required else {
            let (policy, warnings) = cases::read_policy(&sources)?;
            self.last.replace(sources);
            return Ok((policy.into(), warnings));
        };
        let signed = verify_sources(&sources, requirement)?;
        let accepted = match peek(&self.state_dir) {
            Ok(stored) => accepted(stored)?,
            Err(error) => return Err(state_problem(&requirement.file, &error)),
        };
        check_rollback(signed.version, &digest_of(&sources), accepted.as_ref())
            .map_err(|error| problems(&requirement.file, [error]))?;
        let (policy, warnings) = cases::read_policy(&sources)?;
        self.last.replace(sources);
        Ok((SignedPolicy { policy, signed: Some(signed) }, warnings))
    }

    /// Takes over the record of versions, and remembers that of `policy`, which is about to come
    /// into force. To be called as the half's own user.
    ///
    /// # Errors
    /// The record can't be read or written, or another process has it.
    pub(super) fn claim(self, policy: &SignedPolicy) -> Result<ClaimedSource, Failure> {
        let state = StateDir::open(&self.state_dir.join(DIRECTORY))
            .map_err(|error| Failure::new(Exit::Io, error.to_string()))?;
        let claimed = ClaimedSource { source: self, state };
        claimed.remember(policy)?;
        if let Some(warning) = claimed.keep(policy) {
            let place = warning.path.display().to_string();
            event!(ConfigWarning, place = place, problem = warning.title);
        }
        Ok(claimed)
    }
}

impl ClaimedSource {
    /// Reads the policy as [`PolicySource::read`] does, and remembers its version.
    ///
    /// # Errors
    /// Everything that is wrong. Then nothing was remembered.
    pub(super) fn read(&self) -> Result<(SignedPolicy, Diagnostics), Diagnostics> {
        let (policy, mut warnings) = self.source.read_by(peek_sealed)?;
        self.remember(&policy)?;
        warnings.extend(self.keep(&policy));
        Ok((policy, warnings))
    }

    /// [`PolicySource::read_observed`].
    pub(super) fn read_observed(&self) -> Option<Result<(Policy, Diagnostics), Diagnostics>> {
        self.source.read_observed()
    }

    /// Enters the policy into the history of those in force. That this can't be done keeps none out of
    /// force: a full disk may not keep a stricter policy out.
    fn keep(&self, policy: &SignedPolicy) -> Option<Diagnostic> {
        let sources = self.source.last.take();
        // What was handed in was made of no files, or of others.
        if sources.is_empty() || digest_of(&sources) != policy.policy.digest() {
            return None;
        }
        let kept = Kept::new(&sources, policy.signed.as_ref(), clock::wall_ms());
        let error = policy_history::remember(&self.state, kept).err()?;
        let title = format!("the policy isn't kept in the history of those in force: {error}");
        Some(Diagnostic::file_warning(CODE_STATE, self.state.path(), title))
    }

    fn remember(&self, SignedPolicy { policy, signed }: &SignedPolicy) -> Result<(), Diagnostics> {
        let (Some(signed), Some(requirement)) = (signed, &self.source.required) else {
            return Ok(());
        };
        let state = &self.state;
        let trouble = |error| state_problem(&requirement.file, &error);
        let accepted = accepted(StateDir::peek(state.path(), ACCEPTED).map_err(trouble)?)?;
        // Whoever had the claim before may have taken a later one since `policy` was read.
        check_rollback(signed.version, policy.digest(), accepted.as_ref())
            .map_err(|error| problems(&requirement.file, [error]))?;
        if accepted.is_none_or(|accepted| accepted.version < signed.version) {
            let digest = policy.digest().to_owned();
            let stored = StoredAccepted { version: signed.version, digest };
            state.save(ACCEPTED, &stored).map_err(trouble)?;
        }
        Ok(())
    }
}

/// Reads the policy from files and directories.
pub(super) fn read_policy(paths: &[PathBuf]) -> Result<(Policy, Diagnostics), Diagnostics> {
    cases::read_policy(&policies::load_sources(paths)?)
}

/// What is wrong with the policy where there is no key for pseudonyms.
pub(super) fn missing_key(policy: &Policy) -> Option<Diagnostic> {
    let rule = policy.needs_pseudonym_key()?;
    let title = format!(
        "rule `{}` (line {}) asks for pseudonyms, and no key is configured",
        rule.name(),
        rule.line()
    );
    Some(Diagnostic::file_error(KEY, rule.path(), title).help(
        "name a file with 32 random bytes or more in `ot.toml`, `[policies]` \
         `pseudonym-key-file`; `openssl rand -hex 32` makes one",
    ))
}

fn read_key(file: &SecretFile) -> Result<PseudonymKey, Diagnostics> {
    let secret = file.read().map_err(|error| file_diagnostic(file.path(), &error))?;
    PseudonymKey::new(secret.expose().as_bytes())
        .map_err(|error| Diagnostic::file_error(KEY, file.path(), error.to_string()).into())
}

/// What is remembered in the state directory of a half. Root may be who looks, before the half has become
/// its user, and the directory is the half's.
fn peek(state_dir: &Path) -> Result<Stored<StoredAccepted>, StateError> {
    StateDir::peek_below(state_dir, Path::new(DIRECTORY), ACCEPTED)
}

/// The same for a half that is sealed, whose own directory it is: it can open files by their path alone.
fn peek_sealed(state_dir: &Path) -> Result<Stored<StoredAccepted>, StateError> {
    StateDir::peek(&state_dir.join(DIRECTORY), ACCEPTED)
}

/// A damaged record is an error until a person has looked: taking it for none would let an
/// older policy in.
fn accepted(stored: Stored<StoredAccepted>) -> Result<Option<Accepted>, Diagnostics> {
    match stored {
        Stored::Absent => Ok(None),
        Stored::Found(StoredAccepted { version, digest }) => Ok(Some(Accepted { version, digest })),
        Stored::Damaged { moved_to } => {
            let title = "which version was in force isn't known: the record is damaged";
            Err(Diagnostic::file_error(CODE_STATE, &moved_to, title)
                .help(format!(
                    "make sure that the signed policy isn't an older one, then remove `{}`",
                    moved_to.display()
                ))
                .into())
        }
    }
}

/// Reads a policy as [`PolicySource::read`] does, for somebody who only looks: nothing is
/// claimed or remembered. With it whether the version could be compared with the one that was in
/// force.
///
/// # Errors
/// Everything that is wrong.
pub(super) fn look(
    paths: &[PathBuf],
    requirement: &Requirement,
    state_dir: &Path,
) -> Result<(SignedPolicy, Diagnostics, Compared), Diagnostics> {
    let sources = policies::load_sources(paths)?;
    let signed = verify_sources(&sources, requirement)?;
    let compared = match peek(state_dir) {
        Ok(stored) => {
            let accepted = accepted(stored)?;
            check_rollback(signed.version, &digest_of(&sources), accepted.as_ref())
                .map_err(|error| problems(&requirement.file, [error]))?;
            accepted.map_or(Compared::Nothing, |accepted| Compared::With(accepted.version))
        }
        Err(error) => Compared::Unknown(error.to_string()),
    };
    let (policy, warnings) = cases::read_policy(&sources)?;
    Ok((SignedPolicy { policy, signed: Some(signed) }, warnings, compared))
}

/// What a version was compared with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// The highest version that was in force.
    With(u64),
    /// No signed policy was in force yet.
    Nothing,
    /// It can't be read.
    Unknown(String),
}

fn verify_sources(
    sources: &[SourceFile],
    requirement: &Requirement,
) -> Result<Signed, Diagnostics> {
    let text = read_signature(&requirement.file)?;
    verify(text.as_deref(), sources, requirement)
        .map_err(|errors| problems(&requirement.file, errors))
}

/// The text of the signature file, or `None` if there is no such file.
///
/// # Errors
/// It can't be read.
pub(super) fn read_signature(path: &Path) -> Result<Option<String>, Diagnostics> {
    match diagnostic::file::read_text(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(file_diagnostic(path, &error).into()),
    }
}

/// The errors as problems of the signature file.
pub(super) fn problems(
    path: &Path,
    errors: impl IntoIterator<Item = SignatureError>,
) -> Diagnostics {
    let mut problems = Diagnostics::new();
    for error in errors {
        let problem = Diagnostic::file_error(error.code(), path, error.to_string());
        problems.push(match error.hint() {
            Some(hint) => problem.help(hint),
            None => problem,
        });
    }
    problems
}

fn state_problem(path: &Path, error: &StateError) -> Diagnostics {
    Diagnostic::file_error(CODE_STATE, path, error.to_string())
        .help("without its record a policy could be rolled back")
        .into()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use signature::{Manifest, NamedKey, SignatureFile, SigningKey};

    use super::*;

    const RULE: &str = "[[rule]]\nname = \"a\"\naction = \"forward\"\ngroup = \"G\"\n";

    struct World {
        directory: tempfile::TempDir,
        key: SigningKey,
    }

    impl World {
        fn new() -> World {
            let directory = tempfile::tempdir().unwrap();
            fs::create_dir(directory.path().join("policies")).unwrap();
            World { directory, key: SigningKey::generate().unwrap() }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn write(&self, text: &str) {
            fs::write(self.path("policies/a.toml"), text).unwrap();
        }

        fn sign(&self, version: u64) {
            let sources = policies::load_sources(&[self.path("policies")]).unwrap();
            let manifest = Manifest::of(&sources, version, None, "2026".into()).unwrap();
            let mut file = SignatureFile::new(manifest);
            file.sign(&self.key).unwrap();
            fs::write(self.path("policies/policy.sig"), file.render()).unwrap();
        }

        fn requirement(&self) -> Requirement {
            let key = NamedKey { key: self.key.public().unwrap(), name: "alice".into() };
            Requirement {
                keys: vec![key],
                threshold: 1,
                file: self.path("policies/policy.sig"),
                relay: None,
            }
        }

        /// A half that runs already.
        fn source(&self) -> ClaimedSource {
            let paths = vec![self.path("policies")];
            let source = PolicySource::new(paths, Some(self.requirement()), &self.path("state"));
            source.claim(&Policy::parse(&[]).unwrap().0.into()).unwrap()
        }
    }

    #[track_caller]
    fn refused(source: &ClaimedSource, wanted: &str) {
        let problems = source.read().unwrap_err().to_string();
        assert!(problems.contains(wanted), "{problems}");
    }

    #[test]
    fn only_a_signed_policy_is_read_and_never_an_older_one_again() {
        let world = World::new();
        world.write(RULE);
        let source = world.source();
        refused(&source, "isn't signed: there is no `");
        world.sign(7);
        let (policy, _) = source.read().unwrap();
        let signed = policy.signed.unwrap();
        assert_eq!(signed.version, 7);
        assert!(signed.signers[0].ends_with(" alice"));
        world.write(&RULE.replace("\"G\"", "\"*\""));
        refused(&source, "`a.toml` was changed after it was signed");
        world.sign(7);
        refused(&source, "another policy with version 7 was in force already");
        world.sign(8);
        assert_eq!(source.read().unwrap().0.signed.unwrap().version, 8);
        drop(source);
        // Over a restart.
        world.write(RULE);
        world.sign(7);
        let source = world.source();
        refused(&source, "version 7 was signed before version 8, which was in force already");
        let looked = look(&[world.path("policies")], &world.requirement(), &world.path("state"));
        assert!(looked.unwrap_err().to_string().contains("version 7 was signed before"));
        world.sign(9);
        assert!(source.read().is_ok());
        let looked = look(&[world.path("policies")], &world.requirement(), &world.path("state"));
        assert_eq!(looked.unwrap().2, Compared::With(9));
    }

    #[test]
    fn a_signed_policy_with_an_error_is_not_remembered() {
        let world = World::new();
        world.write("[[rule]]\n");
        world.sign(9);
        let source = world.source();
        refused(&source, "missing key: `name`");
        world.write(RULE);
        world.sign(2);
        assert!(source.read().is_ok());
    }

    #[test]
    fn a_start_remembers_its_version_once_it_is_its_own_user() {
        let world = World::new();
        world.write(RULE);
        world.sign(5);
        let paths = vec![world.path("policies")];
        let source = PolicySource::new(paths, Some(world.requirement()), &world.path("state"));
        let (policy, _) = source.read().unwrap();
        assert!(!world.path("state").exists());
        drop(source.claim(&policy).unwrap());
        world.sign(4);
        refused(&world.source(), "version 4 was signed before version 5");
    }

    #[test]
    fn a_damaged_record_is_an_error_until_somebody_removes_it() {
        let world = World::new();
        world.write(RULE);
        world.sign(2);
        let source = world.source();
        source.read().unwrap();
        let record = world.path("state/policy/accepted.state");
        fs::write(&record, "x").unwrap();
        for _ in 0..2 {
            refused(&source, "the record is damaged");
        }
        fs::remove_file(&record).unwrap();
        assert!(source.read().is_ok());
    }
}
