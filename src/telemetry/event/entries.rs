//! The macro that makes the list of events of the catalogue's entries.

macro_rules! events {
    ($(
        $(#[doc = $meaning:literal])+
        $event:ident = $msgid:literal
            ($severity:ident, $halves:ident, $limit:ident $(($source:expr))?)
            $text:literal
            { $($(#[$optional:ident])? $field:ident: $about:literal,)* }
            $action:literal;
    )+) => {
        /// Something that people who watch the relay are told.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Event { $($(#[doc = $meaning])+ $event,)+ }

        impl Event {
            /// Every event, in the order in which they are documented.
            pub const ALL: &'static [Event] = &[$(Event::$event,)+];

            /// What the catalogue says of it.
            pub const fn entry(self) -> &'static Entry {
                match self {
                    $(Event::$event => const {
                        &Entry {
                            msgid: $msgid,
                            severity: Severity::$severity,
                            halves: Halves::$halves,
                            limit: Limit::$limit $(($source))?,
                            text: $text,
                            meaning: concat!($($meaning),+).trim_ascii(),
                            action: $action,
                            fields: const {
                                &[$(FieldSpec {
                                    name: stringify!($field),
                                    meaning: $about,
                                    optional: {
                                        const MARKS: &[&str] = &[$(stringify!($optional))?];
                                        !MARKS.is_empty()
                                    },
                                },)*]
                            },
                        }
                    },)+
                }
            }
        }
    };
}
