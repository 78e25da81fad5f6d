//! What filters select, and which are refused.

use super::*;

fn selects(filter: &str, entity: Entity<'_>) -> bool {
    TopicFilter::parse(filter).unwrap().matches(entity)
}

fn refused(filter: &str) -> FilterError {
    TopicFilter::parse(filter).expect_err(filter)
}

#[test]
fn four_levels_select_the_node_five_its_devices_and_hash_both() {
    let node = Entity::node("G", "E");
    let device = Entity::device("G", "E", "D");
    for (filter, the_node, the_device) in [
        ("spBv1.0/G/+/E", true, false),
        ("spBv1.0/G/+/E/+", false, true),
        ("spBv1.0/G/+/E/D", false, true),
        ("spBv1.0/G/+/E/X", false, false),
        ("spBv1.0/G/+/E/#", true, true),
        ("spBv1.0/G/+/#", true, true),
        ("spBv1.0/+/+/#", true, true),
        ("spBv1.0/+/+/+", true, false),
        ("spBv1.0/+/+/+/+", false, true),
        ("spBv1.0/X/+/#", false, false),
        ("spBv1.0/G/+/X/#", false, false),
    ] {
        assert_eq!(selects(filter, node), the_node, "{filter}");
        assert_eq!(selects(filter, device), the_device, "{filter}");
    }
}

#[test]
fn a_group_called_state_is_a_group() {
    assert!(selects("spBv1.0/STATE/+/E", Entity::node("STATE", "E")));
    assert_eq!(refused("spBv1.0/STATE/+").code, "P010");
}

#[test]
fn what_never_crosses_is_refused_with_the_reason() {
    for filter in [
        "spBv1.0/G/NCMD/E",
        "spBv1.0/G/DCMD/E/D",
        "spBv1.0/STATE/host",
        "STATE/host",
        "STATE/#",
        "spBv1.0/G/NRECORD/E",
        "spAv1.0/G/+/E",
        "$sparkplug/certificates/#",
        "#",
        "+/G/+/E",
        "plant/temperature",
    ] {
        let error = refused(filter);
        assert_eq!(error.code, "P010", "{filter}: {error:?}");
        assert!(error.help.is_some(), "{filter}");
    }
}

#[test]
fn message_type_level_must_be_plus() {
    for filter in ["spBv1.0/G/NDATA/E", "spBv1.0/G/DBIRTH/E/D", "spBv1.0/G/#", "spBv1.0/#"] {
        assert_eq!(refused(filter).code, "P011", "{filter}");
    }
    let error = refused("spBv1.0/G/NDTA/E");
    assert_eq!((error.code, error.span), ("P011", 10..14));
    assert!(error.help.unwrap().contains("did you mean `NDATA`?"));
}

#[test]
fn broken_filters_are_refused() {
    for filter in [
        "",
        "spBv1.0/G",
        "spBv1.0/G/+",
        "spBv1.0/G/+/E/D/x",
        "spBv1.0/G/+//D",
        "spBv1.0/G/+/E/",
        "spBv1.0/G/+/Line+",
        "spBv1.0/G/+/Line#",
        "spBv1.0/#/+/E",
        "spBv1.0/G/+/#/D",
        "$share/g/spBv1.0/G/+/E",
        "spBv1.0/G/+/E\0",
    ] {
        assert_eq!(refused(filter).code, "P009", "{filter}");
    }
    assert_eq!(refused("spbv1.0/G/+/E").help.unwrap(), "did you mean `spBv1.0`?");
}
