//! Faults planted in text, each of which a rule must find: what the rules are worth.

use std::path::Path;

use super::rules::{
    Faults, impure_words, included_code, mqtt_client_outside_its_room, publications_in_ot,
    publications_of_a_subscriber, the_other_half, unsafe_outside_the_sandbox,
};
use super::source::File;

/// What `rule` finds in this text, as a file of this room; its module is made from its path.
fn found(rule: fn(&File) -> Faults, room: &str, module: &[&str], text: &str) -> Faults {
    let path = Path::new("src").join(room).join("planted.rs");
    let module = module.iter().map(|name| (*name).to_owned()).collect();
    rule(&File::new(room, &path, module, false, text))
}

#[track_caller]
fn assert_found(rule: fn(&File) -> Faults, room: &str, module: &[&str], text: &str, line: usize) {
    let faults = found(rule, room, module, text);
    let place = format!("planted.rs:{line}:");
    assert!(faults.iter().any(|fault| fault.contains(&place)), "{place} {faults:?}\n{text}");
}

#[track_caller]
fn assert_clean(rule: fn(&File) -> Faults, room: &str, module: &[&str], text: &str) {
    let faults = found(rule, room, module, text);
    assert!(faults.is_empty(), "{faults:?}\n{text}");
}

#[test]
fn unsafe_code_is_found_whatever_the_folder_is_called() {
    let block = "fn read() -> u8 {\n    unsafe { std::ptr::null::<u8>().read() }\n}";
    assert_found(unsafe_outside_the_sandbox, "tools", &["capture", "reader"], block, 2);
    assert_found(unsafe_outside_the_sandbox, "suite", &["tests"], block, 2);
    let in_a_macro = "macro_rules! peek {\n    ($at:expr) => { unsafe { *$at } };\n}";
    assert_found(unsafe_outside_the_sandbox, "tools", &[], in_a_macro, 2);
    let in_tests = "#[cfg(test)]\nmod tests {\n    unsafe extern \"C\" { fn getpid() -> i32; }\n}";
    assert_found(unsafe_outside_the_sandbox, "it", &["mirror"], in_tests, 3);
    let attribute = "#[unsafe(no_mangle)]\nfn malloc() {}";
    assert_found(unsafe_outside_the_sandbox, "text", &[], attribute, 1);
    let waived = "\n#![allow(unsafe_code, reason = \"faster\")]";
    assert_found(unsafe_outside_the_sandbox, "sparkplug", &[], waived, 2);
    let spoken_of = "//! No unsafe code.\nconst WORDS: &str = \"unsafe { }\"; // unsafe";
    assert_clean(unsafe_outside_the_sandbox, "text", &[], spoken_of);
}

#[test]
fn the_other_half_is_found_in_grouped_imports_too() {
    assert_found(the_other_half, "ot", &["connection"], "\nuse crate::{event, it};", 2);
    assert_found(the_other_half, "ot", &[], "use {text::escape, it::mirror::{Mirror, Node}};", 1);
    assert_found(the_other_half, "it", &["driver"], "use ot as plant;", 1);
    assert_found(the_other_half, "it", &["driver"], "fn f() { ::ot::watch(); }", 1);
    assert_found(the_other_half, "ot", &[], "extern crate it;", 1);
    assert_found(the_other_half, "ot", &[], "fn f() { println!(\"{}\", it::NAME); }", 1);
    let variable = "fn f(it: u8) -> u8 { text::grouped(it) }";
    assert_clean(the_other_half, "ot", &[], variable);
    assert_clean(
        the_other_half,
        "it",
        &["mirror"],
        "#[cfg(test)]\nmod tests { use ot::Pipeline; }",
    );
}

#[test]
fn a_publication_of_the_ot_half_is_found_by_any_name() {
    let connection = &["connection"][..];
    let method = "fn f(client: &AsyncClient) {\n    client.try_publish(1);\n}";
    for module in [connection, &["worker"], &["pipeline", "tests_of_more"]] {
        assert_found(publications_in_ot, "ot", module, method, 2);
    }
    for text in [
        "use rumqttc::PublishOptions;",
        "use rumqttc::{Packet, Publish as Outgoing, mqttbytes::v4::LastWill};",
        "fn f(o: &mut MqttOptions) { o.set_last_will(w); }",
        "fn f() { AsyncClient::publish(&client); }",
        "fn f() { let f = AsyncClient::publish; }",
        "fn f() { let request = Request::Publish(publish); }",
        "fn f(publish: impl Fn()) { publish(); }",
        "fn f() { tokio::select! { _ = client.publish(1) => {} } }",
        "trait Says { fn publish_now(&self); }",
        "enum Asked { Subscribe, Publish }",
        "use client::{Publisher, Message};",
        "use client::Will;",
        "fn f(publish: Publish) -> Delivered { taken(publish) }",
    ] {
        assert_found(publications_in_ot, "ot", connection, text, 1);
    }
    let incoming = "use client::{Event, Message};\n\
        fn taken(message: Message) -> Delivered { Delivered { topic: message.topic } }\n\
        #[cfg(test)]\nmod tests { fn f() { options.last_will(); } }";
    assert_clean(publications_in_ot, "ot", connection, incoming);
    assert_clean(publications_in_ot, "it", &["connection"], method);
}

#[test]
fn a_publication_of_a_subscriber_is_found() {
    for text in [
        "use crate::publisher::Will;",
        "impl Subscriber { fn f(&self) { self.0.publish(t, p, q); } }",
        "fn f() { three::leave(&mut options, something); }",
    ] {
        assert_found(publications_of_a_subscriber, "client", &["subscriber"], text, 1);
        assert_clean(publications_of_a_subscriber, "client", &["publisher"], text);
    }
}

#[test]
fn the_mqtt_client_is_found_outside_of_its_room() {
    let rule = mqtt_client_outside_its_room;
    assert_found(rule, "ot", &["worker"], "use {bytes::Bytes, rumqttc::AsyncClient};", 1);
    assert_found(rule, "it", &["driver"], "\nfn f(client: &rumqttc::AsyncClient) {}", 2);
    assert_found(rule, "ot", &["tests"], "extern crate rumqttc as broker;", 1);
    assert_found(
        rule,
        "it",
        &["mirror"],
        "fn f() { assert!(matches!(a, rumqttc::Packet::PingReq)); }",
        1,
    );
    assert_found(rule, "ot", &["connection"], "use rumqttc::AsyncClient;", 1);
    assert_found(rule, "broker", &["session_end"], "use rumqttc::StateError;", 1);
    // Nor does its room hand it on.
    assert_found(rule, "client", &["three"], "pub(crate) use rumqttc::AsyncClient as Any;", 1);
    assert_clean(rule, "client", &["three"], "use rumqttc::AsyncClient;");
    assert_clean(rule, "demo", &["plant"], "use rumqttc::AsyncClient;");
}

#[test]
fn clocks_files_and_sockets_are_found_in_pure_rooms() {
    let rule = impure_words;
    for text in [
        "use std::{collections::BTreeMap, fs};",
        "use std::net::TcpStream;",
        "use std as core_of; fn f() { core_of::fs::read(\"x\"); }",
        "fn f() -> bool { std::env::var(\"X\").is_ok() }",
        "fn f() { let now = std::time::Instant::now(); }",
        "use std::time::Instant;",
        "fn f() { let now = SystemTime::now(); }",
        "fn f() -> u64 { clock::wall_ms() }",
        "use clock::wall as today;",
        "fn f() { assert!(std::fs::exists(\"x\")); }",
        "extern crate std as s;",
        "fn f(path: &Path) -> bool { path.exists() }",
        "async fn f() { tokio::time::sleep(PAUSE).await; }",
    ] {
        assert_found(rule, "policy", &["plan"], text, 1);
        assert_found(rule, "it", &["mirror", "node"], text, 1);
        assert_clean(rule, "it", &["driver"], text);
    }
    let clean = "use std::time::{Duration, SystemTime};\n#[cfg(test)]\nuse std::fs;";
    assert_clean(rule, "ot", &["pipeline"], clean);
    // Not a test module, whatever it is called.
    assert_found(rule, "ot", &["pipeline", "tests"], "#[cfg(any(test, unix))]\nuse std::fs;", 2);
}

#[test]
fn included_code_is_found() {
    assert_found(included_code, "ot", &[], "include!(\"../it/driver.rs\");", 1);
    assert_clean(included_code, "ot", &[], "const PAGE: &str = include_str!(\"page.md\");");
}
