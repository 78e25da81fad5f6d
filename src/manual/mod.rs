//! The manual: longer texts than the README holds, for the people who run the relay. Each page
//! is a Markdown file beside this one, a module here, and a man page `sparkdiode-NAME` of section 5
//! (files) or 7 (all others). What can be read from the code is made from it: see [`made`].

pub mod explanations;
pub mod made;
mod markdown;
pub mod policy_keys;
#[cfg(test)]
mod tests;

pub use markdown::for_terminal;

/// One page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// As in `sparkdiode-NAME(7)`.
    pub name: &'static str,
    /// Of the man page.
    pub section: u8,
    /// Markdown; it begins with one first-level heading.
    pub text: &'static str,
}

impl Page {
    /// The page of this name.
    pub fn named(name: &str) -> Option<&'static Page> {
        PAGES.iter().find(|page| page.name == name)
    }

    /// What it is about.
    pub fn heading(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default().trim_start_matches("# ")
    }

    /// The name of its man page, such as `sparkdiode-policy(5)`.
    pub fn reference(&self) -> String {
        format!("sparkdiode-{}({})", self.name, self.section)
    }

    /// The page for `go-md2man`: a title line, the heading as `NAME` section, links as references,
    /// and where to go on.
    pub fn as_man_markdown(&self) -> String {
        let (_, rest) = self.text.split_once('\n').unwrap_or((self.text, ""));
        let text = markdown::for_man(rest);
        let mut others: Vec<String> = Vec::new();
        for other in PAGES.iter().filter(|other| other.name != self.name) {
            if text.contains(&other.reference()) {
                others.push(other.reference());
            }
        }
        others.push("sparkdiode(1)".to_owned());
        format!(
            "% sparkdiode-{0} {1}\n\n# NAME\n\nsparkdiode-{0} - {2}\n\n# DESCRIPTION\n{text}\n# SEE ALSO\n\n{3}\n",
            self.name,
            self.section,
            self.heading(),
            others.join(", ")
        )
    }
}

macro_rules! pages {
    ($($module:ident = $name:literal $section:literal,)+) => {
        /// All pages.
        pub const PAGES: &[Page] = &[$(Page {
            name: $name,
            section: $section,
            text: include_str!(concat!($name, ".md")),
        },)+];
        $(
            #[doc = include_str!(concat!($name, ".md"))]
            pub mod $module {}
        )+
    };
}

pages! {
    architecture = "architecture" 7,
    changes = "changes" 7,
    compliance = "compliance" 7,
    diagnostics = "diagnostics" 7,
    events = "events" 7,
    glossary = "glossary" 7,
    hardening = "hardening" 7,
    hosts = "hosts" 7,
    installation = "installation" 7,
    isolation = "isolation" 7,
    it_toml = "it.toml" 5,
    journal = "journal" 7,
    link = "link" 7,
    log = "log" 7,
    memory = "memory" 7,
    monitoring = "monitoring" 7,
    mqtt5 = "mqtt5" 7,
    ot_toml = "ot.toml" 5,
    performance = "performance" 7,
    policies = "policies" 7,
    policy = "policy" 5,
    promises = "promises" 7,
    reasons = "reasons" 7,
    receive_toml = "receive.toml" 5,
    refusals = "refusals" 7,
    releases = "releases" 7,
    send_toml = "send.toml" 5,
    shaping = "shaping" 7,
    signing = "signing" 7,
    syslog = "syslog" 7,
    testing = "testing" 7,
    threat_model = "threat-model" 7,
}
