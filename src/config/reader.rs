//! From text to raw structs, and the tools by which raw values become typed ones. Problems are
//! collected: a key that can't be used is reported, taken out, and the rest is read again, so
//! that one run finds all of them.

use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use diagnostic::file::{FileError, read_text};
use diagnostic::{Diagnostic, Diagnostics, SourceFile};
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

/// Keys of wrong name or type that are reported in one run. More than these is a file of
/// another kind.
const MAX_REPORTED_KEYS: usize = 50;

/// The one variable that is expanded in paths, as systemd sets it for `LoadCredential=`.
const CREDENTIALS_VARIABLE: &str = "${CREDENTIALS_DIRECTORY}";

/// Codes of the problems in `ot.toml` and `it.toml`.
pub(super) mod code {
    /// The file can't be read, or isn't text.
    pub(crate) const FILE: &str = "C001";
    /// Others may write the file.
    pub(crate) const PERMISSIONS: &str = "C002";
    /// Not TOML.
    pub(crate) const SYNTAX: &str = "C003";
    /// A key that doesn't exist.
    pub(crate) const UNKNOWN_KEY: &str = "C004";
    /// A value of another type.
    pub(crate) const TYPE: &str = "C005";
    /// A required key isn't there.
    pub(crate) const MISSING: &str = "C006";
    /// A number that is too small or too large.
    pub(crate) const RANGE: &str = "C007";
    /// A value that breaks its grammar.
    pub(crate) const VALUE: &str = "C008";
    /// Keys that need or exclude each other.
    pub(crate) const COMBINATION: &str = "C009";
    /// A secret file that can't be used.
    pub(crate) const SECRET: &str = "C010";
    /// A certificate or key that can't be used.
    pub(crate) const CERTIFICATE: &str = "C011";
    /// Warning: the connection is neither encrypted nor authenticated.
    pub(crate) const PLAINTEXT: &str = "C101";
    /// Warning: a credential couldn't be looked at, since there is no credentials directory.
    pub(crate) const UNSEEN_CREDENTIAL: &str = "C102";
    /// Warning: a certificate that is, or soon will be, out of its validity.
    pub(crate) const VALIDITY: &str = "C103";
}

/// What the file's meaning depends on, besides the file.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    /// Value of `CREDENTIALS_DIRECTORY`.
    pub(super) credentials_directory: Option<PathBuf>,
    /// Without a credentials directory, credentials are an error for a half that is about to
    /// start, and a warning where a person checks the file beforehand.
    pub(super) checking: bool,
    /// Against which the validity of certificates is checked.
    pub(super) now: SystemTime,
}

impl Environment {
    /// For a half that is about to start.
    #[expect(clippy::disallowed_methods, reason = "reading configuration is a driver")]
    pub(super) fn starting() -> Environment {
        Environment {
            credentials_directory: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            checking: false,
            now: SystemTime::now(),
        }
    }

    /// For a person who checks the file.
    pub(super) fn checking() -> Environment {
        Environment { checking: true, ..Environment::starting() }
    }
}

/// Reads one file and collects its problems.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) file: SourceFile,
    pub(super) environment: Environment,
    directory: PathBuf,
    problems: Diagnostics,
    /// Keys, with their tables (`broker.address`), that were reported and taken out: they are
    /// not missing.
    reported: Vec<String>,
}

/// Where a table is, for messages about keys that it lacks.
#[derive(Clone, Debug)]
pub(super) struct Section {
    /// `broker.tls`; empty for the top of the file.
    pub(super) name: &'static str,
    /// `None`: the table isn't in the file.
    pub(super) span: Option<Range<usize>>,
}

impl Section {
    pub(super) fn top() -> Section {
        Section { name: "", span: None }
    }

    /// Splits a raw table from its place.
    pub(super) fn of<T: Default>(name: &'static str, raw: Option<Spanned<T>>) -> (Section, T) {
        match raw {
            Some(raw) => (Section { name, span: Some(raw.span()) }, raw.into_inner()),
            None => (Section { name, span: None }, T::default()),
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn place(&self) -> String {
        if self.name.is_empty() { "the file".to_owned() } else { format!("`[{}]`", self.name) }
    }
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
        Reader { file, environment, directory, problems: Diagnostics::new(), reported: Vec::new() }
    }

    /// The raw form of the file. `None` if it isn't TOML; every other problem takes out the key
    /// that has it.
    pub(super) fn raw<T: DeserializeOwned>(&mut self) -> Option<T> {
        let text = std::sync::Arc::clone(&self.file.text);
        let (document, errors) = DeTable::parse_recoverable(&text);
        if !errors.is_empty() {
            for error in &errors {
                self.problems.push(Diagnostic::from_toml(code::SYNTAX, &self.file, error));
            }
            return None;
        }
        let span = document.span();
        let mut table = document.into_inner();
        for _ in 0..MAX_REPORTED_KEYS {
            let deserializer = Deserializer::from(Spanned::new(span.clone(), table.clone()));
            let error = match T::deserialize(deserializer) {
                Ok(raw) => return Some(raw),
                Err(error) => error,
            };
            let removed = error.span().and_then(|at| remove_at(&mut table, "", &at));
            let Some(removed) = removed else {
                self.problems.push(Diagnostic::from_toml(code::TYPE, &self.file, &error));
                return None;
            };
            self.report_key(&error, removed);
        }
        None
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

    /// The typed value with the warnings, or everything that is wrong.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Result<(T, Diagnostics), Diagnostics> {
        self.problems.sort_by_position(std::slice::from_ref(&self.file));
        match value {
            Some(value) if !self.problems.has_errors() => Ok((value, self.problems)),
            _ => Err(self.problems),
        }
    }

    /// The value of a required key; reports its absence unless the key was reported before.
    pub(super) fn required<T>(
        &mut self,
        section: &Section,
        key: &'static str,
        value: Option<T>,
        example: &str,
    ) -> Option<T> {
        if value.is_none() && !self.was_reported(section, key) {
            let title = format!("missing key: `{key}` in {}", section.place());
            let diagnostic = match &section.span {
                Some(span) => {
                    self.error(code::MISSING, span.clone(), title).label(format!("lacks `{key}`"))
                }
                None => Diagnostic::file_error(code::MISSING, &self.file.path, title),
            };
            let header = match section.name {
                "" => String::new(),
                name if section.span.is_none() => format!("[{name}] "),
                _ => String::new(),
            };
            self.push(diagnostic.help(format!("for example: {header}{key} = {example}")));
        }
        value
    }

    /// Whether the key, or the table it is in, was reported before.
    pub(super) fn was_reported(&self, section: &Section, key: &str) -> bool {
        let path = section.path_of(key);
        self.reported.iter().any(|reported| {
            path == *reported
                || path.strip_prefix(reported.as_str()).is_some_and(|rest| rest.starts_with('.'))
        })
    }

    /// A number within `range`, or `default` if the key is absent.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        value: Option<&Spanned<i64>>,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let Some(value) = value else { return default };
        match u64::try_from(*value.get_ref()) {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let title = format!("`{key}` is out of range: {}", value.get_ref());
                let wanted = format!("wanted {} to {}", range.start(), range.end());
                let help = format!("without the key it is {default}");
                let problem = self.error(code::RANGE, value.span(), title).label(wanted).help(help);
                self.push(problem);
                default
            }
        }
    }

    /// One of a few words, or `default` if the key is absent.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &'static str,
        value: Option<&Spanned<String>>,
        words: &[(&'static str, T)],
        default: T,
    ) -> T {
        let Some(value) = value else { return default };
        let got = value.get_ref();
        if let Some((_, word)) = words.iter().find(|(word, _)| word == got) {
            return *word;
        }
        let known: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let problem = self
            .error(code::VALUE, value.span(), format!("unknown value of `{key}`: `{got}`"))
            .label(format!("wanted {}", known.join(" or ")))
            .did_you_mean(got, words.iter().map(|(word, _)| *word));
        self.push(problem);
        default
    }

    /// A text that `fault` finds nothing wrong with; `fault` says what was wanted.
    pub(super) fn text(
        &mut self,
        key: &'static str,
        value: Option<Spanned<String>>,
        fault: impl Fn(&str) -> Option<String>,
    ) -> Option<String> {
        let value = value?;
        if let Some(wanted) = fault(value.get_ref()) {
            let title = format!("bad value of `{key}`: `{}`", value.get_ref());
            let problem = self.error(code::VALUE, value.span(), title).label(wanted);
            self.push(problem);
            // The placeholder is never used: an error was pushed.
            return Some(String::new());
        }
        Some(value.into_inner())
    }

    /// A path: relative ones start at the directory of the configuration file, and a leading
    /// `${CREDENTIALS_DIRECTORY}` is expanded. `None` beside it: the file can't be looked at.
    pub(super) fn path(&mut self, key: &'static str, value: &Spanned<String>) -> ReadPath {
        let text = value.get_ref();
        let span = value.span();
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
        let problem = if self.environment.checking {
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

    fn report_key(&mut self, error: &toml::de::Error, removed: Removed) {
        let place = match removed.path.rsplit_once('.') {
            Some((table, _)) => format!("`[{table}]`"),
            None => "the file".to_owned(),
        };
        let message = error.message().lines().next().unwrap_or_default();
        let diagnostic = if message.starts_with("unknown field") {
            // serde lists the known fields in backticks, after the unknown one.
            let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
            let key = removed.path.rsplit('.').next().unwrap_or_default();
            if let Some(meant) = diagnostic::closest(key, known.iter().copied()) {
                let table = removed.path.rsplit_once('.').map(|(table, _)| table);
                self.reported.push(match table {
                    Some(table) => format!("{table}.{meant}"),
                    None => meant.to_owned(),
                });
            }
            self.error(code::UNKNOWN_KEY, removed.key, format!("unknown key: `{key}` in {place}"))
                .did_you_mean(key, known.iter().copied())
                .help(format!("keys of {place}: {}", known.join(", ")))
        } else {
            let title = match message.strip_prefix("invalid type: ").and_then(split_at_expected) {
                Some((got, wanted)) => {
                    let (got, wanted) = (type_in_words(got), type_in_words(wanted));
                    format!("wrong type of `{}`: got {got}, wanted {wanted}", removed.path)
                }
                None => format!("bad value of `{}`: {message}", removed.path),
            };
            self.error(code::TYPE, error.span().unwrap_or(removed.value), title)
        };
        self.push(diagnostic);
        self.reported.push(removed.path);
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

/// A key that was taken out of the document.
struct Removed {
    /// `broker.address`.
    path: String,
    key: Range<usize>,
    value: Range<usize>,
}

/// Takes out the innermost key whose name or value is at `at`.
fn remove_at<'i>(table: &mut DeTable<'i>, prefix: &str, at: &Range<usize>) -> Option<Removed> {
    let covers = |span: Range<usize>| span.start <= at.start && at.end <= span.end;
    let mut found = None;
    for (key, value) in table.iter_mut() {
        let path = match prefix {
            "" => key.get_ref().to_string(),
            prefix => format!("{prefix}.{}", key.get_ref()),
        };
        let place = value.span();
        // A table that is written as `[name]` has the span of that header alone, so its keys
        // lie outside of it, and are looked at first.
        if let DeValue::Table(inner) = value.get_mut()
            && let Some(removed) = remove_at(inner, &path, at)
        {
            return Some(removed);
        }
        // `[[name]]`: an element has the span of its header alone, too.
        if let DeValue::Array(elements) = value.get_mut() {
            for element in elements.iter_mut() {
                if let DeValue::Table(inner) = element.get_mut()
                    && let Some(removed) = remove_at(inner, &path, at)
                {
                    return Some(removed);
                }
            }
        }
        if covers(key.span()) || covers(place.clone()) {
            found = Some((key.clone(), Removed { path, key: key.span(), value: place }));
            break;
        }
    }
    let (key, removed) = found?;
    table.remove(&key);
    Some(removed)
}

/// `integer `3`, expected a string`: what was found and what was wanted, in serde's words.
fn split_at_expected(message: &str) -> Option<(&str, &str)> {
    message.rsplit_once(", expected ")
}

fn type_in_words(serde: &str) -> &str {
    match serde {
        "i64" => "an integer",
        "sequence" | "a sequence" => "an array",
        "map" => "a table",
        text if text.starts_with("struct") => "a table",
        text => text,
    }
}
