//! What is said of a broker with limits, and of each way in which something goes beyond them.

use diagnostic::SourceFile;

use super::*;

fn it(profile: &str, broker: &str, rest: &str) -> ItConfig {
    let text = format!(
        "[broker]\naddress = \"10.0.1.7:1883\"\nplaintext = true\nprofile = \"{profile}\"\n{broker}\n\
         [journal]\npath = \"/nowhere/journal\"\n[state]\npath = \"/nowhere/it\"\n{rest}\n"
    );
    ItConfig::check(SourceFile::new("/nowhere/it.toml", text)).unwrap().0
}

fn largest(topic: &str, bytes: usize) -> Largest {
    Largest { topic: topic.to_owned(), bytes }
}

fn plant(nodes: usize) -> Learned {
    Learned {
        nodes,
        groups: nodes.div_ceil(10),
        message: largest("spBv1.0/G/NBIRTH/E", 1_000),
        topic: largest("spBv1.0/G/NBIRTH/E", 18),
        name: largest("G/E", 3),
        busiest: largest("G/E", 5),
    }
}

/// What is said, and what is warned of.
fn said(config: &ItConfig, policy: Option<&str>, learned: Option<&Learned>) -> (String, String) {
    let policy = policy.map(|text| Policy::parse(&[SourceFile::new("p.toml", text)]).unwrap().0);
    let (mut text, mut warnings) = (String::new(), Diagnostics::new());
    let path = Path::new("it.toml");
    compare_it(&mut text, path, config, policy.as_ref(), learned, &mut warnings);
    (text, warnings.to_string())
}

#[test]
fn a_plant_that_fits_is_said_to_be_compared_and_without_a_profile_nothing_is() {
    let (text, warnings) = said(&it("distributor", "", ""), None, Some(&plant(49)));
    assert!(text.contains("as MQTT Distributor, standard licence: 50 sessions"), "{text}");
    assert!(text.contains("compared with 49 edge nodes"), "{text}");
    assert!(warnings.is_empty(), "{warnings}");
    let (text, warnings) = said(&it("aws-iot-core", "", ""), None, None);
    assert!(text.contains("nothing is known of the plant yet"), "{text}");
    assert!(text.contains("publishes at most 100 messages/s"), "{text}");
    assert!(warnings.is_empty(), "{warnings}");
    let mut config = it("distributor", "", "");
    config.broker.profile = None;
    assert_eq!(said(&config, None, Some(&plant(1_000))), (String::new(), String::new()));
}

#[test]
fn the_relay_keeps_to_what_it_can() {
    let config = it("distributor", "", "");
    assert_eq!(config.mirror.max_nodes, 49, "one session is that of the relay's own edge node");
    let config = it("distributor-plus", "", "[health]\nenabled = false");
    assert_eq!(config.mirror.max_nodes, 250);
    let config = it("aws-iot-core", "", "");
    assert_eq!((config.mirror.max_nodes, config.broker.max_packet_bytes), (10_000, 131_072));
    let config = it("aws-iot-core", "max-packet-bytes = 65536", "[mirror]\nmax-nodes = 7");
    assert_eq!((config.mirror.max_nodes, config.broker.max_packet_bytes), (7, 65_536));
}

#[test]
fn each_figure_that_is_exceeded_is_told_with_what_is_there_a_remedy_and_its_source() {
    let long = "x".repeat(300);
    let cases: [(ItConfig, Learned, &[&str]); 10] = [
        (
            it("distributor", "", ""),
            plant(50),
            &[
                "takes 50 sessions, and there are 50 edge nodes and the relay's own",
                "`over_capacity`",
                "docs.chariot.io",
            ],
        ),
        (
            it("distributor", "", "[mirror]\nmax-nodes = 50"),
            plant(1),
            &["`[mirror] max-nodes` is 50, and", "follows the profile"],
        ),
        (
            it("hivemq-cloud", "", "[health]\nenabled = false"),
            plant(101),
            &["takes 100 sessions, and there are 101 edge nodes", "hosts and other clients"],
        ),
        (
            it("aws-iot-core", "max-packet-bytes = 1000000", ""),
            plant(1),
            &["`max-packet-bytes` is 1000000, and AWS IoT Core takes messages of 128 KiB"],
        ),
        (
            it("aws-iot-core", "", ""),
            Learned { message: largest("spBv1.0/G/NBIRTH/Big", 200_000), ..plant(1) },
            &[
                "a message of 200000 bytes is in the journal",
                "`spBv1.0/G/NBIRTH/Big`",
                "compress-births-above-bytes",
            ],
        ),
        (
            it("aws-iot-core", "", ""),
            Learned { topic: largest(&long, 300), ..plant(1) },
            &["a topic of 300 bytes, and AWS IoT Core takes 256", "`[rename]`"],
        ),
        (
            it("aws-iot-core", "", ""),
            Learned { name: largest(&long[..120], 120), ..plant(1) },
            &[
                "a client identifier of 131 bytes, and AWS IoT Core takes 128",
                "client-id-form = \"short\"",
            ],
        ),
        (
            it("aws-iot-core", "", ""),
            Learned { busiest: largest("G/Fast", 101), ..plant(1) },
            &[
                "`G/Fast` sent 101 messages in a second, and AWS IoT Core takes 100",
                "messages-per-s = 100",
            ],
        ),
        (
            it("azure-event-grid", "keep-alive-s = 1200", ""),
            plant(1),
            &[
                "`keep-alive-s` is 1200, and Azure Event Grid, MQTT broker of a namespace takes 1160",
                "lets nobody in without TLS",
            ],
        ),
        (
            it("emqx-cloud-serverless", "", ""),
            Learned { busiest: largest("G/E", 11), ..plant(1) },
            &["takes 10 of a connection", "docs.emqx.com"],
        ),
    ];
    for (config, learned, wanted) in cases {
        let (_, warnings) = said(&config, None, Some(&learned));
        for wanted in wanted {
            assert!(warnings.contains(wanted), "{wanted}:\n{warnings}");
        }
        assert!(
            warnings.contains("C118") && warnings.contains("looked at in 2026-11"),
            "{warnings}"
        );
    }
}

#[test]
fn a_limit_of_the_policy_proves_the_pace() {
    let policy = |per_s: u32| {
        format!(
            "[[rule]]\nname = \"a\"\naction = \"forward\"\ngroup = \"G\"\n[limits.node]\nmessages-per-s = {per_s}\n"
        )
    };
    let fast = Learned { busiest: largest("G/E", 500), ..plant(1) };
    let config = it("aws-iot-core", "", "");
    let (text, warnings) = said(&config, Some(&policy(100)), Some(&fast));
    assert!(text.contains("`[limits.node]` keeps each edge node below that"), "{text}");
    assert!(warnings.is_empty(), "{warnings}");
    let (_, warnings) = said(&config, Some(&policy(101)), Some(&fast));
    assert!(warnings.contains("sent 500 messages"), "{warnings}");
}

#[test]
fn a_short_identifier_is_never_too_long() {
    let long = Learned { name: largest(&"x".repeat(500), 500), ..plant(1) };
    let config = it("aws-iot-core", "client-id-form = \"short\"", "");
    assert!(said(&config, None, Some(&long)).1.is_empty());
}

#[test]
fn the_ot_half_has_one_session_with_its_own_limits() {
    let text = format!(
        "name = \"n\"\n[broker]\naddress = \"b:1\"\nplaintext = true\nprofile = \"aws-iot-core\"\nclient-id = \"{}\"\n\
         [policies]\npaths = [\"p\"]\n[journal]\npath = \"/nowhere/j\"\n[state]\npath = \"/nowhere/s\"\n",
        "i".repeat(128)
    );
    let (mut config, _) = OtConfig::check(SourceFile::new("/nowhere/ot.toml", text)).unwrap();
    assert_eq!(config.broker.max_packet_bytes, 131_072);
    let rules: String = [("a", "A"), ("b", "B"), ("c", "C")]
        .map(|(rule, group)| {
            format!("[[rule]]\nname = \"{rule}\"\naction = \"forward\"\ngroup = \"{group}\"\n")
        })
        .concat();
    let (policy, _) = Policy::parse(&[SourceFile::new("p.toml", rules)]).unwrap();
    let warned = |config: &OtConfig| {
        let (mut text, mut warnings) = (String::new(), Diagnostics::new());
        of_ot(&mut text, Path::new("ot.toml"), config, Some(&policy), &mut warnings);
        warnings.to_string()
    };
    let warnings = warned(&config);
    assert!(warnings.contains("takes 8 in one SUBSCRIBE"), "{warnings}");
    assert!(!warnings.contains("client identifier"), "{warnings}");
    config.client_id.push('i');
    assert!(warned(&config).contains("a client identifier of 129 bytes"));
}

#[test]
fn folded_groups_are_counted_as_sessions_and_not_their_nodes() {
    let folded = "[mirror]\nfold = \"group\"";
    let config = it("distributor", "", folded);
    assert_eq!(config.mirror.max_nodes, 10_000);
    let (_, warnings) = said(&config, None, Some(&plant(400)));
    assert!(!warnings.contains("sessions"), "{warnings}");
    let (_, warnings) = said(&config, None, Some(&plant(500)));
    let wanted = "takes 50 sessions, and there are 50 folded groups and the relay's own";
    assert!(warnings.contains(wanted), "{warnings}");
}
