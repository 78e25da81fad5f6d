//! Planted faults of a machine, each of which is named with its remedy, in one line.

use std::fs;
use std::path::Path;

use diagnostic::SourceFile;

use super::super::finding::Verdict;
use super::*;

/// A machine on which nothing is wrong: one interface, as `netns` sets it up.
fn machine() -> (tempfile::TempDir, Machine) {
    let root = tempfile::tempdir().unwrap();
    let machine = Machine { root: root.path().to_owned() };
    for (path, text) in [
        ("sys/class/net/eth1/carrier", "1\n"),
        ("sys/class/net/eth1/mtu", "1500\n"),
        ("sys/class/net/eth1/speed", "1000\n"),
        ("sys/class/net/eth1/flags", "0x1083\n"),
        ("proc/sys/net/ipv6/conf/eth1/disable_ipv6", "1\n"),
        ("proc/sys/net/core/rmem_max", "16777216\n"),
        (
            "proc/net/arp",
            "IP address       HW type     Flags       HW address            Mask     Device\n\
             127.0.0.9        0x1         0x2         02:00:00:00:00:09     *        eth0\n\
             192.168.77.2     0x1         0x6         02:00:00:00:00:02     *        eth1\n",
        ),
        (
            "proc/net/route",
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
             eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
             eth1\t004DA8C0\t00000000\t0001\t0\t0\t0\tFCFFFFFF\t0\t0\t0\n",
        ),
    ] {
        put(&machine, path, text);
    }
    (root, machine)
}

fn put(machine: &Machine, path: &str, text: &str) {
    let path = machine.at(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn send(rest: &str, pacing: &str) -> SendConfig {
    let text = format!(
        "[link]\nname = \"a\"\nkey-file = \"${{CREDENTIALS_DIRECTORY}}/k\"\n[[path]]\n\
         to = \"192.168.77.2:7400\"\n{rest}\n[pacing]\n{pacing}\n[journal]\npath = \"j\"\n\
         [state]\npath = \"s\"\n"
    );
    SendConfig::check(SourceFile::new("/none/send.toml", text)).unwrap().0
}

fn receive(path: &str) -> ReceiveConfig {
    let text = format!(
        "[link]\nname = \"a\"\nkey-file = \"${{CREDENTIALS_DIRECTORY}}/k\"\n[[path]]\n{path}\n\
         [journal]\npath = \"j\"\n[state]\npath = \"s\"\n"
    );
    ReceiveConfig::check(SourceFile::new("/none/receive.toml", text)).unwrap().0
}

/// What isn't good.
fn bad(findings: &[Finding]) -> Vec<String> {
    let bad = findings.iter().filter(|finding| finding.verdict != Verdict::Good);
    bad.map(|finding| {
        format!(
            "{:?} {}; {}",
            finding.verdict,
            finding.words,
            finding.remedy.as_deref().unwrap_or_default()
        )
    })
    .collect()
}

#[test]
fn a_machine_as_netns_makes_it_has_nothing_wrong() {
    let (_root, machine) = machine();
    for rest in ["", "interface = \"eth1\"", "interface = \"eth1\"\nfrom = \"127.0.0.1\""] {
        let found = machine.send(&send(rest, ""));
        assert_eq!(bad(&found), [""; 0]);
        assert!(found[0].words.contains("leaves by eth1"), "{found:?}");
    }
    put(&machine, "sys/class/net/eth1/flags", "0x1083\n");
    let found = machine.receive(&receive("listen = \"0.0.0.0:7400\"\ninterface = \"eth1\""));
    assert_eq!(bad(&found), [""; 0]);
    // What stays within the machine asks nobody.
    assert_eq!(bad(&machine.receive(&receive("listen = \"127.0.0.1:7400\""))), [""; 0]);
}

#[test]
fn each_planted_fault_of_a_sending_end_is_named_in_one_line() {
    let eth1 = "sys/class/net/eth1";
    for (file, text, wanted, remedy) in [
        (format!("{eth1}/carrier"), "0\n", "eth1 has no carrier", "ip link set eth1 up"),
        (
            format!("{eth1}/mtu"),
            "1499\n",
            "the MTU of eth1 is 1499, datagrams of 1472 bytes take 1500",
            "ip link set eth1 mtu 1500, or `datagram-bytes = 1471` at both ends",
        ),
        (
            format!("{eth1}/speed"),
            "100\n",
            "takes 836 Mb/s with headers, and eth1 has 100",
            "`[pacing] bytes-per-s` of at most 11365409",
        ),
        (
            "proc/net/arp".to_owned(),
            "IP address\n",
            "no static entry of 192.168.77.2 at eth1 (none)",
            "ip neigh replace 192.168.77.2 lladdr MAC dev eth1 nud permanent",
        ),
        (
            "proc/net/arp".to_owned(),
            "IP address\n192.168.77.2 0x1 0x2 02:00:00:00:00:02 * eth1\n",
            "(one that was asked for)",
            "nud permanent",
        ),
        (
            "proc/net/arp".to_owned(),
            "IP address\n192.168.77.2 0x1 0x6 02:00:00:00:00:02 * eth2\n",
            "at eth1 (none)",
            "nud permanent",
        ),
        (
            "proc/sys/net/ipv6/conf/eth1/disable_ipv6".to_owned(),
            "0\n",
            "IPv6 is on at eth1",
            "sysctl -w net.ipv6.conf.eth1.disable_ipv6=1",
        ),
        (
            "proc/net/route".to_owned(),
            "Iface\n",
            "no interface leads to 192.168.77.2",
            "sparkdiode-tool send doctor",
        ),
    ] {
        let (_root, machine) = machine();
        put(&machine, &file, text);
        let found = bad(&machine.send(&send("", "")));
        assert_eq!(found.len(), 1, "{file}: {found:?}");
        assert!(found[0].contains(wanted) && found[0].contains(remedy), "{file}: {found:?}");
        assert!(!found[0].contains('\n'));
    }
    let (_root, machine) = machine();
    let found = bad(&machine.send(&send("interface = \"eth7\"", "")));
    assert!(found.len() == 1 && found[0].contains("no interface eth7 here"), "{found:?}");
    let found = bad(&machine.send(&send("from = \"203.0.113.9\"", "")));
    assert!(found.len() == 1 && found[0].contains("is no address of this machine"), "{found:?}");
    // Virtual interfaces have no speed.
    put(&machine, "sys/class/net/eth1/speed", "-1\n");
    assert_eq!(bad(&machine.send(&send("", "bytes-per-s = 12500000000"))), [""; 0]);
}

#[test]
fn each_planted_fault_of_a_receiving_end_is_named_in_one_line() {
    for (file, text, wanted, remedy) in [
        (
            "sys/class/net/eth1/flags",
            "0x1003\n",
            "Bad `eth1`: eth1 answers ARP",
            "ip link set eth1 arp off",
        ),
        (
            "proc/sys/net/ipv6/conf/eth1/disable_ipv6",
            "0\n",
            "Bad `eth1`: IPv6 is on at eth1",
            "disable_ipv6=1",
        ),
        ("sys/class/net/eth1/mtu", "576\n", "the MTU of eth1 is 576", "mtu 1500"),
        (
            "proc/sys/net/core/rmem_max",
            "212992\n",
            "gets 208.0 KiB of the 16.0 MiB",
            "sysctl -w net.core.rmem_max=16777216",
        ),
    ] {
        let (_root, machine) = machine();
        put(&machine, file, text);
        let config = receive("listen = \"0.0.0.0:7400\"\ninterface = \"eth1\"");
        let found = bad(&machine.receive(&config));
        assert_eq!(found.len(), 1, "{file}: {found:?}");
        assert!(found[0].contains(wanted) && found[0].contains(remedy), "{file}: {found:?}");
    }
}

#[test]
fn this_machine_says_what_is_asked_of_it() {
    let machine = Machine::this();
    assert!(Path::new("/sys/class/net/lo").exists());
    assert!(machine.number("lo", "mtu").is_some_and(|mtu| mtu >= 1_500));
    assert!(machine.buffer(1).verdict == Verdict::Good);
}
