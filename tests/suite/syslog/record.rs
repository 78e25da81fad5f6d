//! Lines of RFC 5424 as a receiver reads them; a parser written from the RFC's grammar, not from
//! the relay.

use std::collections::BTreeMap;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) app: String,
    pub(crate) msgid: String,
    /// SD-ID, then parameters; unescaped.
    pub(crate) data: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) message: String,
}

impl Line {
    /// Parses `<pri>1 …`; panics with the line if it isn't RFC 5424.
    pub(crate) fn parse(text: &str) -> Line {
        let fail = |what: &str| -> ! { panic!("{what}: {text:?}") };
        let mut parts = text.splitn(7, ' ');
        let mut next = |what: &str| parts.next().unwrap_or_else(|| fail(what)).to_owned();
        let header = next("priority and version");
        let (priority, version) = header.split_once('>').unwrap_or_else(|| fail("priority"));
        let priority: u16 = priority[1..].parse().unwrap_or_else(|_| fail("priority"));
        assert!(priority < 192 && version == "1", "{text:?}");
        let timestamp = next("timestamp");
        assert!(timestamp.ends_with('Z') && timestamp.len() == 24, "{text:?}");
        next("host");
        let app = next("app");
        next("process");
        let msgid = next("msgid");
        let mut rest = next("structured data");
        let mut data = BTreeMap::new();
        while rest.starts_with('[') {
            let (id, parameters, after) = element(&rest);
            assert!(data.insert(id, parameters).is_none(), "an SD-ID twice: {text:?}");
            rest = after;
        }
        let message = rest.strip_prefix(' ').unwrap_or_else(|| fail("message")).to_owned();
        Line { app, msgid, data, message }
    }

    /// A field of the event.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let own = self.data.iter().find(|(id, _)| id.starts_with("sparkdiode@"));
        own.and_then(|(_, fields)| fields.get(name)).map(String::as_str)
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.data["meta"]["sequenceId"].parse().unwrap()
    }

    pub(crate) fn is_resent(&self) -> bool {
        self.field("resent") == Some("1")
    }
}

fn element(text: &str) -> (String, BTreeMap<String, String>, String) {
    let mut characters = text.char_indices().skip(1).peekable();
    let mut id = String::new();
    while let Some((_, character)) = characters.next_if(|(_, c)| !" ]".contains(*c)) {
        id.push(character);
    }
    let mut parameters = BTreeMap::new();
    loop {
        match characters.next() {
            Some((at, ']')) => return (id, parameters, text[at + 1..].to_owned()),
            Some((_, ' ')) => {}
            other => panic!("{other:?} in {text:?}"),
        }
        let mut name = String::new();
        while let Some((_, character)) = characters.next_if(|(_, c)| *c != '=') {
            name.push(character);
        }
        characters.next();
        assert_eq!(characters.next().map(|(_, c)| c), Some('"'), "{text:?}");
        let mut value = String::new();
        loop {
            match characters.next().unwrap_or_else(|| panic!("no end of a value: {text:?}")).1 {
                '"' => break,
                '\\' => value.push(characters.next().unwrap().1),
                character => value.push(character),
            }
        }
        assert!(parameters.insert(name, value).is_none(), "a parameter twice: {text:?}");
    }
}
