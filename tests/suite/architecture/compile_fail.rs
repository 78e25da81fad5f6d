//! Misuse that must not compile: each case names the error that the compiler has for it, in a
//! comment on the line, and beside each stands what does compile.

mod compiler;

use self::compiler::{Found, compile, compile_with};

/// Marks a line that must not compile, before the code of the error.
const MARK: &str = "//~ ";

/// What the comments of `text` demand.
fn demanded(file: &str, text: &str) -> Vec<Found> {
    let lines = text.lines().enumerate();
    let demanded = lines.filter_map(|(at, line)| {
        let (_, code) = line.split_once(MARK)?;
        Some((file.to_owned(), at + 1, code.to_owned()))
    });
    demanded.collect()
}

/// Compiles `text` as a crate with the dependencies of `room`: it has the errors that its
/// comments demand, and no others.
#[track_caller]
fn fails(room: &str, text: &str) {
    let demanded = demanded("lib.rs", text);
    assert!(!demanded.is_empty(), "nothing is demanded of:\n{text}");
    assert_eq!(compile(room, text), demanded, "in a crate like {room}:\n{text}");
}

#[track_caller]
fn compiles(room: &str, text: &str) {
    assert_eq!(compile(room, text), [], "in a crate like {room}:\n{text}");
}

/// Compiles crate `room` with each text at the end of its file: it has the errors that their
/// comments demand, and no others.
#[track_caller]
fn fails_inside(room: &str, planted: &[(&str, &str)]) {
    let demanded: Vec<Found> =
        planted.iter().flat_map(|(file, text)| demanded(file, text)).collect();
    assert!(!demanded.is_empty());
    assert_eq!(compile_with(room, planted), demanded, "in {room}");
}

#[test]
fn the_ot_half_cannot_read_a_journal() {
    compiles("ot", "pub use journal_write::Writer;");
    fails("ot", "use journal_read::Reader; //~ E0432");
    fails("ot", "use journal_write::Reader; //~ E0432");
    fails("ot", "use journal_segment::cursor::Cursor; //~ E0433");
    fails("ot", "fn f() { journal_read::verify(); } //~ E0433");
}

#[test]
fn the_it_half_cannot_write_a_journal() {
    compiles("it", "pub use journal_read::Reader;");
    fails("it", "use journal_write::Writer; //~ E0432");
    fails("it", "use journal_read::Writer; //~ E0432");
    fails("it", "use journal_segment::files::create; //~ E0433");
}

#[test]
fn the_halves_cannot_name_each_other() {
    fails("ot", "use it::Opened; //~ E0432");
    fails("it", "use ot::Opened; //~ E0432");
    fails("ot", "extern crate it; //~ E0463");
    fails("it", "extern crate ot; //~ E0463");
}

#[test]
fn nobody_runs_a_half_without_the_proof_that_it_is_sealed() {
    compiles(
        "sparkdiode",
        "pub fn ot(opened: ot::Opened, sealed: &sandbox::Confined) { let _ = ot::run(opened, sealed); }
         pub fn it(opened: it::Opened, sealed: &sandbox::Confined) { let _ = it::run(opened, sealed); }",
    );
    fails(
        "sparkdiode",
        "pub fn ot(opened: ot::Opened) { let _ = ot::run(opened); } //~ E0061
         pub fn it(opened: it::Opened) { let _ = it::run(opened); } //~ E0061",
    );
    fails(
        "sparkdiode",
        "pub fn ot(opened: ot::Opened, demoted: &sandbox::Demoted) {
             let _ = ot::run(opened, demoted); //~ E0308
         }",
    );
}

#[test]
fn the_proof_that_a_process_is_sealed_has_no_other_maker() {
    fails(
        "sparkdiode",
        "use sandbox::{Confined, Role};
         pub fn forged(role: Role) -> Confined {
             Confined { role, ..todo!() } //~ E0451
         }",
    );
    fails(
        "sparkdiode",
        "use sandbox::Confined;
         pub fn by_default() -> Confined {
             Confined::default() //~ E0599
         }
         pub fn twice(sealed: &Confined) -> Confined {
             sealed.clone() //~ E0308
         }",
    );
    fails(
        "sparkdiode",
        "pub fn sealed_again(demoted: sandbox::Demoted, grants: &sandbox::Grants) {
             let _ = demoted.seal(grants);
             let _ = demoted.seal(grants); //~ E0382
         }",
    );
    // Nor is anybody demoted who didn't begin at the start.
    fails(
        "sparkdiode",
        "use sandbox::{Demoted, Role, Start};
         pub fn begun(role: Role) -> Start {
             Start { role } //~ E0451
         }
         pub fn demoted(role: Role) -> Demoted {
             Demoted { role, ..todo!() } //~ E0451
         }",
    );
}

#[test]
fn plant_data_is_admitted_by_judging_alone() {
    compiles(
        "ot",
        "use policy::{Admitted, AdmittedKind, Permit, Verdict};
         pub fn admitted(verdict: Verdict, topic: sparkplug::EntityTopic<'_>, kind: AdmittedKind) {
             let permit: Permit = verdict.permit().unwrap();
             let _ = Admitted::new(permit, \"\", topic, Vec::new(), 0, kind);
         }",
    );
    fails(
        "ot",
        "use policy::{AdmittedKind, Permit, Verdict, Admitted};
         pub fn forged(payload: Vec<u8>, kind: AdmittedKind) -> Admitted {
             Admitted { source: String::new(), topic: String::new(), payload, losses: 0, kind } //~ E0451
         }
         pub fn leave() -> Permit {
             Permit { judged: () } //~ E0451
         }",
    );
    fails(
        "ot",
        "pub fn by_default() -> (policy::Permit, policy::Admitted) {
             let permit = policy::Permit::default(); //~ E0599
             (permit, policy::Admitted::default()) //~ E0599
         }
         pub fn verdict(rule: account::RuleId) -> policy::Verdict {
             policy::Verdict::Forward { rule } //~ E0639
         }
         pub fn redacted(rule: account::RuleId) -> policy::Verdict {
             policy::Verdict::Redact { rule, forward: rule } //~ E0639
         }",
    );
}

#[test]
fn the_ot_half_has_no_way_to_publish() {
    let connection = "
fn planted(client: &Subscriber, session: &SessionHandle) {
    session.disconnect();
    let _ = client.subscribe(Vec::new(), Qos::AtLeastOnce);
    let _ = client.publish(\"topic\", Vec::new(), Qos::AtMostOnce); //~ E0599
    let _ = client.0.publish(\"topic\", Vec::new(), Qos::AtMostOnce); //~ E0616
    let _ = ::client::Publisher(todo!()); //~ E0423
}
";
    let worker = "
fn planted(session: &crate::connection::SessionHandle) {
    session.disconnect();
    let _ = session.client.subscribe(Vec::new(), todo!()); //~ E0616
}
";
    fails_inside("ot", &[("connection.rs", connection), ("worker.rs", worker)]);
}

#[test]
fn the_other_half_and_its_end_of_the_journal_cannot_be_imported_inside_of_a_half() {
    let it = "\nuse crate::{connection, it}; //~ E0432\n";
    let reader = "\nuse journal_read::Reader; //~ E0432\n";
    fails_inside("ot", &[("connection.rs", it), ("worker.rs", reader)]);
    let ot = "\nuse {ot::Pipeline, sparkplug::Topic}; //~ E0432\n";
    let writer = "\nuse journal_write::Writer; //~ E0432\n";
    fails_inside("it", &[("connection.rs", ot), ("driver.rs", writer)]);
}

#[test]
fn unsafe_code_does_not_compile_in_any_crate_but_the_sandbox() {
    let block = "pub fn read(at: *const u8) -> u8 {
        unsafe { at.read() } //~ unsafe_code
    }";
    let allowed = "#[allow(unsafe_code)] //~ E0453
        pub fn read(at: *const u8) -> u8 {
            unsafe { at.read() } //~ unsafe_code
        }";
    for room in ["sparkplug", "policy", "ot"] {
        compiles(room, "pub fn read(at: &u8) -> u8 { *at }");
        fails(room, block);
        fails(room, allowed);
    }
}
