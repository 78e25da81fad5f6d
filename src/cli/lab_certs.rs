//! `sparkdiode lab-certs`: throw-away certificates for a laboratory.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::ServerName;
use text::format_date;

use super::new_files::{NewFile, write_all};
use super::{Exit, Failure, report};

/// Names that every server certificate carries: both brokers of a laboratory are here.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Certificates begin an hour ago, since the clocks of two machines are never quite the same.
const CLOCK_SKEW: Duration = Duration::from_secs(3_600);

/// Make throw-away certificates for a laboratory, for both sides.
///
/// For each side (`ot`, `it`) an authority of its own, a server certificate for the broker, and a
/// client certificate for the relay. The keys of the authorities are not kept: nobody can sign
/// anything more with them. Nothing is overwritten. A plant uses its own PKI instead.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sparkdiode lab-certs lab/certs --host broker.lab.example")]
pub(super) struct LabCertsArgs {
    /// Directory for the files; made if it doesn't exist.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// One more name or IP address of the brokers, besides localhost, 127.0.0.1 and ::1.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// How long the certificates are valid.
    #[arg(long, value_name = "DAYS", default_value_t = 90,
          value_parser = clap::value_parser!(u16).range(1..=825))]
    days: u16,
}

pub(super) fn run(arguments: &LabCertsArgs) -> Result<Exit, Failure> {
    for host in &arguments.host {
        if ServerName::try_from(host.as_str()).is_err() {
            return Err(Failure::new(
                Exit::Usage,
                format!("not a DNS name or IP address: `{host}`"),
            ));
        }
    }
    let made = make(&arguments.host, arguments.days)?;
    write_all(&arguments.directory, &made.files)?;
    report::output(&summary(&arguments.directory, &made))?;
    Ok(Exit::Ok)
}

/// Certificates and keys of both sides.
pub(super) struct Made {
    pub(super) files: Vec<NewFile>,
    names: Vec<String>,
    until: SystemTime,
}

/// Makes them for both brokers, which are known by `hosts` besides the names of this machine.
pub(super) fn make(hosts: &[String], days: u16) -> Result<Made, Failure> {
    let names: Vec<String> =
        LOCAL_NAMES.iter().map(ToString::to_string).chain(hosts.iter().cloned()).collect();
    let now = clock::wall();
    let lifetime = Duration::from_secs(u64::from(days).saturating_mul(86_400));
    let until = now
        .checked_add(lifetime)
        .ok_or_else(|| Failure::new(Exit::Io, "the clock is at the end of time"))?;
    let mut files = Vec::new();
    for side in ["ot", "it"] {
        let made = make_side(side, &names, now, until);
        files.extend(made.map_err(|error| {
            Failure::new(Exit::Software, format!("cannot make certificates: {error}"))
        })?);
    }
    Ok(Made { files, names, until })
}

/// Authority, server and client of one side.
fn make_side(
    side: &str,
    names: &[String],
    now: SystemTime,
    until: SystemTime,
) -> Result<Vec<NewFile>, rcgen::Error> {
    let mut params = params(&format!("sparkdiode laboratory authority ({side})"), now, until);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let mut files = vec![NewFile::public(&format!("{side}-ca.pem"), authority.pem())];
    let roles = [
        ("server", format!("{side}-broker"), ExtendedKeyUsagePurpose::ServerAuth),
        ("client", format!("sparkdiode-{side}"), ExtendedKeyUsagePurpose::ClientAuth),
    ];
    for (role, common_name, usage) in roles {
        let mut params = self::params(&common_name, now, until);
        if role == "server" {
            params.subject_alt_names = CertificateParams::new(names.to_vec())?.subject_alt_names;
        }
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &authority)?;
        files.push(NewFile::public(&format!("{side}-{role}.pem"), certificate.pem()));
        files.push(NewFile {
            name: format!("{side}-{role}.key"),
            content: key.serialize_pem(),
            mode: 0o600,
        });
    }
    Ok(files)
}

fn params(common_name: &str, now: SystemTime, until: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "sparkdiode laboratory");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = now.checked_sub(CLOCK_SKEW).unwrap_or(now).into();
    params.not_after = until.into();
    params
}

fn summary(directory: &Path, made: &Made) -> String {
    let Made { files, names, until } = made;
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let at = absolute.display();
    let mut text =
        format!("made in {at}, for a laboratory only, valid until {}:\n", format_date(*until));
    for file in files {
        let what = match file.name.rsplit_once('-').map(|(_, rest)| rest) {
            Some("ca.pem") => "authority; its key was not kept",
            Some("server.pem") => "certificate of the broker",
            Some("server.key") => "its private key",
            Some("client.pem") => "certificate of the relay",
            _ => "its private key",
        };
        text.push_str(&format!("  {:04o}  {:<14}  {what}\n", file.mode, file.name));
    }
    text.push_str(&format!("brokers are known as: {}\n", names.join(", ")));
    text.push_str(&format!(
        "\nOT broker, mosquitto.conf:\n\
         \x20 listener 8883 127.0.0.1\n\
         \x20 cafile {at}/ot-ca.pem\n\
         \x20 certfile {at}/ot-server.pem\n\
         \x20 keyfile {at}/ot-server.key\n\
         \x20 require_certificate true\n\
         \x20 use_identity_as_username true\n\
         (a mosquitto that root starts reads the key as its own user: chown mosquitto {at}/*-server.key)\n\
         \nrelay, ot.toml:\n\
         \x20 [broker.tls]\n\
         \x20 ca-file = \"{at}/ot-ca.pem\"\n\
         \x20 certificate-file = \"{at}/ot-client.pem\"\n\
         \x20 key-file = \"{at}/ot-client.key\"\n\
         \nThe IT side is the same with `it-`.\n"
    ));
    text
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use diagnostic::SecretFile;
    use tls::{self, TlsConfig, TlsIdentity};

    use super::*;

    fn write(directory: &Path) -> Result<Exit, Failure> {
        run(&LabCertsArgs {
            directory: directory.to_owned(),
            host: vec!["broker.lab.example".to_owned()],
            days: 2,
        })
    }

    #[test]
    fn what_is_made_is_usable_private_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let certs = directory.path().join("a/b");
        assert_eq!(write(&certs).unwrap(), Exit::Ok);
        for side in ["ot", "it"] {
            for role in ["server", "client"] {
                let key = certs.join(format!("{side}-{role}.key"));
                let mode = fs::metadata(&key).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600);
                let config = TlsConfig {
                    ca_file: certs.join(format!("{side}-ca.pem")),
                    identity: Some(TlsIdentity {
                        certificate_file: certs.join(format!("{side}-{role}.pem")),
                        key_file: SecretFile::new(key),
                    }),
                    server_name: "localhost".to_owned(),
                };
                tls::client_config(&config).unwrap();
            }
        }
        // The first file that would be written is gone, and is not made again.
        fs::remove_file(certs.join("ot-ca.pem")).unwrap();
        let before = fs::read(certs.join("it-ca.pem")).unwrap();
        assert_eq!(write(&certs).unwrap_err().exit(), Exit::Io);
        assert!(!certs.join("ot-ca.pem").exists());
        assert_eq!(fs::read(certs.join("it-ca.pem")).unwrap(), before);
    }
}
