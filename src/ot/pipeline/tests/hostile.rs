//! Births and data made to get past the policy, or to cost more than they should.

use account::Reason;
use prost::Message;
use sparkplug::{DataType, MetaData, Metric, Parameter, ParameterValue, Template, Value};

use super::bench::{
    ALL, Bench, bd_seq, by_name, names_of, payload, relayed, typed, value_of, verbs,
};

const NO_SECRETS: &str = r#"
    [[rule]]
    name = "motors"
    action = "forward"
    group = "G"
    deny-metrics = ["**/Secret*", "SecretType"]
"#;

const RATED: &str = r#"
    [[rule]]
    name = "motors"
    action = "forward"
    group = "G"
    deny-metrics = ["**/Secret*", "SecretType"]
    [rule.rate]
    messages-per-s = 1
    burst-messages = 1
"#;

fn no(datatypes: &str) -> String {
    format!(
        r#"
        [[rule]]
        name = "all"
        action = "forward"
        group = "G"
        [[rule]]
        name = "no-text"
        action = "deny"
        group = "G"
        datatypes = {datatypes}
        "#
    )
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

fn member(name: &str, value: Value) -> Metric {
    let is_template = matches!(value, Value::Template(_));
    typed(name, if is_template { DataType::Template } else { DataType::String }, value)
}

fn secret() -> Metric {
    member("SecretTorque", text("SecretValue"))
}

fn null(name: &str) -> Metric {
    let datatype = Some(DataType::Template.code());
    Metric { name: Some(name.into()), datatype, is_null: Some(true), ..Metric::default() }
}

fn definition(name: &str, metrics: Vec<Metric>) -> Metric {
    let template = Template { metrics, is_definition: Some(true), ..Template::default() };
    typed(name, DataType::Template, Value::Template(Box::new(template)))
}

fn inner(reference: &str, metrics: Vec<Metric>) -> Value {
    let template_ref = Some(reference.into());
    Value::Template(Box::new(Template { metrics, template_ref, ..Template::default() }))
}

fn instance(name: &str, reference: &str, metrics: Vec<Metric>) -> Metric {
    typed(name, DataType::Template, inner(reference, metrics))
}

fn data(name: &str, reference: &str, metrics: Vec<Metric>) -> Metric {
    Metric { datatype: None, ..instance(name, reference, metrics) }
}

fn motor() -> Vec<Metric> {
    vec![member("speed", text("1")), secret()]
}

fn count() -> Metric {
    typed("x", DataType::Int8, Value::Int(1))
}

fn member_names(metric: &Metric) -> Vec<&str> {
    let Some(Value::Template(template)) = &metric.value else { panic!("{metric:?}") };
    template.metrics.iter().map(|member| member.name.as_deref().unwrap()).collect()
}

/// The NBIRTH's metrics beside `bdSeq`.
fn born(bench: &mut Bench, mut metrics: Vec<Metric>) -> Vec<String> {
    metrics.insert(0, bd_seq(0));
    let frames = bench.node("NBIRTH", metrics);
    names_of(&payload(&frames[0])).iter().skip(1).map(ToString::to_string).collect()
}

#[test]
fn held_instances_were_judged_before() {
    let mut bench = Bench::new(RATED);
    let motors = vec![definition("Motor", motor()), count(), instance("Motor1", "Motor", motor())];
    assert_eq!(born(&mut bench, motors), ["Motor", "x", "Motor1"]);
    assert_eq!(bench.node("NDATA", vec![by_name("x", Value::Int(2))]).len(), 1);
    let secrets = vec![member("speed", text("2")), secret(), member("Invented", text("y"))];
    assert!(bench.node("NDATA", vec![data("Motor1", "Motor", secrets)]).is_empty());
    bench.pass(1500);
    let flushed = relayed(&bench.tick());
    assert_eq!(member_names(&payload(&flushed[0]).metrics[0]), ["speed"]);
    assert!(!bench.leaks("Secret") && !bench.leaks("Invented"));
}

#[test]
fn held_instances_of_a_denied_type_are_not_told() {
    let mut bench = Bench::new(RATED);
    let hidden = || vec![member("a", text("HiddenValue"))];
    let metrics = vec![definition("SecretType", hidden()), count(), null("Motor1")];
    assert_eq!(born(&mut bench, metrics), ["x", "Motor1"]);
    bench.node("NDATA", vec![by_name("x", Value::Int(2))]);
    bench.node("NDATA", vec![data("Motor1", "SecretType", hidden())]);
    bench.pass(1500);
    bench.tick();
    assert_eq!(bench.dropped_metrics(Reason::Denied), 1);
    assert!(!bench.leaks("HiddenValue") && !bench.leaks("SecretType"));
}

#[test]
fn an_instance_held_for_its_rate_is_told_with_its_type() {
    let mut bench = Bench::new(RATED);
    let metrics = vec![definition("Motor", motor()), count(), null("Motor1")];
    assert_eq!(born(&mut bench, metrics), ["x", "Motor1"]);
    // Where another birth may bring values past the rate.
    bench.pass(1500);
    bench.node("NDATA", vec![by_name("x", Value::Int(2))]);
    assert!(bench.node("NDATA", vec![data("Motor1", "Motor", motor())]).is_empty());
    let frames = relayed(&bench.tick());
    assert_eq!(verbs(&frames), "NBIRTH");
    let birth = payload(&frames[0]);
    assert_eq!(names_of(&birth), ["bdSeq", "Motor", "x", "Motor1"]);
    assert_eq!(member_names(&birth.metrics[3]), ["speed"]);
    assert!(!bench.leaks("Secret"));
}

#[test]
fn a_reload_tells_held_instances_without_what_the_new_policy_denies() {
    let mut bench = Bench::new(RATED);
    let motor = || vec![member("speed", text("1")), member("LateSecret", text("LateValue"))];
    born(&mut bench, vec![definition("Motor", vec![]), count(), null("Motor1"), null("Motor2")]);
    bench.node("NDATA", vec![by_name("x", Value::Int(2))]);
    bench.node("NDATA", vec![data("Motor1", "Motor", motor())]);
    let frames = bench.reload(
        r#"
        [[rule]]
        name = "motors"
        action = "forward"
        group = "G"
        deny-metrics = ["**/LateSecret", "x"]
        "#,
    );
    assert_eq!(verbs(&frames), "NBIRTH");
    assert!(!bench.leaks("LateSecret") && !bench.leaks("LateValue"));
}

#[test]
fn a_definition_is_judged_where_the_instance_is_null() {
    let mut bench = Bench::new(NO_SECRETS);
    let drive = || vec![member("amps", text("1")), secret()];
    let metrics = vec![
        definition("Drive", drive()),
        definition("Motor", vec![member("Drive", inner("Drive", drive()))]),
        instance("Motor1", "Motor", vec![null("Drive")]),
    ];
    assert_eq!(born(&mut bench, metrics), ["Drive", "Motor", "Motor1"]);
    assert!(!bench.leaks("SecretValue"));
}

#[test]
fn what_the_nbirth_does_not_define_does_not_cross() {
    let mut bench = Bench::new(NO_SECRETS);
    let metrics = vec![
        definition("Motor", vec![member("Drive", inner("Nowhere", vec![secret()]))]),
        instance("Motor1", "Motor", vec![null("Drive")]),
        instance("Motor2", "SecretType", vec![]),
        count(),
    ];
    assert_eq!(born(&mut bench, metrics), ["x"]);
    assert_eq!(bench.dropped_metrics(Reason::TypeMismatch), 3);
    bench.node("NDATA", vec![data("Motor1", "Motor", vec![secret()])]);
    assert!(!bench.leaks("Secret") && !bench.leaks("Nowhere"));
}

#[test]
fn an_instance_of_a_definition_that_contains_a_denied_type_does_not_cross() {
    let mut bench = Bench::new(NO_SECRETS);
    let drive = inner("SecretType", vec![member("a", text("HiddenValue"))]);
    let metrics = vec![
        definition("SecretType", vec![member("a", text("HiddenValue"))]),
        definition("Motor", vec![member("Drive", drive)]),
        instance("Motor1", "Motor", vec![null("Drive")]),
    ];
    assert!(born(&mut bench, metrics).is_empty());
    assert!(!bench.leaks("HiddenValue") && !bench.leaks("SecretType"));
}

#[test]
fn names_that_occur_twice_make_a_definition_unusable() {
    let parameter = || Parameter { name: Some("m".into()), r#type: Some(12), value: None };
    let twice = [
        (vec![member("m", text("a")), member("m", inner("Drive", vec![secret()]))], vec![]),
        (vec![member("m", text("a"))], vec![parameter()]),
        (vec![], vec![parameter(), parameter()]),
    ];
    for (metrics, parameters) in twice {
        let mut bench = Bench::new(NO_SECRETS);
        let template =
            Template { metrics, parameters, is_definition: Some(true), ..Template::default() };
        let metrics = vec![
            definition("Drive", vec![secret()]),
            typed("Motor", DataType::Template, Value::Template(Box::new(template))),
            instance("Motor1", "Motor", vec![]),
        ];
        assert!(born(&mut bench, metrics).is_empty());
        assert_eq!(bench.dropped_metrics(Reason::MalformedPayload), 2);
    }
}

#[test]
fn an_instance_has_each_member_once() {
    let mut bench = Bench::new(NO_SECRETS);
    let twice = || vec![member("m", text("a")), member("m", inner("Motor", vec![secret()]))];
    let motor = definition("Motor", vec![member("m", text(""))]);
    let metrics = vec![motor, instance("Motor1", "Motor", twice())];
    assert_eq!(born(&mut bench, metrics), ["Motor", "Motor1"]);
    let frames = bench.node("NDATA", vec![data("Motor1", "Motor", twice())]);
    assert_eq!(member_names(&payload(&frames[0]).metrics[0]), ["m"]);
    assert!(!bench.leaks("Secret"));
}

#[test]
fn a_type_is_scrubbed_by_whatever_name_it_is_referred_to() {
    let mut bench = Bench::new(NO_SECRETS);
    for reference in ["X", "_types_/X", "_types_/_types_/X"] {
        let metrics =
            vec![definition("_types_/X", motor()), instance("Motor1", reference, motor())];
        let names = born(&mut bench, metrics);
        let is_told = names.iter().any(|name| name == "Motor1");
        assert_eq!(is_told, reference != "_types_/_types_/X", "{reference}");
    }
    assert!(!bench.leaks("Secret"));
}

#[test]
fn a_definition_is_judged_as_a_metric_of_the_node_too() {
    let mut bench = Bench::new(
        r#"
        [[rule]]
        name = "all"
        action = "forward"
        group = "G"
        deny-metrics = ["_types_/Motor/SecretTorque"]
        "#,
    );
    let metrics = vec![definition("_types_/Motor", motor()), instance("Motor1", "Motor", motor())];
    assert_eq!(born(&mut bench, metrics), ["_types_/Motor", "Motor1"]);
    assert!(!bench.leaks("Secret"));

    let mut bench = Bench::new(
        r#"
        [[rule]]
        name = "all"
        action = "forward"
        group = "G"
        [[rule]]
        name = "own"
        action = "deny"
        group = "G"
        node-only = true
        deny-metrics = ["**/Secret*"]
        "#,
    );
    bench.node("NBIRTH", vec![bd_seq(0), definition("Motor", motor())]);
    let frames = bench.node("DBIRTH/D", vec![instance("Motor1", "Motor", motor())]);
    assert_eq!(verbs(&frames), "NBIRTH DBIRTH");
    assert!(!bench.leaks("Secret"));
}

#[test]
fn values_that_do_not_fit_their_members_do_not_cross() {
    let mut bench = Bench::new(&no(r#"["String", "Text"]"#));
    let parameters = |value| {
        vec![Parameter { name: Some("p".into()), r#type: Some(DataType::Int32.code()), value }]
    };
    let liar = || typed("m", DataType::Int32, text("SecretValue"));
    let lie = || parameters(Some(ParameterValue::String("SecretParameter".into())));
    let template = |is_definition: bool| {
        let template_ref = (!is_definition).then(|| "Motor".to_owned());
        let (metrics, parameters) = (vec![liar()], lie());
        let is_definition = Some(is_definition);
        Template { metrics, parameters, template_ref, is_definition, ..Template::default() }
    };
    let metrics = vec![
        typed("Motor", DataType::Template, Value::Template(Box::new(template(true)))),
        typed("Motor1", DataType::Template, Value::Template(Box::new(template(false)))),
    ];
    assert_eq!(born(&mut bench, metrics), ["Motor", "Motor1"]);
    assert_eq!(bench.node("NDATA", vec![data("Motor1", "Motor", vec![liar()])]).len(), 1);
    assert!(!bench.leaks("Secret"));
}

#[test]
fn parameters_are_denied_by_their_definition_s_datatype() {
    let mut bench = Bench::new(&no(r#"["Text"]"#));
    let parameters = |datatype: DataType| {
        let value = Some(ParameterValue::String("SecretValue".into()));
        vec![Parameter { name: Some("p".into()), r#type: Some(datatype.code()), value }]
    };
    let defined = Template {
        parameters: parameters(DataType::Text),
        is_definition: Some(true),
        ..Template::default()
    };
    let motor = Template {
        parameters: parameters(DataType::String),
        template_ref: Some("Motor".into()),
        ..Template::default()
    };
    let metrics = vec![
        typed("Motor", DataType::Template, Value::Template(Box::new(defined))),
        typed("Motor1", DataType::Template, Value::Template(Box::new(motor))),
    ];
    assert_eq!(born(&mut bench, metrics), ["Motor", "Motor1"]);
    assert!(!bench.leaks("SecretValue"));
}

#[test]
fn control_metrics_do_not_cross_as_definitions() {
    for name in ["Node Control/Reboot", "Device Control/x", "bdSeq", "Node Control/Rebirth"] {
        let mut bench = Bench::new(ALL);
        let frames = bench.node(
            "NBIRTH",
            vec![definition(name, vec![secret()]), instance("m", name, vec![secret()])],
        );
        let birth = payload(&frames[0]);
        assert!(
            birth.metrics.iter().all(|metric| !matches!(metric.value, Some(Value::Template(_))))
        );
        assert!(!bench.leaks("Secret"), "{name}");
    }
}

#[test]
fn a_text_without_a_datatype_may_be_any_kind_of_text() {
    let denied = no(r#"["Text"]"#);
    let mut bench = Bench::new(&denied);
    assert!(born(&mut bench, vec![by_name("note", text("SecretValue"))]).is_empty());
    let stored = bench.pipeline.store(0);
    bench.restart(stored, 1, &denied);
    bench.reload(&denied);
    assert!(!bench.leaks("SecretValue"));
    let mut bench = Bench::new(ALL);
    assert_eq!(born(&mut bench, vec![by_name("note", text("Value"))]), ["note"]);
}

#[test]
fn a_birth_of_refused_metrics_does_not_tell_the_device() {
    let policy = r#"
        [[rule]]
        name = "one"
        action = "forward"
        group = "G"
        allow-metrics = ["Motor1"]
    "#;
    let mut bench = Bench::new(policy);
    bench.node("NBIRTH", vec![bd_seq(0)]);
    assert!(bench.node("DBIRTH/SecretDevice", vec![by_name("y", Value::Int(1))]).is_empty());
    let stored = bench.pipeline.store(0);
    bench.restart(stored, 1, policy);
    assert!(!bench.leaks("SecretDevice"));
    assert_eq!(verbs(&bench.node("DBIRTH/Empty", vec![])), "DBIRTH");
}

#[test]
fn descriptions_of_a_definition_cross_only_if_a_rule_forwards_it() {
    let described = |mut metric: Metric| {
        let description = Some("SecretDescription".into());
        metric.metadata = Some(Box::new(MetaData { description, ..MetaData::default() }));
        metric
    };
    let motor = || described(definition("Motor", vec![described(member("speed", text("1")))]));
    for (policy, leaks) in [
        ("allow-metrics = [\"Motor1\"]\ndevice = \"D\"", false),
        ("allow-metrics = [\"Motor*\"]", true),
    ] {
        let mut bench = Bench::new(&format!(
            "[[rule]]\nname = \"d\"\naction = \"forward\"\ngroup = \"G\"\n{policy}\n"
        ));
        bench.node("NBIRTH", vec![bd_seq(0), motor()]);
        let frames = bench.node("DBIRTH/D", vec![instance("Motor1", "Motor", vec![])]);
        assert_eq!(verbs(&frames), "NBIRTH DBIRTH");
        assert_eq!(bench.leaks("SecretDescription"), leaks);
    }
}

/// `layers` definitions, each of whose members are instances of the next.
fn layers(layers: usize, members: usize, name_bytes: usize) -> Vec<Metric> {
    let layer = |layer: usize| {
        let member = |number: usize| {
            let name = format!("{}{layer}_{number}", "p".repeat(name_bytes));
            if layer + 1 < layers {
                member(&name, inner(&format!("L{}", layer + 1), vec![]))
            } else {
                member(&name, text("v"))
            }
        };
        definition(&format!("L{layer}"), (0..members).map(member).collect())
    };
    (0..layers).map(layer).collect()
}

#[test]
fn definitions_that_describe_more_than_a_birth_can_hold_are_refused() {
    // Of definitions that are too deep each is refused, beside their instance.
    let cases = [(5, 6, 900, 1), (4, 40, 8, 1), (16, 2, 8, 1), (20, 1, 8, 5)];
    for (depth, members, name_bytes, refused) in cases {
        let mut bench = Bench::new(NO_SECRETS);
        let mut birth = layers(depth, members, name_bytes);
        birth.extend([instance("Motor1", "L0", vec![]), count()]);
        assert_eq!(born(&mut bench, birth), ["x"], "{depth} {members} {name_bytes}");
        assert_eq!(bench.dropped_metrics(Reason::OverCap), refused);
        bench.node("NDATA", vec![data("Motor1", "L0", vec![])]);
        assert_eq!(bench.dropped_metrics(Reason::OverCap), refused + 1);
    }
    let mut bench = Bench::new(NO_SECRETS);
    let mut birth = layers(3, 8, 8);
    birth.push(instance("Motor1", "L0", vec![]));
    assert_eq!(born(&mut bench, birth), ["L0", "L1", "L2", "Motor1"]);
}

#[test]
fn a_metric_keeps_its_type_until_the_next_birth() {
    let mut bench = Bench::new(NO_SECRETS);
    let types = || vec![definition("Motor", motor()), definition("Pump", motor())];
    let mut metrics = types();
    metrics.push(instance("Motor1", "Motor", motor()));
    assert_eq!(born(&mut bench, metrics), ["Motor", "Motor1"]);
    let frames = bench.node("NDATA", vec![data("Motor1", "Pump", motor())]);
    assert_eq!(payload(&frames[0]).metrics[0].value, None);
    assert_eq!(bench.dropped(Reason::TypeMismatch), 1);
    let mut metrics = types();
    metrics.push(instance("Motor1", "Pump", motor()));
    // What was needed once stays as long as the definitions do.
    assert_eq!(born(&mut bench, metrics), ["Motor", "Pump", "Motor1"]);
    assert!(!bench.leaks("Secret"));
}

#[test]
fn members_that_data_invents_enter_nothing() {
    let mut bench = Bench::new(ALL);
    let speed = |value: &str| member("speed", text(value));
    let birth =
        vec![definition("Motor", vec![speed("1")]), instance("m", "Motor", vec![speed("1")])];
    born(&mut bench, birth);
    let before = bench.pipeline.store(0).encoded_len();
    for message in 0..5 {
        let invented = |number| member(&format!("i{message}-{number}"), text("v"));
        let mut members: Vec<Metric> = (0..100).map(invented).collect();
        members.push(speed("2"));
        let frames = bench.node("NDATA", vec![data("m", "Motor", members)]);
        assert_eq!(member_names(&payload(&frames[0]).metrics[0]), ["speed"]);
    }
    assert!(bench.pipeline.store(0).encoded_len() <= before + 16);
}

#[test]
fn data_changes_the_members_that_it_has() {
    let mut bench = Bench::new(ALL);
    let members =
        |values: [&str; 2]| vec![member("a", text(values[0])), member("b", text(values[1]))];
    let birth =
        vec![definition("Motor", members(["", ""])), instance("m", "Motor", members(["1", "2"]))];
    born(&mut bench, birth);
    bench.node("NDATA", vec![data("m", "Motor", vec![member("b", text("3"))])]);
    let frames = bench.reload(&no(r#"["Boolean"]"#));
    assert!(frames.is_empty());
    bench.pipeline.session(bench.now, false);
    let stored = bench.pipeline.store(0);
    let at = bench.journal.len();
    bench.restart(stored, at, ALL);
    let frames = bench.node("NDATA", vec![typed("late", DataType::Int8, Value::Int(1))]);
    let Some(Value::Template(template)) = value_of(&payload(&frames[0]), "m") else { panic!() };
    let values: Vec<_> = template.metrics.iter().map(|member| member.value.clone()).collect();
    assert_eq!(values, [Some(text("1")), Some(text("3"))]);
}
