//! `sparkdiode it`: the IT half.

use std::num::NonZeroU32;
use std::path::Path;

use bytes::Bytes;

use crate::config::{BrokerConfig, DataQos, ItConfig, OnGap, policies, tls};
use crate::it::{self, BrokerSettings, FirstStart, ItError, PolicyLoader, TlsSettings, mirror};
use crate::policy::Policy;
use crate::sparkplug::Caps;

/// Devices of one edge node that are mirrored; the OT half has a bound of its own.
const MAX_DEVICES_PER_NODE: usize = 10_000;

/// Why the IT half can't start with a configuration that is valid in itself.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    #[error(transparent)]
    Secret(#[from] crate::config::file::FileError),
    /// The policies, rendered for people.
    #[error("{0}")]
    Policies(String),
}

/// Turns the configuration into what the half runs with: secrets are read, policies compiled.
pub fn settings(config: ItConfig) -> Result<it::Settings, SettingsError> {
    let broker = broker(&config.broker, config.client_id_prefix.clone())?;
    let policy = match config.policy_paths.is_empty() {
        true => None,
        false => {
            let paths = config.policy_paths.clone();
            let loader: PolicyLoader = Box::new(move || load_policy(&paths));
            Some((loader().map_err(SettingsError::Policies)?, loader))
        }
    };
    let data_qos = match config.mirror.data_qos {
        DataQos::AtMostOnce => mirror::Qos::AtMostOnce,
        DataQos::AtLeastOnce => mirror::Qos::AtLeastOnce,
    };
    Ok(it::Settings {
        broker,
        journal_dir: config.journal_path,
        state_dir: config.state_dir,
        mirror: mirror::MirrorSettings {
            stale_after: config.mirror.stale_after,
            on_gap: match config.mirror.on_gap {
                OnGap::Mark => mirror::OnGap::Mark,
                OnGap::Death => mirror::OnGap::Death,
                OnGap::Ignore => mirror::OnGap::Ignore,
            },
            rebirth_min_interval: config.mirror.rebirth_min_interval,
            primary_host: config.mirror.primary_host,
            confirm_every: config.mirror.confirm_every,
            data_qos,
            max_nodes: config.mirror.max_nodes,
            max_devices_per_node: MAX_DEVICES_PER_NODE,
            backfill: config.backfill.enabled,
            caps: Caps::DEFAULT,
        },
        first_start: FirstStart::Oldest,
        connects_per_s: at_least_one(config.mirror.connects_per_s),
        backfill_per_s: at_least_one(config.backfill.messages_per_s),
        policy,
    })
}

/// Runs the half until it is told to stop.
pub fn run(config: ItConfig) -> Result<(), RunError> {
    let settings = settings(config)?;
    it::run(settings)?;
    Ok(())
}

/// Why the half ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    It(#[from] ItError),
}

fn broker(
    config: &BrokerConfig,
    client_id_prefix: String,
) -> Result<BrokerSettings, SettingsError> {
    let credentials = match &config.credentials {
        None => None,
        Some(credentials) => {
            let password = credentials.password.read()?;
            let password = Bytes::copy_from_slice(password.expose().as_bytes());
            Some((credentials.user.clone(), password))
        }
    };
    let tls = match &config.tls {
        None => None,
        Some(config) => Some(TlsSettings {
            config: tls::client_config(config)?,
            server_name: config.server_name.clone(),
        }),
    };
    Ok(BrokerSettings {
        host: config.address.host.clone(),
        port: config.address.port,
        client_id_prefix,
        credentials,
        keep_alive: config.keep_alive,
        max_packet_bytes: config.max_packet_bytes.try_into().unwrap_or(usize::MAX),
        tls,
    })
}

fn load_policy(paths: &[impl AsRef<Path>]) -> Result<Policy, String> {
    let paths: Vec<_> = paths.iter().map(|path| path.as_ref().to_owned()).collect();
    let sources = policies::load_sources(&paths).map_err(|problems| problems.to_string())?;
    let (policy, _) = Policy::parse(&sources).map_err(|problems| problems.to_string())?;
    Ok(policy)
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}
