//! `sparkdiode policy keygen|sign|verify`: whose policy it is.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use config::policies::load_sources;
use config::signature::beside;
use diagnostic::{SecretFile, SourceFile};
use signature::{
    KeyError, Manifest, NamedKey, Requirement, SignatureError, SignatureFile, Signed, SigningKey,
};
use text::{counted, escape, format_utc};
use tools::cases::read_policy;

use super::files::{PUBLIC_MODE, create, replace};
use crate::cli::policy_source::{problems, read_signature};
use crate::cli::{Exit, Failure, report};

/// Of a private key.
const KEY_MODE: u32 = 0o600;

/// Make a key with which policies are signed.
///
/// FILE gets the private key (PKCS #8, PEM, mode 0600, without a passphrase) and FILE.pub the
/// public one, which is also printed: that line belongs under `keys` of
/// `[policies.require-signature]`. Neither file is written over. Keep the private key away from
/// the relay and from everything on IT: who has it and can change the policies decides what
/// leaves the plant. `openssl genpkey -algorithm ed25519` makes keys of the same kind.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sparkdiode policy keygen -o alice.key --name alice")]
pub(super) struct KeygenArgs {
    /// The private key.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Whose key it is.
    #[arg(long, default_value = "")]
    name: String,
}

/// Sign a policy.
///
/// PATHs are the policy files and directories of the relay's `paths`. The signatures go into
/// `policy.sig` beside them, over the names and contents of all files, the version, and the relay
/// if one is given. A further key adds its signature to those that are there, if nothing has
/// changed. What has changed needs a higher version: a relay never goes back to a lower one. A
/// policy with an error is not signed.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  sparkdiode policy sign --key alice.key --version 7 policies\n  \
                  sparkdiode policy sign --key bob.key policies          the second of two people\n  \
                  sparkdiode policy sign --key alice.key --version 8 --relay plant-a policies"
)]
pub(super) struct SignArgs {
    /// Private key, mode 0600.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Number of this policy, higher than that of every earlier one. Not needed to add a
    /// signature.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    version: Option<u64>,
    /// The only relay (`name` in its `ot.toml`) that may take it.
    #[arg(long, value_name = "NAME", value_parser = relay_name)]
    relay: Option<String>,
    /// The signature file, if it isn't `policy.sig` beside the first PATH.
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// Policy files, directories of policies.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// Verify the signatures of a policy.
///
/// Says who signed which version, and exits with 0 only if the files are the signed ones and as
/// many of the given keys as are required signed them. Versions that were in force are known to
/// the relay alone: `sparkdiode check ot.toml` compares with them.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sparkdiode policy verify --key alice.key.pub policies\n  \
                  sparkdiode policy verify --key 'ed25519:mC5jhSdQ…= alice' --key bob.key.pub \
                  --threshold 2 policies")]
pub(super) struct VerifyArgs {
    /// Public key: as it was printed, or a file with it. May be given several times.
    #[arg(long = "key", value_name = "PUB", required = true)]
    keys: Vec<String>,
    /// How many of the keys must have signed.
    #[arg(long, value_name = "N", default_value_t = 1)]
    threshold: usize,
    /// The relay that is to take it.
    #[arg(long, value_name = "NAME", value_parser = relay_name)]
    relay: Option<String>,
    /// The signature file, if it isn't `policy.sig` beside the first PATH.
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// Policy files, directories of policies.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(super) fn keygen(arguments: &KeygenArgs) -> Result<Exit, Failure> {
    let KeygenArgs { output, name } = arguments;
    let key = SigningKey::generate().map_err(ours)?;
    let public = NamedKey { key: key.public().map_err(ours)?, name: String::new() };
    // Parsed as it will be read.
    let public: NamedKey = format!("{public} {name}")
        .parse()
        .map_err(|error: KeyError| Failure::new(Exit::Usage, error.to_string()))?;
    let mut public_path = output.clone().into_os_string();
    public_path.push(".pub");
    let public_path = PathBuf::from(public_path);
    create(output, key.to_pem().map_err(ours)?.as_bytes(), KEY_MODE)?;
    if let Err(failure) = create(&public_path, format!("{public}\n").as_bytes(), PUBLIC_MODE) {
        // Half a pair helps nobody.
        let _ = fs::remove_file(output);
        return Err(failure);
    }
    report::output(&format!(
        "private key  {}, for the machine on which policies are signed and no other\n\
         public key   {}, for `[policies.require-signature]`:\n\n  keys = [\"{}\"]\n",
        output.display(),
        public_path.display(),
        public.to_string().replace('\\', "\\\\").replace('"', "\\\"")
    ))?;
    Ok(Exit::Ok)
}

pub(super) fn sign(arguments: &SignArgs) -> Result<Exit, Failure> {
    let key = SecretFile::new(&arguments.key).read()?;
    let key = SigningKey::from_pem(key.expose().as_bytes()).map_err(|error| {
        Failure::new(Exit::Config, format!("{}: {error}", arguments.key.display()))
            .hint("`sparkdiode policy keygen` makes one")
    })?;
    let sources = load_sources(&arguments.paths)?;
    let (policy, warnings) = read_policy(&sources)?;
    report::warnings(&warnings);
    let path = signature_path(arguments.signature.as_deref(), &arguments.paths)?;
    let earlier =
        match read_signature(&path)? {
            Some(text) => Some(SignatureFile::parse(&text).map_err(|error| {
                Failure::from(problems(&path, [SignatureError::Malformed(error)]))
            })?),
            None => None,
        };
    let (mut file, added) = to_sign(arguments, &sources, earlier)?;
    let public = file.sign(&key).map_err(ours)?;
    replace(&path, &file.render())?;
    let Manifest { version, relay, files, .. } = &file.manifest;
    let relay =
        relay.as_ref().map_or_else(String::new, |relay| format!(" for the relay `{relay}`"));
    let signatures = counted(file.signers().count(), "signature");
    report::output(&format!(
        "{} version {version}{relay}: {} with {}\n  digest     {}\n  key        {public}\n  \
         in         {}, {signatures}\n",
        if added { "added a signature to" } else { "signed" },
        counted(files.len(), "file"),
        counted(policy.rules().len(), "rule"),
        policy.digest(),
        path.display(),
    ))?;
    Ok(Exit::Ok)
}

pub(super) fn verify(arguments: &VerifyArgs) -> Result<Exit, Failure> {
    let mut keys: Vec<NamedKey> = Vec::new();
    for text in &arguments.keys {
        let key = public_key(text)?;
        if !keys.iter().any(|other| other.key == key.key) {
            keys.push(key);
        }
    }
    if !(1..=keys.len()).contains(&arguments.threshold) {
        let title =
            format!("`--threshold {}` with {}", arguments.threshold, counted(keys.len(), "key"));
        return Err(Failure::new(Exit::Usage, title).hint("wanted 1 to the number of keys"));
    }
    let path = signature_path(arguments.signature.as_deref(), &arguments.paths)?;
    let requirement = Requirement {
        keys,
        threshold: arguments.threshold,
        file: path.clone(),
        relay: arguments.relay.clone(),
    };
    let sources = load_sources(&arguments.paths)?;
    let text = read_signature(&path)?;
    let verified = signature::verify(text.as_deref(), &sources, &requirement);
    let Signed { version, at, signers } = verified.map_err(|errors| problems(&path, errors))?;
    let (policy, warnings) = read_policy(&sources)?;
    report::warnings(&warnings);
    let mut said = format!(
        "good: version {version} of {} with {}, digest {}\n  signed at {}\n",
        counted(sources.len(), "file"),
        counted(policy.rules().len(), "rule"),
        policy.digest(),
        escape(&at)
    );
    for signer in signers {
        said.push_str(&format!("  by        {}\n", escape(&signer)));
    }
    report::output(&said)?;
    Ok(Exit::Ok)
}

/// What is to be signed: the manifest that is there, if it describes these files, or a new one.
fn to_sign(
    arguments: &SignArgs,
    sources: &[SourceFile],
    earlier: Option<SignatureFile>,
) -> Result<(SignatureFile, bool), Failure> {
    let version = arguments.version.or(earlier.as_ref().map(|file| file.manifest.version));
    let manifest = Manifest::of(
        sources,
        version.unwrap_or(1),
        arguments.relay.clone(),
        format_utc(clock::wall()),
    );
    let manifest = manifest.map_err(|error| Failure::new(Exit::Config, error.to_string()))?;
    let Some(earlier) = earlier else {
        if arguments.version.is_none() {
            return Err(Failure::new(Exit::Usage, "`--version N` is missing")
                .hint("nobody has signed this policy yet: begin with 1"));
        }
        return Ok((SignatureFile::new(manifest), false));
    };
    let before = &earlier.manifest;
    let same_relay = arguments.relay.is_none() || manifest.relay == before.relay;
    if manifest.digest == before.digest && manifest.version == before.version && same_relay {
        let others = earlier.signers().count();
        return Ok((earlier, others > 0));
    }
    if manifest.version <= before.version {
        let next = before.version.saturating_add(1);
        let title = match arguments.version {
            None => {
                format!("the policy isn't the one that was signed as version {}", before.version)
            }
            Some(version) => {
                format!(
                    "version {version} isn't higher than {}, which was signed before",
                    before.version
                )
            }
        };
        return Err(Failure::new(Exit::Config, title)
            .hint(format!("sign what has changed with `--version {next}`")));
    }
    Ok((SignatureFile::new(manifest), false))
}

fn signature_path(given: Option<&Path>, paths: &[PathBuf]) -> Result<PathBuf, Failure> {
    given
        .map(Path::to_owned)
        .or_else(|| paths.first().map(|path| beside(path)))
        .ok_or_else(|| Failure::new(Exit::Usage, "no PATH"))
}

/// A public key as text, or in a file.
fn public_key(text: &str) -> Result<NamedKey, Failure> {
    if text.starts_with("ed25519:") {
        let usage = |error: KeyError| Failure::new(Exit::Usage, error.to_string());
        return text.parse().map_err(usage);
    }
    let path = Path::new(text);
    let content = diagnostic::file::read_text(path)?;
    // What is in the file isn't shown: it could be a private key.
    let failure = || Failure::new(Exit::Config, format!("{}: not a public key", path.display()));
    content.parse().map_err(|_: KeyError| match content.contains("PRIVATE KEY") {
        true => failure().hint("that is a private key; give the file that ends in `.pub`"),
        false => failure().hint("`sparkdiode policy keygen` writes it beside the private one"),
    })
}

/// As `name` of an `ot.toml`.
fn relay_name(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter));
    if fits {
        Ok(text.to_owned())
    } else {
        Err("wanted: 1 to 64 of `A-Z a-z 0-9 . _ -`".to_owned())
    }
}

fn ours(error: KeyError) -> Failure {
    Failure::new(Exit::Software, error.to_string())
}
