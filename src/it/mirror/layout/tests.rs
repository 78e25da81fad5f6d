//! What births, data and keyframes make of a layout.

use sparkplug::Template;

use super::*;

fn metric(name: &str, value: f64) -> Metric {
    Metric {
        name: Some(name.into()),
        datatype: Some(DataType::Double.code()),
        timestamp: Some(5),
        value: Some(Value::Double(value)),
        ..Metric::default()
    }
}

fn fold(layout: &mut Layout, metric: &mut Metric) -> Folded {
    let name = metric.name.clone();
    layout.fold(name.as_deref(), metric, 1, false, 256, &mut Refusals::default())
}

fn layout(metrics: Vec<Metric>) -> Layout {
    Layout::from_birth(Payload { metrics, ..Payload::default() }, 1).0
}

#[test]
fn births_are_completed_and_control_metrics_left_out() {
    let nameless = Metric { name: None, ..metric("x", 1.0) };
    let untyped = Metric { datatype: None, ..metric("untyped", 1.0) };
    let valueless = Metric { value: None, timestamp: None, ..metric("valueless", 1.0) };
    let birth = Payload {
        timestamp: Some(77),
        metrics: vec![
            metric("a", 1.0),
            metric("a", 2.0),
            nameless,
            untyped,
            valueless,
            metric("Node Control/Reboot", 1.0),
            metric("Device Control/Reboot", 1.0),
            metric("bdSeq", 1.0),
            metric("Node Control/Rebirth", 1.0),
        ],
        ..Payload::default()
    };
    let (layout, refused) = Layout::from_birth(birth, 1);
    assert_eq!(refused, 5);
    let metrics: Vec<Metric> = layout.birth_metrics().map(Cow::into_owned).collect();
    assert_eq!(metrics.len(), 2);
    assert_eq!(metrics[0].value, Some(Value::Double(1.0)));
    assert_eq!(metrics[1].timestamp, Some(77));
    assert_eq!(metrics[1].is_null, Some(true));
}

#[test]
fn data_is_folded_in_and_historical_data_is_not() {
    let mut layout = layout(vec![metric("a", 1.0)]);
    let mut data = Metric { is_historical: Some(true), ..metric("a", 9.0) };
    assert_eq!(fold(&mut layout, &mut data), Folded::Known);
    assert_eq!(layout.birth_metrics().next().unwrap().value, Some(Value::Double(1.0)));
    let mut data = metric("a", 2.0);
    assert_eq!(fold(&mut layout, &mut data), Folded::Known);
    assert_eq!(data.datatype, None, "data carries no datatype");
    assert_eq!(layout.birth_metrics().next().unwrap().value, Some(Value::Double(2.0)));
    assert_eq!(fold(&mut layout, &mut metric("b", 2.0)), Folded::Unknown);
}

#[test]
fn a_stale_metric_is_born_with_quality_500_and_turns_good_with_its_next_value() {
    let mut layout = layout(vec![metric("a", 1.0), metric("b", 1.0)]);
    layout.mark_stale();
    let mut data = metric("a", 2.0);
    assert_eq!(fold(&mut layout, &mut data), Folded::Refreshed);
    assert_eq!(quality_of(&data), Some(QUALITY_GOOD));
    let births: Vec<Metric> = layout.birth_metrics().map(Cow::into_owned).collect();
    assert_eq!(quality_of(&births[0]), None);
    assert_eq!(quality_of(&births[1]), Some(QUALITY_STALE));
}

#[test]
fn members_of_a_template_instance_are_merged_one_by_one() {
    let instance = |members: Vec<Metric>| Metric {
        name: Some("motor".into()),
        datatype: Some(DataType::Template.code()),
        value: Some(Value::Template(Box::new(Template {
            metrics: members,
            template_ref: Some("Motor".into()),
            is_definition: Some(false),
            ..Template::default()
        }))),
        ..Metric::default()
    };
    let mut layout = layout(vec![instance(vec![metric("rpm", 1.0), metric("amps", 2.0)])]);
    let mut data = instance(vec![metric("amps", 3.0), metric("alien", 3.0)]);
    fold(&mut layout, &mut data);
    let Some(Value::Template(published)) = data.value else { panic!("a template") };
    assert_eq!(published.metrics.len(), 1, "hosts couldn't place the other one");
    let born = layout.birth_metrics().next().unwrap().into_owned();
    let Some(Value::Template(template)) = born.value else { panic!("a template") };
    let values: Vec<_> = template.metrics.iter().map(|m| m.value.clone()).collect();
    assert_eq!(values, [Some(Value::Double(1.0)), Some(Value::Double(3.0))]);
}

#[test]
fn differences_are_published_as_data() {
    let ours = layout(vec![metric("a", 1.0), metric("b", 1.0)]);
    let newer = layout(vec![metric("a", 1.0), metric("b", 2.0)]);
    assert!(ours.same_shape(&newer));
    let data = ours.differences(&newer);
    assert_eq!(data.len(), 1);
    assert_eq!(data[0].name.as_deref(), Some("b"));
    assert_eq!(data[0].datatype, None);
    assert!(!ours.same_shape(&layout(vec![metric("a", 1.0)])));
}
