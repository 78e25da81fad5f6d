//! Tests what this kernel can enforce, layer by layer: each is applied to a thread of its own,
//! which then tries what it forbids.

use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::path::PathBuf;

use super::profile::Profile;
use super::seccomp::{Filters, Otherwise};
use super::{Grants, Layer, Level, Need, Role, landlock};

/// What was found about one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub layer: Layer,
    /// What was seen, in words: why it works, or why it doesn't.
    pub result: Result<String, String>,
}

/// Tries every layer that a kernel must have.
pub fn probe() -> Vec<Finding> {
    let abi = landlock::kernel_abi();
    Layer::ALL
        .into_iter()
        .filter(|layer| *layer != Layer::User)
        .map(|layer| Finding { layer, result: try_on_a_thread(layer, abi) })
        .collect()
}

fn try_on_a_thread(layer: Layer, abi: i32) -> Result<String, String> {
    let thread = std::thread::Builder::new().name(format!("probe {layer}"));
    let tried = thread.spawn(move || try_layer(layer, abi)).map_err(|error| error.to_string())?;
    tried.join().unwrap_or_else(|_| Err("the attempt failed".to_owned()))
}

fn try_layer(layer: Layer, abi: i32) -> Result<String, String> {
    let text = |error: io::Error| error.to_string();
    // Of the others alone: what this one needs isn't waived.
    let alone = waived_but(&[layer, Layer::Seccomp]);
    let level = Level::of(abi, &alone).map_err(|error| error.to_string())?;
    match layer {
        Layer::LandlockTcp | Layer::LandlockScopes if level.is_dialled() => {
            let needs = landlock::needs(layer);
            let profile = Profile::Sealed { role: Role::It, dialled: true };
            let filters = Filters::compile(profile, &[Need::UnixDatagrams], Otherwise::Refuse);
            filters.map_err(|error| error.to_string())?.install().map_err(no_filters)?;
            let seen = match layer {
                Layer::LandlockTcp => {
                    refused(TcpStream::connect(("127.0.0.1", 9)), "making a TCP socket")
                }
                _ => refused(UnixDatagram::unbound(), "making a socket of this machine"),
            };
            Ok(format!("by a dialling process and seccomp, as it needs {needs}: {}", seen?))
        }
        Layer::User => Ok("every Linux has users".to_owned()),
        Layer::LandlockFiles => {
            // Readable before, and not named afterwards.
            let path = PathBuf::from("/etc/passwd");
            File::open(&path).map_err(text)?;
            restrict_to(layer, abi)?;
            refused(File::open(&path), "opening a file that isn't named")
        }
        Layer::LandlockTcp => {
            let listener = TcpListener::bind("127.0.0.1:0").map_err(text)?;
            let address = listener.local_addr().map_err(text)?;
            TcpStream::connect(address).map_err(text)?;
            restrict_to(layer, abi)?;
            refused(TcpStream::connect(address), "connecting to a port that isn't named")
        }
        Layer::LandlockScopes => {
            let name = format!("sparkdiode-probe-{}", std::process::id());
            let name = SocketAddr::from_abstract_name(name).map_err(text)?;
            let _listener = UnixDatagram::bind_addr(&name).map_err(text)?;
            let socket = UnixDatagram::unbound().map_err(text)?;
            socket.connect_addr(&name).map_err(text)?;
            restrict_to(layer, abi)?;
            let socket = UnixDatagram::unbound().map_err(text)?;
            refused(socket.connect_addr(&name), "connecting to another's abstract socket")
        }
        Layer::Seccomp => {
            for role in Role::ALL {
                let profile = Profile::Sealed { role, dialled: role.is_of_link() };
                Filters::compile(profile, &[], Otherwise::Kill)
                    .map_err(|error| error.to_string())?;
            }
            // With local logs, which is all that a half may do with sockets of this machine.
            let profile = Profile::Sealed { role: Role::It, dialled: false };
            let filters = Filters::compile(profile, &[Need::UnixDatagrams], Otherwise::Refuse);
            let filters = filters.map_err(|error| error.to_string())?;
            let instructions = filters.instructions();
            filters.install().map_err(no_filters)?;
            let seen =
                refused(UdpSocket::bind("127.0.0.1:0"), "a socket that isn't in the profile")?;
            let met = "a stream to another process of this machine, which could answer,";
            let met = refused(UnixStream::connect("/run/dbus/system_bus_socket"), met)?;
            let unbound = UnixDatagram::unbound();
            unbound.map_err(|error| format!("a datagram socket for local logs: {error}"))?;
            Ok(format!("{seen}; {met}; {instructions} instructions"))
        }
    }
}

/// A kernel, or what stands in its place, without filters.
fn no_filters(error: io::Error) -> String {
    format!("the kernel can't enforce filters of system calls (seccomp): {error}")
}

fn waived_but(layers: &[Layer]) -> Vec<Layer> {
    Layer::ALL.into_iter().filter(|layer| !layers.contains(layer)).collect()
}

fn restrict_to(layer: Layer, abi: i32) -> Result<(), String> {
    landlock::restrict(&Grants::default(), &waived_but(&[layer]), abi)
        .map_err(|error| error.to_string())
}

fn refused<T>(result: io::Result<T>, what: &str) -> Result<String, String> {
    match result {
        Ok(_) => Err(format!("{what} was not refused")),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Ok(format!("{what} was refused"))
        }
        Err(error) => Err(format!("{what}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a layer works, the probe must not say that it doesn't; where it doesn't, the words
    /// for the operator must name what is missing.
    #[test]
    fn every_layer_is_found_to_work_or_to_be_missing() {
        for Finding { layer, result } in probe() {
            match result {
                Ok(seen) => assert!(seen.contains("was refused"), "{layer}: {seen}"),
                Err(why) => assert!(why.contains("can't enforce"), "{layer}: {why}"),
            }
        }
    }
}
