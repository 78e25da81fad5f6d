//! `[broker.tls]`, and the same of a target of the log: files, and the names that certificates must carry.

use std::path::Path;

use diagnostic::{Placed, SecretFile, Section};
use tls::{TlsConfig, TlsError, TlsIdentity};

use super::code;
use super::reader::Reader;
use super::servers::Named;

const TLS_KEYS: &[&str] = &["ca-file", "certificate-file", "key-file", "server-name"];
/// The keys of `[broker.tls]`.
const BROKER_TLS_KEYS: &[&str] =
    &["ca-file", "certificate-file", "key-file", "server-name", "server-names"];

/// TLS of a broker, with the name of each of its servers.
pub(super) fn read_broker_tls(
    reader: &mut Reader,
    section: Section<'_, '_>,
    named: Option<&Named>,
) -> Option<(TlsConfig, Vec<String>)> {
    let mut section = section.with_keys(BROKER_TLS_KEYS);
    let own = section.list("server-names", &mut reader.problems);
    let hosts: Vec<String> =
        named.map(Named::all).unwrap_or_default().iter().map(|one| one.host.clone()).collect();
    if let Some(own) = own {
        return read_server_names(reader, section, (&own, named));
    }
    let has_one = section.key_span("server-name").is_some();
    let tls = read_tls_keys(reader, section, hosts.first().cloned())?;
    let names = match has_one {
        true => vec![tls.server_name.clone(); hosts.len()],
        false => hosts,
    };
    Some((tls, names))
}

/// The same where each server has a name of its own.
fn read_server_names(
    reader: &mut Reader,
    section: Section<'_, '_>,
    (own, named): (&Placed<Vec<Placed<String>>>, Option<&Named>),
) -> Option<(TlsConfig, Vec<String>)> {
    let wanted = named.map_or(0, |named| named.all().len());
    let problem = match (section.key_span("server-name"), named) {
        (Some(one), _) => {
            let title = "`server-name` and `server-names` exclude each other";
            let problem = reader.error(code::COMBINATION, one, title).label("one for all servers");
            Some(problem.also(own.span.clone(), "one for each"))
        }
        (None, Some(Named::One(_))) => {
            let title = "`server-names` without `addresses`";
            let problem = reader.error(code::COMBINATION, own.span.clone(), title);
            Some(problem.label("names the certificates of several servers").help("server-name"))
        }
        (None, Some(Named::Several(_))) if own.value.len() != wanted => {
            let title = format!("bad number of `server-names`: {}", own.value.len());
            let problem = reader.error(code::VALUE, own.span.clone(), title);
            Some(problem.label(format!("wanted {wanted}, one for each of `addresses`")))
        }
        (None, _) => None,
    };
    let is_wrong = problem.is_some();
    problem.into_iter().for_each(|problem| reader.push(problem));
    for name in own.value.iter().filter(|name| !is_server_name(&name.value)) {
        let title = format!("bad value of `server-names`: `{}`", name.value);
        let problem = reader.error(code::VALUE, name.span.clone(), title).label(SERVER_NAME);
        reader.push(problem);
    }
    let names: Vec<String> = own.value.iter().map(|name| name.value.clone()).collect();
    let tls = read_tls_keys(reader, section, names.first().cloned());
    if is_wrong {
        return None;
    }
    Some((tls?, names))
}

/// `host`: what is dialled, and is the server's name where no other is given.
pub(super) fn read_tls(
    reader: &mut Reader,
    section: Section<'_, '_>,
    host: Option<String>,
) -> Option<TlsConfig> {
    read_tls_keys(reader, section.with_keys(TLS_KEYS), host)
}

const SERVER_NAME: &str = "wanted a DNS name or an IP address";

fn is_server_name(name: &str) -> bool {
    rustls_pki_types::ServerName::try_from(name).is_ok()
}

fn read_tls_keys(
    reader: &mut Reader,
    mut section: Section<'_, '_>,
    host: Option<String>,
) -> Option<TlsConfig> {
    reader.required(&section, "ca-file", "\"plant-ca.pem\"");
    let ca = reader.path_under(&mut section, "ca-file");
    let certificate = section.string("certificate-file", &mut reader.problems);
    let key = section.string("key-file", &mut reader.problems);
    let server_name = reader.text(&mut section, "server-name", |name| {
        (!is_server_name(name)).then(|| SERVER_NAME.to_owned())
    });
    reader.close(&section);
    let identity = match (certificate, key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => {
            Some((reader.path("certificate-file", &certificate), reader.path("key-file", &key)))
        }
        (Some(certificate), None) => {
            let title = "`certificate-file` without `key-file`";
            let problem = reader.error(code::COMBINATION, certificate.span, title);
            reader.push(problem);
            return None;
        }
        (None, Some(key)) => {
            let title = "`key-file` without `certificate-file`";
            let problem = reader.error(code::COMBINATION, key.span, title);
            reader.push(problem);
            return None;
        }
    };
    let ca = ca?;
    let config = TlsConfig {
        ca_file: ca.path.clone(),
        identity: identity.as_ref().map(|(certificate, key)| TlsIdentity {
            certificate_file: certificate.path.clone(),
            key_file: SecretFile::new(&key.path),
        }),
        server_name: server_name.or(host)?,
    };
    let visible = ca.visible
        && identity.as_ref().is_none_or(|(certificate, key)| certificate.visible && key.visible);
    if visible {
        let span_of = |path: Option<&Path>| match &identity {
            Some((certificate, _)) if path == Some(&certificate.path) => certificate.span.clone(),
            Some((_, key)) if path == Some(&key.path) => key.span.clone(),
            _ => ca.span.clone(),
        };
        match tls::inspect(&config, reader.environment.now) {
            Ok(findings) => {
                for finding in findings {
                    let span = span_of(Some(&finding.path));
                    let problem = reader.warning(code::VALIDITY, span, finding.text);
                    reader.push(problem);
                }
            }
            Err(error) => {
                let code = match &error {
                    TlsError::File(_) => code::SECRET,
                    _ => code::CERTIFICATE,
                };
                let problem = reader.error(code, span_of(error.path()), error.to_string());
                let problem =
                    error.hint().into_iter().fold(problem, |problem, hint| problem.help(hint));
                reader.push(problem);
            }
        }
    }
    Some(config)
}
