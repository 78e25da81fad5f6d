//! What is left of the plant after a restart.

use account::Reason;
use journal_format::Body;
use prost::Message;
use sparkplug::{DataType, Metric, Payload, Value};

use super::bench::{
    ALL, Bench, aliased, bd_seq, by_alias, by_name, keyframed, names_of, payload, relayed, topics,
    typed, value_of, verbs,
};
use crate::Received;

fn running() -> Bench {
    running_with(false)
}

/// The same, all of it with QoS 1 or 0.
fn running_with(assured: bool) -> Bench {
    let mut bench = Bench::new(ALL);
    bench.assured = assured;
    let metrics = vec![
        bd_seq(1),
        aliased("temp", 1, DataType::Double, Value::Double(20.0)),
        aliased("mode", 2, DataType::String, Value::String("auto".into())),
    ];
    bench.node("NBIRTH", metrics);
    bench.node("DBIRTH/D", vec![aliased("x", 1, DataType::Int8, Value::Int(1))]);
    bench
}

#[test]
fn data_by_alias_is_read_after_a_restart_and_certain_again_if_nothing_was_missed() {
    let mut bench = running();
    bench.node("NDATA", vec![by_alias(1, Value::Double(21.0))]);
    let (stored, at) = (bench.pipeline.store(0), bench.journal.len());
    assert!(bench.restart(stored, at, ALL).is_empty());
    let uncertain = |bench: &Bench| {
        let keyframes: Vec<Body> = bench.pipeline.keyframes(bench.now).map(Body::from).collect();
        let keyframes = keyframed(&keyframes);
        assert_eq!(keyframes.len(), 2);
        keyframes[0].uncertain
    };
    assert!(uncertain(&bench));
    bench.pipeline.session(bench.now, true);
    let frames = bench.node("DDATA/D", vec![by_alias(1, Value::Int(2))]);
    assert_eq!(names_of(&payload(&frames[0])), ["x"]);
    assert!(!frames[0].loss_before);
    assert!(!uncertain(&bench));
}

#[test]
fn a_gap_over_a_restart_is_told() {
    let mut bench = running();
    let (stored, at) = (bench.pipeline.store(0), bench.journal.len());
    bench.restart(stored, at, ALL);
    bench.pipeline.session(bench.now, true);
    bench.lose();
    bench.node("DDATA/D", vec![by_alias(1, Value::Int(2))]);
    bench.pass(2000);
    assert!(relayed(&bench.tick())[0].loss_before);
}

#[test]
fn without_the_session_everything_is_uncertain_after_a_restart() {
    let mut bench = running();
    let (stored, at) = (bench.pipeline.store(0), bench.journal.len());
    bench.restart(stored, at, ALL);
    bench.pipeline.session(bench.now, false);
    assert!(bench.node("DDATA/D", vec![by_alias(1, Value::Int(2))])[0].loss_before);
}

#[test]
fn a_restart_neither_forgets_a_loss_nor_gives_its_number_to_another() {
    let mut bench = running();
    bench.pipeline.session(bench.now, false);
    let (stored, at) = (bench.pipeline.store(0), bench.journal.len());
    bench.pipeline.session(bench.now, false);
    let told = bench.node("NDATA", vec![by_alias(1, Value::Double(21.0))]);
    assert_eq!((told[0].loss_before, told[0].losses), (true, 2));
    bench.restart(stored, at, ALL);
    bench.pipeline.session(bench.now, true);
    // The sequence goes on, but from behind the loss.
    let next = bench.node("DDATA/D", vec![by_alias(1, Value::Int(2))]);
    let keyframes: Vec<Body> = bench.pipeline.keyframes(bench.now).map(Body::from).collect();
    assert!(keyframed(&keyframes)[0].uncertain);
    assert!(next[0].losses > 2 && keyframed(&keyframes)[1].losses == next[0].losses);
}

#[test]
fn a_sequence_that_goes_on_after_a_restart_does_not_end_a_loss_before_it() {
    // The loss is in the stored plant, or only in the frames behind it.
    for is_stored in [true, false] {
        let mut bench = running();
        let (stored, at) = (bench.pipeline.store(0), bench.journal.len());
        bench.pipeline.session(bench.now, false);
        bench.node("NDATA", vec![by_alias(1, Value::Double(21.0))]);
        let (stored, at) = match is_stored {
            true => (bench.pipeline.store(0), bench.journal.len()),
            false => (stored, at),
        };
        bench.restart(stored, at, ALL);
        bench.pipeline.session(bench.now, true);
        let data = Payload {
            seq: Some(bench.seq),
            metrics: vec![by_name("temp", Value::Double(22.0))],
            ..Payload::default()
        };
        let data = prost::Message::encode_to_vec(&data);
        let topic = "spBv1.0/G/NDATA/E";
        bench.receive(Received { topic, payload: &data, retain: false, dup: false, assured: true });
        let keyframes: Vec<Body> = bench.pipeline.keyframes(bench.now).map(Body::from).collect();
        assert!(keyframed(&keyframes)[0].uncertain, "{is_stored}");
    }
}

#[test]
fn values_after_the_last_store_come_from_the_journal() {
    let mut bench = running_with(true);
    let (stored, at) = (bench.pipeline.store(0), bench.journal.len());
    bench.node("NDATA", vec![by_alias(1, Value::Double(21.0))]);
    bench.node("NDATA", vec![typed("late", DataType::Int32, Value::Int(5))]);
    bench.node("DDEATH/D", vec![]);
    assert!(bench.restart(stored, at, ALL).is_empty());
    let keyframes: Vec<Body> = bench.pipeline.keyframes(bench.now).map(Body::from).collect();
    let keyframes = keyframed(&keyframes);
    assert_eq!(keyframes.len(), 1);
    let birth = <Payload as prost::Message>::decode(keyframes[0].payload.as_slice()).unwrap();
    assert_eq!(value_of(&birth, "temp"), Some(Value::Double(21.0)));
    assert_eq!(value_of(&birth, "late"), Some(Value::Int(5)));
    // Nobody knows where the sequence stood, but a broker that kept the session vouches for
    // what comes with QoS 1.
    bench.pipeline.session(bench.now, true);
    let data = Payload {
        seq: Some(99),
        metrics: vec![by_name("late", Value::Int(6))],
        ..Payload::default()
    };
    let data = prost::Message::encode_to_vec(&data);
    let topic = "spBv1.0/G/NDATA/E";
    bench.receive(Received { topic, payload: &data, retain: false, dup: false, assured: true });
    let keyframes: Vec<Body> = bench.pipeline.keyframes(bench.now).map(Body::from).collect();
    assert!(!keyframed(&keyframes)[0].uncertain);
}

#[test]
fn a_broker_vouches_for_no_node_that_sends_with_qos_0_as_well() {
    let mut bench = running();
    let (stored, at) = (bench.pipeline.store(0), bench.journal.len());
    bench.node("NDATA", vec![by_alias(1, Value::Double(21.0))]);
    bench.restart(stored, at, ALL);
    bench.pipeline.session(bench.now, true);
    bench.assured = true;
    bench.seq = 99;
    bench.node("DDATA/D", vec![by_alias(1, Value::Int(6))]);
    let keyframes: Vec<Body> = bench.pipeline.keyframes(bench.now).map(Body::from).collect();
    assert!(keyframed(&keyframes)[0].uncertain, "data of before may have been lost");
}

#[test]
fn what_the_broker_delivers_again_says_nothing_of_the_time_since() {
    let mut bench = running_with(true);
    let (stored, at) = (bench.pipeline.store(0), bench.journal.len());
    bench.restart(stored, at, ALL);
    bench.pipeline.session(bench.now, true);
    let birth = Payload {
        timestamp: Some(bench.now.wall_ms),
        seq: Some(0),
        metrics: vec![bd_seq(1), aliased("temp", 1, DataType::Double, Value::Double(20.0))],
        ..Payload::default()
    };
    let uncertain = |bench: &Bench| {
        let keyframes: Vec<Body> = bench.pipeline.keyframes(bench.now).map(Body::from).collect();
        let keyframe = keyframed(&keyframes).remove(0);
        (keyframe.uncertain, keyframe.unheard)
    };
    bench.deliver("spBv1.0/G/NBIRTH/E", &birth, false, true);
    assert_eq!(uncertain(&bench), (true, true));
    let data = |seq, value| Payload {
        timestamp: Some(bench.now.wall_ms),
        seq: Some(seq),
        metrics: vec![by_alias(1, Value::Double(value))],
        ..Payload::default()
    };
    let (again, new) = (data(1, 1.0), data(2, 2.0));
    let frames = bench.deliver("spBv1.0/G/NDATA/E", &again, false, true);
    assert!(frames[0].outdated && !frames[0].synthetic, "newer values may have been lost");
    assert_eq!(uncertain(&bench), (true, true));
    assert!(!bench.send("spBv1.0/G/NDATA/E", &new)[0].outdated);
    assert_eq!(uncertain(&bench), (false, false));
}

#[test]
fn values_that_a_policy_hides_are_unknown_after_a_kill() {
    let one = "[[rule]]\nname = \"one\"\naction = \"forward\"\ngroup = \"G\"\nallow-metrics = [\"temp\"]\n";
    let later = "[[rule]]\nname = \"later\"\naction = \"forward\"\ngroup = \"G\"\nnot-before = \"2099-01-01T00:00:00Z\"\n";
    let text = format!("{one}{later}");
    let mut bench = Bench::new(&text);
    let metrics = vec![
        bd_seq(1),
        typed("temp", DataType::Double, Value::Double(20.0)),
        typed("mode", DataType::String, Value::String("auto".into())),
    ];
    bench.node("NBIRTH", metrics);
    let (stored, at) = (bench.pipeline.store(0), bench.journal.len());
    bench.node("NDATA", vec![by_name("mode", Value::String("manual".into()))]);
    // Another policy shows it.
    let births = bench.restart(stored, at, ALL);
    assert_eq!(value_of(&payload(&births[0]), "temp"), Some(Value::Double(20.0)));
    assert_eq!(value_of(&payload(&births[0]), "mode"), None);
    bench.node("NDATA", vec![by_name("mode", Value::String("manual".into()))]);
    // What came since it was stored is missing.
    bench.pass(2_000);
    bench.tick();
    let keyframes: Vec<Body> = bench.pipeline.keyframes(bench.now).map(Body::from).collect();
    let birth = <Payload as Message>::decode(keyframed(&keyframes)[0].payload.as_slice()).unwrap();
    assert_eq!(value_of(&birth, "mode"), Some(Value::String("manual".into())));
}

#[test]
fn births_whose_aliases_were_not_stored_are_buried() {
    let mut bench = running();
    let (stored, at) = (bench.pipeline.store(0), bench.journal.len());
    bench.node("NBIRTH", vec![bd_seq(1), aliased("mode", 1, DataType::Int8, Value::Int(1))]);
    let frames = bench.restart(stored, at, ALL);
    assert_eq!(topics(&frames), ["spBv1.0/G/NDEATH/E"]);
    assert!(bench.node("NDATA", vec![by_alias(1, Value::Int(1))]).is_empty());
    bench.pass(2000);
    bench.tick();
    assert_eq!(bench.dropped(Reason::DataBeforeBirth), 1);
    // Without any stored plant, too: what readers hold for alive can't be followed.
    let mut bench = running();
    let frames = bench.restart(crate::plant::StoredPlant::default(), 0, ALL);
    assert_eq!(verbs(&frames), "NDEATH");
}

#[test]
fn what_is_delivered_again_after_a_kill_does_not_set_values_back() {
    let mut bench = running();
    let (stored, at) = (bench.pipeline.store(0), bench.journal.len());
    let data = |ms, value| {
        let metric = Metric { timestamp: Some(ms), ..by_alias(1, Value::Double(value)) };
        Payload { timestamp: Some(ms), seq: Some(2), metrics: vec![metric], ..Payload::default() }
    };
    let older = data(1_700_000_000_100, 21.0);
    bench.send("spBv1.0/G/NDATA/E", &older);
    bench.send("spBv1.0/G/NDATA/E", &Payload { seq: Some(3), ..data(1_700_000_000_200, 22.0) });
    bench.restart(stored, at, ALL);
    bench.pipeline.session(bench.now, true);
    let frames = bench.deliver("spBv1.0/G/NDATA/E", &older, false, true);
    assert_eq!(payload(&frames[0]).metrics[0].is_historical, Some(true));
    let keyframes: Vec<Body> = bench.pipeline.keyframes(bench.now).map(Body::from).collect();
    let node = Payload::decode(keyframed(&keyframes)[0].payload.as_slice()).unwrap();
    assert_eq!(value_of(&node, "temp"), Some(Value::Double(22.0)));
}

#[test]
fn births_without_aliases_are_learnt_from_the_journal_alone() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", vec![bd_seq(1), typed("temp", DataType::Double, Value::Double(20.0))]);
    bench.node("DBIRTH/D", vec![typed("x", DataType::Int8, Value::Int(1))]);
    bench.node("DDATA/D", vec![by_name("x", Value::Int(2))]);
    let frames = bench.restart(crate::plant::StoredPlant::default(), 0, ALL);
    assert!(frames.is_empty(), "nothing new: {:?}", topics(&frames));
    let keyframes: Vec<Body> = bench.pipeline.keyframes(bench.now).map(Body::from).collect();
    let keyframes = keyframed(&keyframes);
    assert_eq!(keyframes.len(), 2);
    assert!(keyframes[0].uncertain);
    let device = Payload::decode(keyframes[1].payload.as_slice()).unwrap();
    assert_eq!(value_of(&device, "x"), Some(Value::Int(2)));
    bench.pipeline.session(bench.now, true);
    let frames = bench.node("NDATA", vec![by_name("temp", Value::Double(21.0))]);
    assert_eq!(names_of(&payload(&frames[0])), ["temp"]);
    // A metric that didn't cross isn't known: it can't be read before the next birth.
    assert!(bench.node("NDATA", vec![by_alias(9, Value::Int(1))]).is_empty());
}

#[test]
fn a_policy_that_changed_meanwhile_takes_effect_at_the_start() {
    let mut bench = running();
    let (stored, at) = (bench.pipeline.store(0), bench.journal.len());
    let frames = bench.restart(
        stored,
        at,
        r#"
        [[rule]]
        name = "some"
        action = "forward"
        group = "G"
        deny-metrics = ["mode"]
        "#,
    );
    assert_eq!(verbs(&frames), "NBIRTH DBIRTH");
    assert_eq!(names_of(&payload(&frames[0])), ["bdSeq", "temp"]);
}
