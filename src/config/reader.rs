//! Reads a configuration file and has the tools by which what is written in its sections
//! becomes typed values. Problems are collected, so that one run finds all of them.

use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use diagnostic::file::{FileError, read_text};
use diagnostic::{Diagnostic, Diagnostics, Placed, Section, SourceFile};
use toml::de::DeTable;

use super::half::{Half, half_of};
use super::wording::ConfigWording;
use super::{code, credentials};

/// The one variable that is expanded in paths, as systemd sets it for `LoadCredential=`; where nobody has
/// set it, a path that is only checked keeps it.
pub const CREDENTIALS_VARIABLE: &str = "${CREDENTIALS_DIRECTORY}";

/// What the file's meaning depends on, besides the file.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    /// Value of `CREDENTIALS_DIRECTORY`.
    pub(super) credentials_directory: Option<PathBuf>,
    /// Without a credentials directory, credentials are an error for a half that is about to
    /// start, and a warning where a person checks the file beforehand.
    pub(super) checking: bool,
    /// Where a person who checks the file finds the units, which say what the credentials are made of.
    pub(super) unit_dirs: Vec<PathBuf>,
    /// Against which the validity of certificates is checked.
    pub(super) now: SystemTime,
}

impl Environment {
    /// For a half that is about to start.
    pub(super) fn starting() -> Environment {
        Environment {
            credentials_directory: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            checking: false,
            unit_dirs: Vec::new(),
            now: clock::wall(),
        }
    }

    /// For a person who checks the file.
    pub(super) fn checking() -> Environment {
        let unit_dirs = credentials::UNIT_DIRS.map(PathBuf::from).to_vec();
        Environment { checking: true, unit_dirs, ..Environment::starting() }
    }
}

/// Reads one file and collects its problems.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) file: SourceFile,
    pub(super) environment: Environment,
    directory: PathBuf,
    /// Whose file it is read as.
    half: Option<Half>,
    pub(super) problems: Diagnostics,
}

impl Reader {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// The file can't be read, or others may write it.
    pub(super) fn open(path: &Path, environment: Environment) -> Result<Reader, Diagnostics> {
        let text = read_text(path).map_err(|error| file_diagnostic(path, &error))?;
        Ok(Reader::new(SourceFile::new(path, text), environment))
    }

    /// Takes a file that was read already.
    pub(super) fn new(file: SourceFile, environment: Environment) -> Reader {
        let absolute = std::path::absolute(&file.path).unwrap_or_else(|_| file.path.clone());
        let directory = absolute.parent().map_or_else(PathBuf::new, Path::to_owned);
        Reader { file, environment, directory, half: None, problems: Diagnostics::new() }
    }

    /// What `typed` makes of the whole file, with the warnings, or everything that is wrong; where it
    /// is the other half's file, that alone. `half`: whose it has to be, if not anybody's.
    pub(super) fn read<T>(
        mut self,
        half: Option<Half>,
        typed: impl FnOnce(&mut Reader, Section<'_, '_>) -> Option<T>,
    ) -> Result<(T, Diagnostics), Diagnostics> {
        self.half = half;
        let file = self.file.clone();
        let (document, errors) = DeTable::parse_recoverable(&file.text);
        let value = if errors.is_empty() {
            typed(&mut self, Section::top(&file, "", document.get_ref(), &ConfigWording))
        } else {
            let quotes = "text stands in quotes: address = \"10.10.0.5:8883\"";
            self.problems.extend(Diagnostic::syntax(code::SYNTAX, &file, &errors, quotes));
            None
        };
        self.problems.sort_by_position(std::slice::from_ref(&self.file));
        match value {
            Some(value) if !self.problems.has_errors() => Ok((value, self.problems)),
            _ => {
                self.ask_for_other_half(half, document.get_ref());
                let other = half.and_then(|half| self.other_half(half, document.get_ref()));
                Err(other.unwrap_or(self.problems))
            }
        }
    }

    /// Asks whether a file that lacks what every file of the OT half has isn't one.
    fn ask_for_other_half(&mut self, half: Option<Half>, document: &DeTable<'_>) {
        let has = |key: &str| document.contains_key(key);
        let of_ot = ["name", "policies", "relay"].into_iter().any(has);
        if half != Some(Half::Ot) || of_ot || !has("broker") || !has("journal") {
            return;
        }
        let title = "is this the IT half's file? It has neither `name` nor `[policies]`";
        let problem = Diagnostic::file_error(code::COMBINATION, &self.file.path, title)
            .help("every file of the OT half has both; an IT half's file is known by `[mirror]`, or by a name that begins with `it`")
            .help("`sparkdiode it --config` reads it");
        self.problems.push(problem);
    }

    /// What there is to say of a file of the other half.
    fn other_half(&self, half: Half, document: &DeTable<'_>) -> Option<Diagnostics> {
        let has = |key: &str| document.contains_key(key);
        if has("rule") && !has("broker") && !has("journal") {
            let title = format!("this is a policy, where {} is wanted", half.file());
            let problem = Diagnostic::file_error(code::COMBINATION, &self.file.path, title)
                .help("that file has `[policies] paths = [\"…\"]`, which names this one")
                .help("what a policy does: sparkdiode check POLICY");
            return Some(problem.into());
        }
        let name = self.file.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let found = half_of(document, name).filter(|found| *found != half)?;
        let title = format!("this is {}, where {} is wanted", found.file(), half.file());
        let problem = Diagnostic::file_error(code::COMBINATION, &self.file.path, title)
            .help(format!("`sparkdiode {}` reads it", found.command()))
            .help("only the OT half's has `name` and `[relay]`, only the IT half's `[mirror]`; only the ends of a link have `[[path]]`");
        Some(problem.into())
    }

    /// Adds a problem.
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.problems.push(diagnostic);
    }

    /// An error at `span`, to be completed and pushed.
    pub(super) fn error(
        &self,
        code: &'static str,
        span: Range<usize>,
        title: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::error(code, &self.file, span, title)
    }

    /// A warning at `span`, to be completed and pushed.
    pub(super) fn warning(
        &self,
        code: &'static str,
        span: Range<usize>,
        title: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::warning(code, &self.file, span, title)
    }

    /// The table called `name` (`broker.tls` in the section `broker`) with these keys; without
    /// any of them where there is no such table.
    pub(super) fn table<'a, 'i>(
        &mut self,
        parent: &mut Section<'a, 'i>,
        name: &'static str,
        keys: &'static [&'static str],
    ) -> Section<'a, 'i> {
        let key = name.rsplit('.').next().unwrap_or(name);
        parent.table_or_empty(key, name, &mut self.problems).with_keys(keys)
    }

    /// Reports the keys that don't exist. Every section is closed, whatever was found in it.
    pub(super) fn close(&mut self, section: &Section<'_, '_>) {
        section.finish(|_| None, &mut self.problems);
    }

    /// The same, where keys may have been meant for another file: those of `others`, which are said to
    /// belong into `file`.
    pub(super) fn close_beside(&mut self, section: &Section<'_, '_>, others: &[&str], file: &str) {
        let hint =
            |key: &str| others.contains(&key).then(|| format!("`{key}` belongs into `{file}`"));
        section.finish(hint, &mut self.problems);
    }

    /// Reports the absence of a key, unless it was meant by something else that is reported.
    pub(super) fn required(&mut self, section: &Section<'_, '_>, key: &str, example: &str) {
        if !section.is_excused(key) {
            section.missing(key, example, &mut self.problems);
        }
    }

    /// A number within `range`, or `default` if the key is absent.
    pub(super) fn number(
        &mut self,
        section: &mut Section<'_, '_>,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let Some(number) = section.integer(key, &mut self.problems) else { return default };
        match u64::try_from(number.value) {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let title = format!("`{key}` is out of range: {}", number.value);
                let wanted = format!("wanted {} to {}", range.start(), range.end());
                let help = format!("without the key it is {default}");
                let problem = self.error(code::RANGE, number.span, title).label(wanted).help(help);
                self.push(problem);
                default
            }
        }
    }

    /// One of a few words, or `default` if the key is absent.
    pub(super) fn word<T: Copy>(
        &mut self,
        section: &mut Section<'_, '_>,
        key: &'static str,
        words: &[(&'static str, T)],
        default: T,
    ) -> T {
        let Some(got) = section.string(key, &mut self.problems) else { return default };
        if let Some((_, word)) = words.iter().find(|(word, _)| *word == got.value) {
            return *word;
        }
        let known: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let problem = self
            .error(code::VALUE, got.span, format!("unknown value of `{key}`: `{}`", got.value))
            .label(format!("wanted {}", known.join(" or ")))
            .did_you_mean(&got.value, words.iter().map(|(word, _)| *word));
        self.push(problem);
        default
    }

    /// A text that `fault` finds nothing wrong with; `fault` says what was wanted.
    pub(super) fn text(
        &mut self,
        section: &mut Section<'_, '_>,
        key: &'static str,
        fault: impl Fn(&str) -> Option<String>,
    ) -> Option<String> {
        let text = section.string(key, &mut self.problems)?;
        if let Some(wanted) = fault(&text.value) {
            let title = format!("bad value of `{key}`: `{}`", text.value);
            let problem = self.error(code::VALUE, text.span, title).label(wanted);
            self.push(problem);
            // The placeholder is never used: an error was pushed.
            return Some(String::new());
        }
        Some(text.value)
    }

    /// Whether the key, if it is there, says yes.
    pub(super) fn boolean(
        &mut self,
        section: &mut Section<'_, '_>,
        key: &'static str,
        default: bool,
    ) -> bool {
        section.boolean(key, &mut self.problems).map_or(default, |word| word.value)
    }

    /// The path under `key`; see [`Reader::path`].
    pub(super) fn path_under(
        &mut self,
        section: &mut Section<'_, '_>,
        key: &'static str,
    ) -> Option<ReadPath> {
        let path = section.string(key, &mut self.problems)?;
        Some(self.path(key, &path))
    }

    /// A path: relative ones start at the directory of the configuration file, and a leading
    /// `${CREDENTIALS_DIRECTORY}` is expanded. `None` beside it: the file can't be looked at.
    pub(super) fn path(&mut self, key: &'static str, value: &Placed<String>) -> ReadPath {
        let text = value.value.as_str();
        let span = value.span.clone();
        let unusable =
            |path: &str| ReadPath { path: PathBuf::from(path), span: span.clone(), visible: false };
        if text.is_empty() || text.contains('\0') {
            let problem = self
                .error(code::VALUE, span.clone(), format!("bad value of `{key}`: `{text}`"))
                .label("wanted a path");
            self.push(problem);
            return unusable(text);
        }
        let Some(rest) = text.strip_prefix(CREDENTIALS_VARIABLE) else {
            if let Some(at) = text.find("${") {
                let variable = text.get(at..).unwrap_or("");
                let problem = self
                    .error(
                        code::VALUE,
                        span.clone(),
                        format!("unknown variable in `{key}`: `{variable}`"),
                    )
                    .label(format!("only a leading `{CREDENTIALS_VARIABLE}/` is expanded"));
                self.push(problem);
                return unusable(text);
            }
            return ReadPath { path: self.directory.join(text), span, visible: true };
        };
        let name = rest.strip_prefix('/').unwrap_or("");
        if name.is_empty() || name.contains('/') || name == ".." {
            let problem = self
                .error(code::VALUE, span.clone(), format!("bad value of `{key}`: `{text}`"))
                .label(format!("wanted `{CREDENTIALS_VARIABLE}/NAME`"));
            self.push(problem);
            return unusable(text);
        }
        if let Some(directory) = &self.environment.credentials_directory {
            return ReadPath { path: directory.join(name), span, visible: true };
        }
        let dirs = &self.environment.unit_dirs;
        let source = self.half.and_then(|half| credentials::source(dirs, half, name));
        let unreadable = |path: &PathBuf| {
            let kind = std::fs::File::open(path).err().map(|error| error.kind());
            kind == Some(std::io::ErrorKind::PermissionDenied)
        };
        let problem = if let Some(path) = source.clone().filter(|path| !unreadable(path)) {
            return ReadPath { path, span, visible: true };
        } else if let Some(path) = source {
            let title = format!("credential of `{key}` not looked at: `{}`", path.display());
            self.warning(code::UNSEEN_CREDENTIAL, span.clone(), title)
                .label("only root may read it; check as root")
        } else if self.environment.checking {
            let title = format!("credential of `{key}` not looked at: `{name}`");
            self.warning(code::UNSEEN_CREDENTIAL, span.clone(), title)
                .label("`CREDENTIALS_DIRECTORY` is not set here")
        } else {
            let title = format!("cannot find the credential of `{key}`: `{name}`");
            self.error(code::SECRET, span.clone(), title)
                .label("`CREDENTIALS_DIRECTORY` is not set")
                .help(format!("systemd sets it for a unit with `LoadCredential={name}:…`"))
        };
        self.push(problem);
        unusable(text)
    }
}

/// A path as the operator wrote it, made absolute.
#[derive(Clone, Debug)]
pub(super) struct ReadPath {
    pub(super) path: PathBuf,
    /// Where it is written.
    pub(super) span: Range<usize>,
    /// Whether the file can be looked at; if not, that was reported.
    pub(super) visible: bool,
}

/// A diagnostic about a file that can't be used.
pub fn file_diagnostic(path: &Path, error: &FileError) -> Diagnostic {
    let code = match error {
        FileError::WritableByOthers { .. } => code::PERMISSIONS,
        _ => code::FILE,
    };
    let diagnostic = Diagnostic::file_error(code, path, error.to_string());
    match error.hint() {
        Some(hint) => diagnostic.help(hint),
        None => diagnostic,
    }
}
