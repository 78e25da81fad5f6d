//! The second lock: at both brokers the relay has the rights that follow from its policy, by the lists
//! that `sparkdiode policy acl` prints, and nobody with its name gets any further.

use std::net::SocketAddr;

use sparkplug::Value;

use crate::checker::Excuse;
use crate::client::Client;
use crate::metrics::{command, int, untyped};
use crate::peers::observer::Observer;
use crate::peers::raw_edge::RawEdge;
use crate::rig::{Rig, Variation};
use crate::waiting::wait_until;

const ONE_NODE: &str = r#"
[[rule]]
name = "one-node"
action = "forward"
group = "Plant"
edge-node = "E"
"#;

#[test]
fn the_relay_works_under_the_lists_of_its_policy_and_whoever_takes_its_place_gets_no_further() {
    let variation = Variation { lists: true, ..Variation::default() };
    let Some(mut rig) = Rig::prepare(ONE_NODE, &variation) else { return };
    rig.start_both();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1)]).unwrap();
    edge.dbirth("D", &[int("level", 1)]).unwrap();
    rig.wait_for("spBv1.0/Plant/DBIRTH/E/D", 1);
    edge.ddata("D", &[untyped(int("level", 2))]).unwrap();
    rig.wait_for_value("Plant/E/D", "level", 2);
    // Commands may be read on IT, and are answered there.
    let mut host = Client::plain(rig.it_address(), "host");
    let rebirth = command("Node Control/Rebirth", Value::Boolean(true));
    host.publish("spBv1.0/Plant/NCMD/E", rebirth.clone(), 1, false).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 2);
    // The status that says it is written from time to time: the one before the session can be there.
    let mut said = String::new();
    wait_until("a status of the session is there", || {
        let checked = rig.relay.run(&["check", "ot.toml"]);
        said = String::from_utf8_lossy(&checked.stdout).into_owned();
        said.contains("  broker      granted ")
    });
    assert!(said.contains("granted 6 of 6 subscriptions"), "{said}");

    // On OT nothing can be written, and nothing else be read.
    let ot_list = rig.ot_broker.list_address.unwrap();
    let mut taken = Client::plain(ot_list, "taken-over");
    taken.subscribe(&[("#", 1)]);
    // Mosquitto answers what it denies, once in a session.
    let write = |address: SocketAddr, topic: &str| {
        let mut client = Client::plain(address, "taken-over-too");
        client.publish(topic, rebirth.clone(), 1, false).unwrap();
    };
    for topic in ["spBv1.0/Plant/NCMD/E", "spBv1.0/Plant/NDATA/E"] {
        write(ot_list, topic);
    }
    let mut other = RawEdge::connect(rig.ot_address(), "Plant", "Secret");
    other.qos = 1;
    other.nbirth(&[int("recipe", 1)]).unwrap();
    edge.qos = 1;
    edge.ddata("D", &[untyped(int("level", 3))]).unwrap();
    wait_until("it reads what the policy forwards", || {
        taken.look(|arrivals| arrivals.iter().any(|one| one.publish.topic.ends_with("DDATA/E/D")))
    });
    let topics = |client: &Client| {
        client.look(|all| all.iter().map(|one| one.publish.topic.clone()).collect::<Vec<_>>())
    };
    assert!(!topics(&taken).iter().any(|topic| topic.contains("Secret")), "{:?}", topics(&taken));
    assert_eq!(rig.ot.count("spBv1.0/Plant/NDATA/E"), 0, "somebody else's data is there");
    rig.no_command_on_ot();

    // On IT it can write under the names of what crosses, and nowhere else.
    let seen = Observer::start(rig.it_address());
    let it_list = rig.it_broker.list_address.unwrap();
    for topic in ["spBv1.0/Plant/NDATA/F", "spBv1.0/Other/NBIRTH/E", "spBv1.0/Plant/NCMD/E", "x"] {
        write(it_list, topic);
    }
    write(it_list, "spBv1.0/Plant/DDATA/E/Mark");
    wait_until("what may be written is", || seen.count("spBv1.0/Plant/DDATA/E/Mark") == 1);
    for topic in ["spBv1.0/Plant/NDATA/F", "spBv1.0/Other/NBIRTH/E", "x"] {
        assert_eq!(seen.count(topic), 0, "{topic}");
    }
    assert_eq!(seen.count("spBv1.0/Plant/NCMD/E"), 0);
    rig.judge(Excuse::default());
}
