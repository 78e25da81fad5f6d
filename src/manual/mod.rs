//! The manual: longer texts than the README holds, for the people who run the relay. Each page
//! is a Markdown file beside this one, a module here, and a man page `sparkdiode-NAME(7)`.

/// One page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// As in `sparkdiode-NAME(7)`.
    pub name: &'static str,
    /// Markdown; it begins with one first-level heading.
    pub text: &'static str,
}

impl Page {
    /// The page for `go-md2man`: a title line, and the heading as `NAME` section.
    pub fn as_man_markdown(&self) -> String {
        let (heading, rest) = self.text.split_once('\n').unwrap_or((self.text, ""));
        let heading = heading.trim_start_matches("# ");
        format!("% sparkdiode-{0} 7\n\n# NAME\n\nsparkdiode-{0} - {heading}\n{rest}", self.name)
    }
}

macro_rules! pages {
    ($($module:ident = $name:literal,)+) => {
        /// All pages.
        pub const PAGES: &[Page] =
            &[$(Page { name: $name, text: include_str!(concat!($name, ".md")) },)+];
        $(
            #[doc = include_str!(concat!($name, ".md"))]
            pub mod $module {}
        )+
    };
}

pages! {
    architecture = "architecture",
    changes = "changes",
    events = "events",
    glossary = "glossary",
    hardening = "hardening",
    memory = "memory",
    policies = "policies",
    releases = "releases",
    shaping = "shaping",
    signing = "signing",
    syslog = "syslog",
    threat_model = "threat-model",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_one_heading_that_says_what_it_is() {
        for page in PAGES {
            let mut fenced = false;
            let mut headings = 0;
            for line in page.text.lines() {
                fenced ^= line.starts_with("```");
                headings += usize::from(!fenced && line.starts_with("# "));
            }
            assert!(page.text.starts_with("# "), "{}", page.name);
            assert_eq!(headings, 1, "{}", page.name);
        }
    }
}
