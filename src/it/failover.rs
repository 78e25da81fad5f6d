//! When all sessions go to another server of the broker. They do so together: a host at one server then
//! sees all nodes or none, and what is known of a server (whether it is up, its primary host's STATE) is
//! known of all sessions. Sans-IO.
//!
//! A server is left when no session stands there and every attempt that was under way has failed: the
//! failure of one node among thousands may be that node's affair. And where births wait for the primary
//! host, when that isn't online there (Sparkplug 3.0,
//! operational-behavior-primary-application-state-with-multiple-servers-walk).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use broker::{Next, Servers, Stay};

use crate::mirror::NodeId;

/// A session that stood for so long speaks for its server.
const LASTING: Duration = Duration::from_secs(10);
/// The primary host may be offline for so long, a restart say, until it is looked for elsewhere; twice as
/// long with each round in which it was nowhere …
const HOST_AWAY: Duration = Duration::from_secs(5);
/// … up to this.
const LONGEST_HOST_AWAY: Duration = Duration::from_secs(60);

/// Watches the sessions of a stay with one server.
#[derive(Debug)]
pub(super) struct Failover {
    servers: Arc<Servers>,
    stay: Stay,
    /// Those that were opened in this stay, and since when they stand.
    sessions: HashMap<NodeId, Option<Duration>>,
    /// Attempts that were under way when the first one failed, and haven't yet: they decide.
    undecided: Option<HashSet<NodeId>>,
    has_lasted: bool,
    host_away_since: Option<Duration>,
    host_away: Duration,
}

/// Another server is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) before: String,
    pub(super) now: String,
    pub(super) why: &'static str,
}

impl Failover {
    pub(super) fn new(servers: Arc<Servers>) -> Failover {
        let stay = servers.in_use().stay;
        Failover {
            servers,
            stay,
            sessions: HashMap::new(),
            undecided: None,
            has_lasted: false,
            host_away_since: None,
            host_away: HOST_AWAY,
        }
    }

    /// A session is opened with the server that is used.
    pub(super) fn opened(&mut self, node: NodeId) {
        self.sessions.insert(node, None);
    }

    /// The session of a node stands.
    pub(super) fn ready(&mut self, now: Duration, node: NodeId) {
        // One of an earlier stay says nothing of this server.
        if let Some(since) = self.sessions.get_mut(&node) {
            *since = Some(now);
            self.undecided = None;
        }
    }

    /// The mirror has closed a session, which says nothing of the server.
    pub(super) fn closed(&mut self, node: NodeId) {
        self.sessions.remove(&node);
        if let Some(undecided) = &mut self.undecided {
            undecided.remove(&node);
        }
    }

    /// A session is lost, or couldn't be had.
    pub(super) fn lost(&mut self, now: Duration, node: NodeId) -> Option<Moved> {
        let stood = self.sessions.remove(&node)?;
        if self.sessions.values().any(Option::is_some) {
            return None;
        }
        if self.has_lasted || stood.is_some_and(|since| has_lasted(now, since)) {
            // A broken connection isn't a broken server: it is tried once more.
            self.has_lasted = false;
            self.servers.lasted(self.stay);
            return None;
        }
        let is_decided = match &mut self.undecided {
            Some(undecided) => {
                undecided.remove(&node);
                undecided.is_empty()
            }
            None => {
                let undecided: HashSet<NodeId> = self.sessions.keys().copied().collect();
                let is_decided = undecided.is_empty();
                self.undecided = Some(undecided);
                is_decided
            }
        };
        if !is_decided {
            return None;
        }
        self.undecided = None;
        let why = if stood.is_some() { "its sessions end soon" } else { "it can't be used" };
        self.leave(why).map(|(moved, _)| moved)
    }

    /// Looks at what lasts. `is_host_away`: births wait for a primary host that isn't online.
    pub(super) fn look(&mut self, now: Duration, is_host_away: bool) -> Option<Moved> {
        self.has_lasted |= self.sessions.values().flatten().any(|since| has_lasted(now, *since));
        let stands = self.sessions.values().any(Option::is_some);
        if !is_host_away {
            (self.host_away_since, self.host_away) = (None, HOST_AWAY);
            return None;
        }
        if !stands || !self.servers.are_several() {
            self.host_away_since = None;
            return None;
        }
        let since = *self.host_away_since.get_or_insert(now);
        if now.saturating_sub(since) < self.host_away {
            return None;
        }
        let (moved, round_over) = self.leave("the primary host isn't online there")?;
        if round_over {
            self.host_away = self.host_away.saturating_mul(2).min(LONGEST_HOST_AWAY);
        }
        Some(moved)
    }

    /// The first server is to be used again.
    pub(super) fn return_to_first(&mut self) -> Option<Moved> {
        let before = self.servers.in_use().server.address();
        if !self.servers.return_to_first() {
            return None;
        }
        Some(self.begin(before, "the first server has been reachable for long enough"))
    }

    /// And whether all servers have been tried by that.
    fn leave(&mut self, why: &'static str) -> Option<(Moved, bool)> {
        let before = self.servers.in_use().server.address();
        match self.servers.failed(self.stay) {
            Next::Same => None,
            Next::Other { round_over, .. } => Some((self.begin(before, why), round_over)),
        }
    }

    fn begin(&mut self, before: String, why: &'static str) -> Moved {
        let in_use = self.servers.in_use();
        self.stay = in_use.stay;
        self.sessions.clear();
        (self.undecided, self.host_away_since, self.has_lasted) = (None, None, false);
        Moved { before, now: in_use.server.address(), why }
    }
}

fn has_lasted(now: Duration, since: Duration) -> bool {
    now.saturating_sub(since) >= LASTING
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests {
    use broker::{Addresses, Order, Server};

    use super::*;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);
    const C: NodeId = NodeId(3);

    fn failover(count: u16) -> Failover {
        let server = |port| Server {
            host: "b".to_owned(),
            port,
            addresses: Arc::new(Addresses::fixed(Vec::new())),
            tls: None,
        };
        let others = (2..=count).map(server).collect();
        Failover::new(Arc::new(Servers::new(server(1), others, Order::InOrder)))
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(100 + seconds)
    }

    fn opened(failover: &mut Failover, nodes: &[NodeId]) {
        nodes.iter().for_each(|node| failover.opened(*node));
    }

    fn to(moved: Option<Moved>) -> Option<String> {
        moved.map(|moved| moved.now)
    }

    #[test]
    fn a_server_is_left_when_all_attempts_under_way_have_failed() {
        let mut failover = failover(2);
        opened(&mut failover, &[A, B]);
        assert_eq!(to(failover.lost(at(0), A)), None, "the other may succeed");
        // What is tried after that doesn't put it off.
        opened(&mut failover, &[A, C]);
        assert_eq!(to(failover.lost(at(0), B)), Some("b:2".to_owned()));
        assert_eq!(to(failover.lost(at(0), C)), None, "of the earlier stay");
    }

    #[test]
    fn one_node_that_cannot_have_a_session_moves_nobody() {
        let mut failover = failover(2);
        opened(&mut failover, &[A, B]);
        assert_eq!(to(failover.lost(at(0), A)), None);
        failover.ready(at(0), B);
        for second in 0..100 {
            failover.opened(A);
            assert_eq!(to(failover.lost(at(second), A)), None);
        }
    }

    #[test]
    fn a_server_whose_sessions_lasted_is_tried_once_more_and_one_whose_sessions_end_soon_is_not() {
        let mut failover = failover(2);
        opened(&mut failover, &[A, B]);
        [A, B].into_iter().for_each(|node| failover.ready(at(0), node));
        assert_eq!(to(failover.lost(at(11), A)), None);
        assert_eq!(to(failover.lost(at(11), B)), None, "a broken connection");
        failover.opened(B);
        assert_eq!(to(failover.lost(at(12), B)), Some("b:2".to_owned()));
        failover.opened(A);
        failover.ready(at(13), A);
        assert_eq!(to(failover.lost(at(14), A)), Some("b:1".to_owned()));
    }

    #[test]
    fn that_one_lasted_is_known_when_the_last_to_go_is_a_young_one() {
        let mut failover = failover(2);
        opened(&mut failover, &[A, B]);
        failover.ready(at(0), A);
        assert_eq!(to(failover.look(at(20), false)), None);
        failover.ready(at(21), B);
        assert_eq!(to(failover.lost(at(22), A)), None);
        assert_eq!(to(failover.lost(at(22), B)), None);
    }

    #[test]
    fn what_the_mirror_closes_says_nothing_of_the_server() {
        let mut failover = failover(2);
        opened(&mut failover, &[A, B]);
        failover.ready(at(0), A);
        failover.closed(A);
        failover.closed(B);
        opened(&mut failover, &[A, B]);
        assert_eq!(to(failover.lost(at(1), A)), None);
        failover.closed(B);
        failover.opened(C);
        assert_eq!(to(failover.lost(at(1), C)), Some("b:2".to_owned()), "nobody else decides");
    }

    #[test]
    fn the_primary_host_is_looked_for_at_each_server_and_more_slowly_with_each_round() {
        let mut failover = failover(2);
        let (mut second, mut stays) = (0, Vec::new());
        for _ in 0..7 {
            failover.opened(A);
            failover.ready(at(second), A);
            let begun = second;
            while to(failover.look(at(second), true)).is_none() {
                second += 1;
            }
            stays.push(second - begun);
        }
        assert_eq!(stays, [5, 5, 10, 10, 20, 20, 40]);
        failover.opened(A);
        failover.ready(at(second), A);
        assert_eq!(to(failover.look(at(second), false)), None, "it is here");
        assert_eq!(to(failover.look(at(second + 100), true)), None);
        assert!(failover.look(at(second + 105), true).is_some());
        let mut only = self::failover(1);
        only.opened(A);
        only.ready(at(0), A);
        assert_eq!(to(only.look(at(0), true)), None);
        assert_eq!(to(only.look(at(1_000), true)), None);
    }

    #[test]
    fn the_first_is_returned_to_with_all_sessions() {
        let mut failover = failover(2);
        assert_eq!(to(failover.return_to_first()), None);
        failover.opened(A);
        assert_eq!(to(failover.lost(at(0), A)), Some("b:2".to_owned()));
        failover.opened(A);
        failover.ready(at(1), A);
        assert_eq!(to(failover.return_to_first()), Some("b:1".to_owned()));
        assert_eq!(to(failover.lost(at(2), A)), None, "it has left");
    }
}
