//! What is wrong with a topic filter, said so that its author knows what to write instead.

use std::ops::Range;

use diagnostic::closest;

/// Bytes of a filter: three names of a generous length and the fixed levels.
const MAX_FILTER_BYTES: usize = 4096;

/// The namespace of Sparkplug B, first level of every topic (Sparkplug 3.0 §4.1.1).
const NAMESPACE: &str = "spBv1.0";

const BIRTH_DATA_DEATH: [&str; 6] = ["NBIRTH", "NDEATH", "NDATA", "DBIRTH", "DDEATH", "DDATA"];
const COMMANDS: [&str; 2] = ["NCMD", "DCMD"];
/// Types of vendors and of drafts, named so that the message can say that they are known.
const OTHER_TYPES: [&str; 7] =
    ["NRECORD", "DRECORD", "NMETA", "DMETA", "NREBIRTH", "DREBIRTH", "REBIRTH"];

/// Why a filter is refused: what to underline (bytes of the filter) and what to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilterError {
    pub(crate) code: &'static str,
    pub(crate) span: Range<usize>,
    pub(crate) title: String,
    pub(crate) label: String,
    pub(crate) help: Option<String>,
}

/// The levels of a filter with their places.
pub(super) struct Levels<'a> {
    source: &'a str,
    levels: Vec<(Range<usize>, &'a str)>,
}

impl<'a> Levels<'a> {
    pub(super) fn new(source: &'a str) -> Levels<'a> {
        let mut start = 0_usize;
        let levels = source
            .split('/')
            .map(|level| {
                let span = start..start.saturating_add(level.len());
                start = span.end.saturating_add(1);
                (span, level)
            })
            .collect();
        Levels { source, levels }
    }

    pub(super) fn count(&self) -> usize {
        self.levels.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<&'a str> {
        self.levels.get(index).map(|(_, level)| *level)
    }

    fn span(&self, index: usize) -> Range<usize> {
        self.levels.get(index).map_or(self.whole(), |(span, _)| span.clone())
    }

    fn whole(&self) -> Range<usize> {
        0..self.source.len()
    }

    /// The filter with the message-type level replaced by `+`.
    fn with_any_type(&self) -> String {
        let mut levels: Vec<&str> = self.levels.iter().map(|(_, level)| *level).collect();
        if let Some(level) = levels.get_mut(2) {
            *level = "+";
        }
        levels.join("/")
    }

    /// The filter with `+` before the third level, where the message type seems to have been
    /// left out: no type has a small letter or a digit in its name.
    fn with_a_type_inserted(&self) -> Option<String> {
        let is_type = |level: &str| level.chars().all(|letter| letter.is_ascii_uppercase());
        if self.count() > 4 || self.get(2).is_none_or(is_type) {
            return None;
        }
        let mut levels: Vec<&str> = self.levels.iter().map(|(_, level)| *level).collect();
        levels.insert(2, "+");
        Some(levels.join("/"))
    }

    pub(super) fn check_text(&self) -> Result<(), FilterError> {
        let title = if self.source.is_empty() {
            "an empty topic filter selects nothing".to_owned()
        } else if self.source.len() > MAX_FILTER_BYTES {
            format!("a topic filter can't be longer than {MAX_FILTER_BYTES} bytes")
        } else if self.source.contains('\0') {
            "a topic can't contain the character U+0000".to_owned()
        } else {
            return Ok(());
        };
        let help = "a filter reads `spBv1.0/group/+/edge-node/device`";
        Err(FilterError::grammar(self.whole(), title).help(help))
    }

    pub(super) fn check_namespace(&self) -> Result<(), FilterError> {
        let span = self.span(0);
        let example = "spBv1.0/group/+/edge-node/#";
        let never = |title: &str, label: &str, help: &str| {
            Err(FilterError {
                code: "P010",
                span: span.clone(),
                title: title.to_owned(),
                label: label.to_owned(),
                help: Some(help.to_owned()),
            })
        };
        match self.get(0).unwrap_or("") {
            NAMESPACE => self.check_host_state(),
            "STATE" => never(
                "`STATE` of a host application can't be allowed",
                "the state of hosts",
                "the relay is one-way: what hosts say about themselves never crosses, and edge \
                 nodes behind it don't depend on it",
            ),
            "spAv1.0" => never(
                "Sparkplug A can't be allowed",
                "the namespace of Sparkplug A",
                "the relay decodes what it lets through, and it knows Sparkplug B only: \
                 `spBv1.0/…`",
            ),
            "$sparkplug" => never(
                "`$sparkplug` topics can't be allowed",
                "stored births of the broker",
                "the relay reads the certificates of the edge nodes that a rule forwards by \
                 itself and makes its own on the other side; no rule is needed",
            ),
            "#" | "+" => never(
                "a wildcard in the place of the namespace can't be allowed",
                "takes in everything on the broker, commands too",
                "the relay is one-way and knows Sparkplug B only: begin with `spBv1.0/`, such \
                 as `spBv1.0/+/+/#` for every edge node and device",
            ),
            "$share" => Err(FilterError::grammar(span, "a shared subscription isn't a topic")
                .label("names a group of subscribers")
                .help(format!("write the filter alone, such as `{example}`"))),
            other => {
                let mut error = FilterError {
                    code: "P010",
                    span: span.clone(),
                    title: format!("`{other}` isn't the namespace of Sparkplug B"),
                    label: "what isn't Sparkplug B never crosses".to_owned(),
                    help: None,
                };
                error.help = Some(match closest(other, [NAMESPACE]) {
                    Some(namespace) => format!("did you mean `{namespace}`?"),
                    None => format!("a filter begins with `spBv1.0/`, such as `{example}`"),
                });
                Err(error)
            }
        }
    }

    /// `spBv1.0/STATE/host` has three levels; a group that is called STATE has four or five.
    fn check_host_state(&self) -> Result<(), FilterError> {
        if self.get(1) == Some("STATE") && self.count() == 3 {
            return Err(FilterError {
                code: "P010",
                span: self.span(1),
                title: "`STATE` of a host application can't be allowed".to_owned(),
                label: "the state of hosts".to_owned(),
                help: Some(
                    "the relay is one-way: what hosts say about themselves never crosses, and \
                     edge nodes behind it don't depend on it"
                        .to_owned(),
                ),
            });
        }
        Ok(())
    }

    pub(super) fn check_wildcards(&self) -> Result<(), FilterError> {
        let last = self.count().saturating_sub(1);
        for (index, (span, level)) in self.levels.iter().enumerate() {
            let error = |title: &str| FilterError::grammar(span.clone(), title);
            match *level {
                "" => {
                    let at = span.start.saturating_sub(1)..span.end.saturating_add(1);
                    let at = at.start..at.end.min(self.source.len());
                    return Err(FilterError::grammar(at, "a topic filter has an empty level")
                        .label("no name between the slashes")
                        .help("write `+` for any name"));
                }
                "#" if index != last => {
                    return Err(error("`#` must be the last level of a topic filter")
                        .label("stands for everything below")
                        .help("write `+` for exactly one level"));
                }
                "+" | "#" => {}
                name if name.contains(['+', '#']) => {
                    return Err(error("`+` and `#` must be a level of their own")
                        .label("part of a name")
                        .help(
                            "write `+` for the whole level and select names with \
                             `group`, `edge-node` or `device`, which take `*`",
                        ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn check_message_type(&self) -> Result<(), FilterError> {
        // A `#` above the place of the message type would take in commands and STATE.
        for index in [1, 2] {
            if self.get(index) == Some("#") {
                let instead = if index == 1 { "spBv1.0/+/+/#" } else { "spBv1.0/group/+/#" };
                let instead = instead.replace("group", self.get(1).unwrap_or("group"));
                return Err(FilterError {
                    code: "P011",
                    span: self.span(index),
                    title: "`#` takes in the message types, and with them commands".to_owned(),
                    label: "commands can't be allowed: the relay is one-way".to_owned(),
                    help: Some(format!("write `{instead}`")),
                });
            }
        }
        let Some(message_type) = self.get(2) else { return Ok(()) };
        if message_type == "+" {
            return Ok(());
        }
        let mut error = FilterError {
            code: "P011",
            span: self.span(2),
            title: format!("unknown message type: `{message_type}`"),
            label: "the message type must be `+`".to_owned(),
            help: None,
        };
        let instead = self.with_any_type();
        if BIRTH_DATA_DEATH.contains(&message_type) {
            error.title = format!("`{message_type}` can't be selected on its own");
            error.help = Some(format!(
                "births, data and deaths of an edge node or device travel together, since a host \
                 can use none of them alone: write `{instead}`"
            ));
        } else if COMMANDS.contains(&message_type) {
            error.code = "P010";
            error.title = format!("commands can't be allowed: `{message_type}`");
            error.label = "a command to the plant".to_owned();
            error.help = Some(
                "the relay is one-way, from the plant to the enterprise; no command crosses it, \
                 whatever a rule says"
                    .to_owned(),
            );
        } else if OTHER_TYPES.contains(&message_type) {
            error.code = "P010";
            error.title = format!("`{message_type}` can't be allowed");
            error.label = "not a birth, data or death".to_owned();
            error.help = Some(format!(
                "the relay forwards births, data and deaths of Sparkplug 3.0 only: write \
                 `{instead}`"
            ));
        } else {
            let known = BIRTH_DATA_DEATH.iter().chain(&COMMANDS).copied();
            error.help = Some(match closest(message_type, known) {
                Some(meant) => format!(
                    "did you mean `{meant}`? No message type is named in a rule: births, data \
                     and deaths travel together; write `{instead}`"
                ),
                None => format!(
                    "a filter reads `spBv1.0/group/+/edge-node/device`: write `{}`",
                    self.with_a_type_inserted().unwrap_or(instead)
                ),
            });
        }
        Err(error)
    }

    pub(super) fn wrong_count(&self, count: usize) -> FilterError {
        if count > 5 {
            let from = self.span(5).start;
            return FilterError::grammar(from..self.source.len(), "a topic filter is too long")
                .label("no Sparkplug topic has more than five levels")
                .help("a filter reads `spBv1.0/group/+/edge-node/device`");
        }
        let group = self.get(1).unwrap_or("group");
        FilterError::grammar(self.whole(), "a topic filter is too short and selects nothing")
            .label("names no edge node")
            .help(format!(
                "write `spBv1.0/{group}/+/#` for every edge node of the group with its devices"
            ))
    }
}

impl FilterError {
    fn grammar(span: Range<usize>, title: impl Into<String>) -> FilterError {
        let (title, label) = (title.into(), String::new());
        FilterError { code: "P009", span, title, label, help: None }
    }

    fn label(mut self, label: &str) -> FilterError {
        self.label = label.to_owned();
        self
    }

    fn help(mut self, help: impl Into<String>) -> FilterError {
        self.help = Some(help.into());
        self
    }
}
