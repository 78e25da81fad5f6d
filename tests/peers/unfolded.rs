//! What stands on IT of folded groups, as it would without: so that tests that say nothing of folds
//! run with them as well.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::Arrival;

/// Set: tests that start with a rig have their groups folded, but for [`OWN_SESSIONS`].
const FOLD: &str = "SPARKDIODE_TEST_FOLD";
/// Tests about what an edge node has alone without folds: its bdSeq and `Node Control/Rebirth`, the topic of
/// its commands, its name beside that of the relay's own, a connection and its pace, births within a session.
const OWN_SESSIONS: &[&str] = &[
    "e2e::access::the_relay_works_under_the_lists_of_its_policy_and_whoever_takes_its_place_gets_no_further",
    "e2e::aliases::a_strict_host_follows_aliases_over_births_restarts_and_rebirths",
    "e2e::aliases::large_births_are_compressed_where_that_is_asked_for",
    "e2e::commands::a_retained_rebirth_request_is_no_request",
    "e2e::commands::commands_other_than_rebirth_are_refused_and_never_reach_ot",
    "e2e::faults::descriptors_that_run_out_in_the_it_half_touch_nothing_else",
    "e2e::flow::an_edge_with_aliases_reaches_a_strict_host_in_order",
    "e2e::flow::the_will_of_an_edge_that_dies_reaches_it_and_the_next_session_is_new",
    "e2e::healing::a_gap_before_the_relay_marks_what_was_not_seen_since",
    "e2e::incidents::a_command_from_it_is_told_with_its_topic_and_what_it_would_have_written",
    "e2e::incidents::a_plant_that_has_the_name_of_the_relays_own_node_is_told",
    "e2e::large::a_birth_of_200_000_metrics_and_16_mib_crosses_with_two_keys_raised",
    "e2e::oversize::a_command_that_is_too_large_is_refused_and_its_node_comes_up",
    "e2e::paced::no_session_publishes_faster_than_the_broker_is_known_to_take_and_nothing_is_lost",
    "e2e::stale::silence_of_the_ot_half_is_the_death_of_every_node_until_it_speaks_again",
    "e2e::triggers::what_hosts_and_strangers_do_on_it_is_told",
    "e2e::watched::a_node_of_the_plant_cannot_pass_for_the_relay",
];
/// What a group is folded to where nothing else is asked for.
const EDGE_NODE: &str = "plant";

/// Whether the test that asks runs with folds.
pub fn is_asked_for() -> bool {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    std::env::var_os(FOLD).is_some() && !OWN_SESSIONS.contains(&test)
}

/// Each message as that of the edge node or device that it is of; the death of the group is the death
/// of each of its edge nodes.
pub fn unfold(arrivals: &[Arrival]) -> Vec<Arrival> {
    let mut alive: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    arrivals.iter().flat_map(|arrival| unfold_one(arrival, &mut alive)).collect()
}

fn unfold_one(arrival: &Arrival, alive: &mut BTreeMap<String, BTreeSet<String>>) -> Vec<Arrival> {
    let levels: Vec<&str> = arrival.publish.topic.split('/').collect();
    let with = |topic: String| {
        let mut arrival = arrival.clone();
        arrival.publish.topic = topic;
        arrival
    };
    match levels[..] {
        [space, group, "NDEATH", EDGE_NODE] => {
            let dead = alive.remove(group).unwrap_or_default();
            dead.iter().map(|node| with(format!("{space}/{group}/NDEATH/{node}"))).collect()
        }
        [_, _, "NBIRTH", EDGE_NODE] => Vec::new(),
        [space, group, verb, EDGE_NODE, name] => {
            let Some((node, device)) = sparkplug::unfolded_device(name) else {
                panic!("no folded name: {name}");
            };
            if let Some(device) = device {
                return vec![with(format!("{space}/{group}/{verb}/{node}/{device}"))];
            }
            let topic = format!("{space}/{group}/N{}/{node}", &verb[1..]);
            let of_group = alive.entry(group.to_owned()).or_default();
            match verb {
                "DBIRTH" => drop(of_group.insert(node)),
                "DDEATH" => drop(of_group.remove(&node)),
                _ => {}
            }
            vec![with(topic)]
        }
        _ => vec![arrival.clone()],
    }
}

/// How an entity (`group/edge node`, with or without `/device`) is called on IT.
pub fn folded(entity: &str) -> String {
    let levels: Vec<&str> = entity.split('/').collect();
    match levels[..] {
        [group, node, ref device @ ..] if node != EDGE_NODE => {
            let device = sparkplug::folded_device(node, device.first().copied());
            format!("{group}/{EDGE_NODE}/{device}")
        }
        _ => entity.to_owned(),
    }
}
