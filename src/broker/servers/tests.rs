//! Which server follows which.

use super::*;

fn servers(count: u16, order: Order) -> Servers {
    let server = |port| Server {
        host: "b".to_owned(),
        port,
        addresses: Arc::new(Addresses::fixed(Vec::new())),
        tls: None,
    };
    Servers::new(server(0), (1..count).map(server).collect(), order)
}

/// Fails so often in a row; which ones follow, with a stroke behind each round.
fn walk(servers: &Servers, times: usize) -> String {
    let mut path = servers.in_use().server.port.to_string();
    for _ in 0..times {
        match servers.failed(servers.in_use().stay) {
            Next::Same => path.push('='),
            Next::Other { now, round_over } => {
                path.push_str(if round_over { "|" } else { "" });
                path.push_str(&now.port.to_string());
                assert_eq!(now.port, servers.in_use().server.port);
            }
        }
    }
    path
}

#[test]
fn each_server_is_tried_once_in_a_round() {
    assert_eq!(walk(&servers(3, Order::InOrder), 7), "012|012|01");
    assert_eq!(walk(&servers(3, Order::Rotating), 7), "012|012|01");
    assert_eq!(walk(&servers(1, Order::InOrder), 3), "0===");
}

#[test]
fn after_a_session_the_order_says_who_follows() {
    for (order, path) in [(Order::InOrder, "102|012"), (Order::Rotating, "120|120")] {
        let servers = servers(3, order);
        assert!(matches!(servers.failed(servers.in_use().stay), Next::Other { .. }));
        servers.lasted(servers.in_use().stay);
        assert_eq!(walk(&servers, 5), path, "{order:?}");
    }
}

#[test]
fn of_a_pair_whose_sessions_end_soon_a_round_is_one_attempt_with_each() {
    for order in [Order::InOrder, Order::Rotating] {
        let servers = servers(2, order);
        assert_eq!(walk(&servers, 5), "01|01|01");
        servers.lasted(servers.in_use().stay);
        // The one that failed last isn't tried twice in a row.
        assert_eq!(walk(&servers, 4), "10|10|1");
    }
}

#[test]
fn what_is_said_of_an_earlier_stay_changes_nothing() {
    let servers = servers(2, Order::InOrder);
    let before = servers.in_use().stay;
    assert!(matches!(servers.failed(before), Next::Other { .. }));
    assert!(!servers.is_current(before));
    assert!(matches!(servers.failed(before), Next::Same));
    servers.lasted(before);
    assert_eq!(servers.in_use().server.port, 1);
}

#[test]
fn the_first_is_returned_to_and_another_one_begun_with() {
    let servers = servers(3, Order::Rotating);
    assert!(!servers.return_to_first());
    servers.begin_with("b:2");
    assert_eq!(servers.in_use().server.port, 2);
    servers.begin_with("c:1");
    assert_eq!(servers.in_use().server.port, 2, "no server of these");
    let before = servers.in_use().stay;
    assert!(servers.return_to_first() && servers.is_first() && !servers.is_current(before));
    assert_eq!(walk(&servers, 3), "012|0");
}
