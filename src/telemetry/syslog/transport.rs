//! Which carrier takes the lines of a target.

use super::carrier::Carrier;
use super::line::Lines;
use super::local::{Form, Local};
use super::stream::Stream;
use super::udp::Udp;
use super::{LocalFormat, Target, Transport};

/// The carrier for a target.
pub(super) fn carrier(target: &Target, lines: Lines) -> Box<dyn Carrier> {
    match &target.transport {
        Transport::Journald { path } => Box::new(Local::new(path.clone(), Form::Journald, lines)),
        Transport::Local { path, format } => {
            let form = match format {
                LocalFormat::Rfc3164 => Form::Rfc3164,
                LocalFormat::Rfc5424 => Form::Rfc5424,
            };
            Box::new(Local::new(path.clone(), form, lines))
        }
        Transport::Udp { addresses } => Box::new(Udp::new(addresses.clone(), lines)),
        Transport::Tcp { addresses } => Box::new(Stream::plain(addresses.clone(), lines)),
        Transport::Tls { addresses, source, server_name } => {
            Box::new(Stream::tls(addresses.clone(), lines, source.clone(), server_name.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::line::Identity;
    use super::super::{Facility, Selection, Worker};
    use super::*;
    use crate::event::{Event, Severity};
    use crate::record::Record;

    /// What a server of the test's own reads of one line: its `sequenceId`, and how many lines
    /// it reports as lost.
    fn receive(server: &UdpSocket) -> (u64, u64) {
        let mut buffer = [0; 4_096];
        let bytes = server.recv(&mut buffer).unwrap();
        let line = std::str::from_utf8(&buffer[..bytes]).unwrap();
        let number = |before: &str| {
            let (_, rest) = line.split_once(before)?;
            rest.split('"').next()?.parse::<u64>().ok()
        };
        (number("sequenceId=\"").unwrap(), number(" lost=\"").unwrap_or(0))
    }

    /// Each line that is sent while nobody has the port is refused, which the sender sees.
    #[test]
    fn a_udp_server_that_was_away_gets_what_waited_and_the_number_of_what_was_lost() {
        const QUEUE: usize = 16;
        let server = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let address = server.local_addr().unwrap();
        let target = Target {
            name: "udp".into(),
            transport: Transport::Udp { addresses: vec![address] },
            min_severity: Severity::Info,
            selection: Selection::All,
            facility: Facility::Daemon,
            enterprise: 1,
            time_synced: false,
            queue_lines: QUEUE,
        };
        let identity = Identity { hostname: "gate-1".into(), half: "ot", process_id: 1 };
        let (stop, stopped) = crossbeam_channel::bounded(0);
        let (down, told_down) = crossbeam_channel::unbounded();
        let (queue, worker) = Worker::new(&target, &identity, stopped, Box::new(|_| {}));
        let worker = std::thread::spawn(move || {
            let reported = crate::capture::watch(move |record| {
                if record.event == Event::LogTargetDown {
                    let _ = down.send(());
                }
            });
            tracing::subscriber::with_default(reported, || worker.run(Duration::from_secs(20)))
        });
        let offer = |count: usize| {
            for _ in 0..count {
                queue.offer(&Arc::new(Record::new(UNIX_EPOCH, Event::CommandRefused)));
            }
        };
        offer(10);
        let mut last = 0;
        for number in 1..=10 {
            assert_eq!(receive(&server), (number, 0));
        }
        drop(server);
        // One is refused, and stays the next to be sent; the queue takes its number of others.
        offer(1);
        told_down.recv().unwrap();
        offer(100);
        let server = UdpSocket::bind(address).unwrap();
        let (mut arrived, mut reported) = (10, 0);
        while reported == 0 {
            let (sequence, lost) = receive(&server);
            assert!(sequence > last, "in order, none twice");
            (last, reported, arrived) = (sequence, lost, arrived + 1);
        }
        assert_eq!((arrived, reported), (10 + 1 + QUEUE as u64 + 1, 100 - QUEUE as u64));
        assert_eq!(arrived + reported, last, "every number is there, or reported");
        drop(stop);
        assert_eq!(worker.join().unwrap(), super::super::Shortfall::default());
    }
}
