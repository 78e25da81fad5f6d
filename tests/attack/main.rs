//! Proof by attack: a program with exactly the rights of a half that was taken over tries what it
//! can against the other half. Each attack is run as root with nothing in its way, where it must
//! succeed or the test proves nothing; then with one layer at a time; then with all of them.
//!
//! ```console
//! # cargo test --test attack
//! # cargo test --test attack -- it journal        only the IT half's, of that name
//! # cargo test --test attack -- send link         only those of the link's sending end
//! # cargo test --test attack -- 6.1               only as on Linux 6.1 (Debian 12)
//! ```
//!
//! All of it three times: on this kernel, and as Linux 6.8 and 6.1 have Landlock, where a dialling process
//! and seccomp take over what that lacks.
//!
//! Prints the matrix attack × layer. Fails if an attack gets through all layers, if one can't be
//! made to succeed without any (unless the kernel refuses anyway, with the reason), and if one is
//! stopped by fewer than two layers without a reason. Needs root, since it becomes other users.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test: a failure is a panic, and it prints what it found"
)]

mod attacks;
mod bus;
mod child;
mod matrix;
mod scene;
mod third;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, Output, Stdio};

use attacks::{ATTACKS, Attack};
use matrix::{Column, Kernel, Outcome, REFUSED, WORKED, stopping};
use sandbox::Role;
use scene::{Place, Scene, Sockets};

const NAME_WIDTH: usize = 50;
/// Who is taken over, in this order.
const ROLES: [Role; 4] = [Role::It, Role::Ot, Role::Send, Role::Receive];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("victim") => child::victim(&arguments[1..]),
        Some("intrude") => child::intrude(&arguments[1..]),
        Some("conspire") => child::conspire(&arguments[1..]),
        Some("older") => return older(&arguments[1..]),
        _ => {}
    }
    if !rustix::process::geteuid().is_root() {
        return skipped("becoming other users needs root");
    }
    if let Some(missing) = sandbox::probe().iter().find(|found| found.result.is_err()) {
        return skipped(&format!("this kernel lacks {}", missing.layer));
    }
    let words: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    let sockets = Sockets::open();
    if !sockets.third.has_bus() {
        skipped("there is no `dbus-daemon`, at which both halves could meet");
    }
    let mut faults = Vec::new();
    let mut run = 0;
    // What has nothing to do with Landlock's version is tried once.
    let mut known: HashMap<(&str, &str, &str), Outcome> = HashMap::new();
    for (kernel, role) in
        Kernel::ALL.into_iter().flat_map(|kernel| ROLES.map(|role| (kernel, role)))
    {
        let found = on(kernel);
        let what = if role.is_of_link() { "end of the link" } else { "half" };
        println!("\nThe {role} {what}, taken over, on {found}\n");
        print!("{:NAME_WIDTH$}", "attack");
        for column in Column::ALL {
            print!(" {:13}", column.name());
        }
        println!(" stopped by");
        for attack in ATTACKS.iter().filter(|attack| attack.is_for(role)) {
            let wanted = |word: &&str| {
                [role.name(), kernel.name].contains(word) || attack.name.contains(*word)
            };
            if !words.iter().all(wanted) {
                continue;
            }
            run += 1;
            let outcomes: Vec<(Column, Outcome)> = Column::ALL
                .into_iter()
                .map(|column| {
                    let try_it = || attempt(attack, column, kernel, role, &sockets);
                    let outcome = match column.is_of_kernel() {
                        true => try_it(),
                        false => {
                            let what = (role.name(), attack.name, column.name());
                            known.entry(what).or_insert_with(try_it).clone()
                        }
                    };
                    (column, outcome)
                })
                .collect();
            print!("{:NAME_WIDTH$}", attack.name);
            for (_, outcome) in &outcomes {
                print!(" {:13}", outcome.text());
            }
            let layers = stopping(&outcomes);
            println!(" {}", if attack.control { "-".to_owned() } else { layers.len().to_string() });
            std::io::stdout().flush().unwrap();
            judge(attack, role, kernel, &outcomes, &layers, &mut faults);
        }
    }
    println!("\nReasons of attacks that fewer than two layers stop");
    for attack in ATTACKS.iter() {
        if let Some(why) = attack.kernel_refuses {
            println!("  {}: even with everything off, {why}", attack.name);
        }
        if let Some(why) = attack.missing_here {
            println!("  {}: not to be had everywhere: {why}", attack.name);
        }
        if let Some(why) = attack.bounded_outside {
            println!("  {}: not stopped by the half's layers; bounded by {why}", attack.name);
        }
        if let Some(why) = attack.reason {
            println!("  {}: {why}", attack.name);
        }
    }
    for fault in &faults {
        println!("FAILED: {fault}");
    }
    println!(
        "\n{run} attacks on {} kernels, {} ways each; {} faults",
        Kernel::ALL.len(),
        Column::ALL.len(),
        faults.len()
    );
    if faults.is_empty() && run > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `attack older ABI PROGRAM…`: runs a program, a whole container say, on a kernel whose Landlock is of
/// that version; for tests that aren't in Rust.
fn older(arguments: &[String]) -> ExitCode {
    let mut command = Command::new(&arguments[1]);
    command.args(&arguments[2..]);
    sandbox::on_kernel_with_landlock(&mut command, arguments[0].parse().unwrap());
    let code = command.status().unwrap().code().unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Says loudly that nothing was tested; CI fails on it.
fn skipped(why: &str) -> ExitCode {
    let line = format!("SKIPPED: attack: {why}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("SPARKDIODE_SKIP_LOG") {
        let mut log = std::fs::File::options().create(true).append(true).open(path).unwrap();
        log.write_all(line.as_bytes()).unwrap();
    }
    ExitCode::SUCCESS
}

/// What the columns of a kernel are called.
fn on(kernel: Kernel) -> String {
    match kernel.landlock {
        None => "this kernel".to_owned(),
        Some(abi) => format!(
            "Linux {} (Landlock ABI {abi}; what that lacks belongs to the column of seccomp)",
            kernel.name
        ),
    }
}

fn attempt(
    attack: &Attack,
    column: Column,
    kernel: Kernel,
    role: Role,
    sockets: &Sockets,
) -> Outcome {
    let scene = Scene::set(role, sockets);
    sockets.catch_up();
    let place = scene.place();
    let confederate = attack.confederate.map(|_| {
        let mut confederate = start("conspire", attack, column, kernel, &place.of_the_other());
        // It listens, or it has ended and said why.
        let mut line = String::new();
        let mut said = BufReader::new(confederate.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        (confederate, line, said)
    });
    let intruder = start("intrude", attack, column, kernel, place);
    let outcome = outcome_of(attack, column, &intruder.wait_with_output().unwrap());
    let Some((confederate, mut line, mut said)) = confederate else { return outcome };
    // Its input ends, so that it knows that the intruder is done.
    let mut output = confederate.wait_with_output().unwrap();
    said.read_to_string(&mut line).unwrap();
    output.stdout = line.trim_start_matches(child::LISTENING).as_bytes().to_vec();
    let met = outcome_of(attack, column, &output);
    if outcome == Outcome::Worked { met } else { outcome }
}

fn start(what: &str, attack: &Attack, column: Column, kernel: Kernel, place: &Place) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    if let Some(abi) = kernel.landlock {
        sandbox::on_kernel_with_landlock(&mut command, abi);
    }
    command
        .args([what, column.name(), attack.name, &place.to_json(), kernel.name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn outcome_of(attack: &Attack, column: Column, output: &Output) -> Outcome {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match (output.status.code(), output.status.signal()) {
        (Some(WORKED), _) => Outcome::Worked,
        (Some(REFUSED), _) => Outcome::Refused(said),
        (_, Some(libc::SIGSYS)) => Outcome::Killed,
        _ => panic!(
            "{} under {}: {} {said} {}",
            attack.name,
            column.name(),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}

fn judge(
    attack: &Attack,
    role: Role,
    kernel: Kernel,
    outcomes: &[(Column, Outcome)],
    layers: &[Column],
    faults: &mut Vec<String>,
) {
    let mut fault = |text: String| {
        faults.push(format!("{role}, {} kernel: {}: {text}", kernel.name, attack.name))
    };
    let of = |column: Column| &outcomes.iter().find(|(at, _)| *at == column).unwrap().1;
    if attack.control {
        for (column, outcome) in outcomes {
            let connects = attack.name.contains("connect") && column.namespaces();
            if *outcome != Outcome::Worked && !connects {
                fault(format!("a half couldn't work under {}: {outcome:?}", column.name()));
            }
        }
        return;
    }
    if attack.bounded_outside.is_some() {
        // A row that changed is a reason that is wrong by now.
        if *of(Column::All) != Outcome::Worked {
            fault("is stopped, and the list says that it isn't".into());
        }
        return;
    }
    if *of(Column::All) == Outcome::Worked {
        fault("gets through all layers".into());
    }
    match (of(Column::Off), attack.kernel_refuses) {
        (Outcome::Worked, None) => {
            if layers.len() < 2 && attack.reason.is_none() {
                fault(format!("only {layers:?} stop it, and no reason is given"));
            }
        }
        (Outcome::Worked, Some(_)) => fault("succeeds, though the kernel should refuse it".into()),
        (_, Some(_)) => {}
        _ if attack.missing_here.is_some() => {}
        (refused, None) => fault(format!("isn't possible even with everything off: {refused:?}")),
    }
}
