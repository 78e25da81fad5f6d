//! Filters: whatever subset is denied, the host sees valid sessions, and what is denied is
//! nowhere: not in the journal, not on IT, not in one byte.
//!
//! Everything that must not cross has the word `DENIED` in it, in names, values, descriptions,
//! properties, columns, parameters and members alike.

use std::ops::RangeInclusive;

use sparkplug::{
    Cell, CellValue, DataSet, DataType, MetaData, Metric, Parameter, ParameterValue, Property,
    PropertySet, PropertyValue, Row, Template, Value,
};

use super::commands::contains;
use crate::checker::Excuse;
use crate::metrics::{int, metric, string, template, untyped};
use crate::packet::Packet;
use crate::peers::raw_edge::RawEdge;
use crate::peers::srad_host::SradHost;
use crate::rig::Rig;
use crate::wire::{Event, Side};

const WORD: &[u8] = b"DENIED";

#[test]
fn denied_metrics_of_nodes_and_devices_are_nowhere() {
    denied_is_nowhere(
        r#"
        [[rule]]
        name = "all-but-denied"
        action = "forward"
        group = "Plant"
        deny-metrics = ["**DENIED**"]
        [[rule]]
        name = "no-vault"
        action = "deny"
        group = "Plant"
        device = "*DENIED*"
        "#,
        &["NBIRTH", "DBIRTH"],
        1..=1,
    );
}

#[test]
fn a_deny_rule_wins_over_forward_rules_for_metrics_devices_and_members() {
    denied_is_nowhere(
        r#"
        [[rule]]
        name = "no-secrets"
        action = "deny"
        group = "*"
        deny-metrics = ["Secrets/**", "**/Recipe DENIED", "**/DENIED *", "**DENIED**"]
        [[rule]]
        name = "everything"
        action = "forward"
        topic = "spBv1.0/Plant/+/Rich/#"
        [[rule]]
        name = "no-vault"
        action = "deny"
        topic = "spBv1.0/+/+/+/Vault DENIED"
        "#,
        &["NBIRTH", "DBIRTH"],
        1..=1,
    );
}

#[test]
fn an_allow_list_lets_nothing_else_through() {
    denied_is_nowhere(
        r#"
        [[rule]]
        name = "numbers-of-the-node-and-the-press"
        action = "forward"
        group = "Plant"
        edge-node = "Rich"
        device = "Press"
        allow-metrics = ["Line/Counter", "Pumps/*"]
        datatypes = ["Int32"]
        [[rule]]
        name = "counter-of-the-node"
        action = "forward"
        group = "Plant"
        node-only = true
        allow-metrics = ["Line/Counter"]
        "#,
        &["NBIRTH", "DBIRTH"],
        1..=1,
    );
}

#[test]
fn a_node_whose_own_metrics_are_all_denied_still_carries_its_devices() {
    denied_is_nowhere(
        r#"
        [[rule]]
        name = "press"
        action = "forward"
        group = "Plant"
        device = "Press"
        deny-metrics = ["**DENIED**"]
        "#,
        &["DBIRTH"],
        // That the press needs the definition of the pump is known with its DBIRTH only: a
        // second NBIRTH carries it, unless the first one still waits for its session.
        1..=2,
    );
}

/// Runs a rich edge node through the relay with this policy, which denies all that has the word
/// in it and forwards `Line/Counter` of the device `Press`; that counter is in the births
/// `counted`.
fn denied_is_nowhere(policy: &str, counted: &[&str], node_births: RangeInclusive<usize>) {
    const ROUNDS: u32 = 30;
    let Some(rig) = Rig::start(policy) else { return };
    let host = SradHost::start(rig.it_address(), "enterprise");
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "Rich");
    edge.nbirth(&node_birth()).unwrap();
    edge.dbirth("Press", &device_birth()).unwrap();
    edge.dbirth("Vault DENIED", &device_birth()).unwrap();
    rig.wait_for("spBv1.0/Plant/DBIRTH/Rich/Press", 1);
    for round in 1..=ROUNDS {
        let denied = format!("DENIED {round}");
        let data = [
            untyped(string("Secrets/Name DENIED", &denied)),
            untyped(int("Line/Counter", round)),
            untyped(instance("Pumps/1", round)),
            untyped(int("Line/Pressure DENIED", round)),
        ];
        // Messages of which everything, something and nothing is denied.
        edge.ndata(&data[..1]).unwrap();
        edge.ndata(&data).unwrap();
        edge.ddata("Press", &data).unwrap();
        edge.ddata("Press", &data[..1]).unwrap();
        edge.ddata("Press", &data[1..2]).unwrap();
        edge.ddata("Vault DENIED", &data).unwrap();
    }
    edge.ddeath("Vault DENIED").unwrap();
    host.wait_for("Plant/Rich/Press", "Line/Counter", u64::from(ROUNDS));

    assert!(rig.ot.arrivals().iter().any(|one| contains(&one.payload, WORD)), "nothing to deny");
    assert_eq!(host.stale(), 0);
    assert_eq!(host.unknown(), Vec::<String>::new());
    assert_eq!(rig.it.count("spBv1.0/Plant/NCMD/Rich"), 0, "the host asked for a rebirth");
    let births = rig.it.count("spBv1.0/Plant/NBIRTH/Rich");
    assert!(node_births.contains(&births), "{births} births, none of them asked for");
    assert!(rig.it.count("spBv1.0/Plant/DBIRTH/Rich/Press") <= births);
    for verb in counted {
        let device = if *verb == "DBIRTH" { "/Press" } else { "" };
        let topic = format!("spBv1.0/Plant/{verb}/Rich{device}");
        assert!(rig.it.last(&topic, "Line/Counter").is_some(), "`Line/Counter` not in {topic}");
    }
    edge.leave();
    rig.wait_for("spBv1.0/Plant/NDEATH/Rich", 1);

    for (path, bytes) in rig.relay.journal() {
        assert!(!contains(&bytes, WORD), "denied bytes in {}", path.display());
    }
    for publish in rig.it.arrivals() {
        let clean = !contains(&publish.payload, WORD) && !publish.topic.contains("DENIED");
        assert!(clean, "denied bytes on IT: {publish:?}");
    }
    for record in rig.it_proxy.records() {
        if let (Event::Packet(Packet::Publish(publish)), Side::Client) =
            (&record.event, record.from)
        {
            assert!(!contains(&publish.payload, WORD), "denied bytes sent to IT: {publish:?}");
        }
    }
    rig.judge(Excuse::default());
}

fn node_birth() -> Vec<Metric> {
    let mut all = device_birth();
    all.push(template("Pump", pump(None, 0)));
    let nested = Template {
        metrics: vec![member("Inner", 1), member("DENIED inner", 2)],
        is_definition: Some(true),
        ..Template::default()
    };
    all.push(template("Nested", nested));
    all
}

/// Metrics of a node or device; the definitions of the templates are the node's.
fn device_birth() -> Vec<Metric> {
    let mut counter = int("Line/Counter", 0);
    counter.metadata =
        Some(Box::new(MetaData { description: Some("pieces made".into()), ..MetaData::default() }));
    let mut pressure = int("Line/Pressure DENIED", 0);
    pressure.metadata = Some(Box::new(MetaData {
        description: Some("DENIED description".into()),
        file_name: Some("DENIED file".into()),
        ..MetaData::default()
    }));
    pressure.properties = Some(Box::new(PropertySet {
        keys: vec!["DENIED key".into()],
        values: vec![PropertyValue {
            r#type: Some(DataType::String.code()),
            is_null: None,
            value: Some(Property::String("DENIED property".into())),
        }],
    }));
    let cell = |text: &str| Cell { value: Some(CellValue::String(text.into())) };
    let table = DataSet {
        num_of_columns: Some(1),
        columns: vec!["DENIED column".into()],
        types: vec![DataType::String.code()],
        rows: vec![Row { elements: vec![cell("DENIED cell")] }],
    };
    vec![
        counter,
        pressure,
        string("Secrets/Name DENIED", "DENIED value"),
        metric("Secrets/Table DENIED", DataType::DataSet, Value::DataSet(Box::new(table))),
        metric("Secrets/Bytes DENIED", DataType::Bytes, Value::Bytes(b"DENIED bytes".to_vec())),
        instance("Pumps/1", 0),
    ]
}

fn instance(name: &str, speed: u32) -> Metric {
    template(name, pump(Some("Pump"), speed))
}

/// The definition, or an instance of it.
fn pump(of: Option<&str>, speed: u32) -> Template {
    Template {
        metrics: vec![member("Speed", speed), member("Recipe DENIED", speed)],
        parameters: vec![Parameter {
            name: Some("Maker".into()),
            r#type: Some(DataType::String.code()),
            value: Some(ParameterValue::String("ACME".into())),
        }],
        template_ref: of.map(str::to_owned),
        is_definition: Some(of.is_none()),
        ..Template::default()
    }
}

fn member(name: &str, value: u32) -> Metric {
    let mut member = int(name, value);
    if name.contains("DENIED") {
        let description = Some("DENIED description of a member".into());
        member.metadata = Some(Box::new(MetaData { description, ..MetaData::default() }));
    }
    member
}
