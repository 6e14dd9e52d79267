//! `autorma up`, and each stage as a process of its own.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use autorma_service::http::{Health, Server};
use autorma_service::roles::RoleLock;

use crate::configuration::Configuration;
use crate::home::{Home, INGEST, SINK};
use crate::metrics::Metrics;
use crate::pipeline::{Pipeline, Stage};

/// Runs these stages until a signal; then what is in hand is finished.
pub(crate) fn run(
    configuration: &Configuration,
    stages: &[Stage],
    command: &str,
) -> anyhow::Result<ExitCode> {
    if stages == Stage::ALL {
        configuration.expect_own_photos_readable()?;
    }
    let home = Home::open(configuration)?;
    let (_roles, slot) = take_roles(&home, configuration, stages, command)?;
    let metrics = Metrics::new(&home)?;
    let health = home.health();
    for stage in stages {
        // Not ready until it says so.
        health.stage(stage.name());
    }
    let _server = serve(configuration, &metrics, &health)?;
    let (pipeline, mut control) = Pipeline::new(configuration, &home, &metrics, &health);
    pipeline.report_signals()?;
    std::thread::scope(|scope| {
        let _stop = pipeline.stop_at_the_end();
        // Whoever reads is there before whoever writes.
        for stage in stages.iter().rev() {
            match stage {
                Stage::Ingest => pipeline.watch(scope),
                Stage::Classifier => pipeline.classify(scope, slot.clone(), own_drain(configuration, stages)),
                Stage::Sink => pipeline.sink(scope),
            }
        }
        while control.wait(&pipeline, Duration::from_secs(3600), |_| Ok(false))? {}
        tracing::info!("stopping: finishing what is in hand");
        // From here on, whatever the stages wait for: the log was told at the signal.
        let begun = Instant::now();
        if stages == Stage::ALL {
            pipeline.stop(Stage::Ingest);
            control.wait(&pipeline, Duration::from_secs(3600), |control| {
                Ok(!control.is_running(Stage::Ingest))
            })?;
            if !control.drain(&pipeline, begun)? {
                tracing::info!("not everything is classified yet: the next start continues");
            }
        }
        control.stop(&pipeline)
    })?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Takes the roles of these stages, for as long as nobody drops them, and the classifier's slot, if it is among them.
pub(crate) fn take_roles(
    home: &Home,
    configuration: &Configuration,
    stages: &[Stage],
    command: &str,
) -> anyhow::Result<(Vec<RoleLock>, String)> {
    let (mut roles, mut slot) = (Vec::new(), String::new());
    for stage in stages {
        match stage {
            Stage::Ingest => roles.push(home.take(INGEST, command)?),
            Stage::Sink => {
                roles.push(home.take(SINK, command)?);
                roles.push(home.take_output(configuration, command)?);
            }
            Stage::Classifier => {
                let (role, free) = home.take_classifier(configuration, command)?;
                roles.push(role);
                slot = free;
            }
        }
    }
    Ok((roles, slot))
}

/// How long the classifier, once it is asked to stop, may take for what it has read. Among all stages it is asked only when
/// everything is classified or the drain time is over: with one more of its own, a stop would take twice as long.
fn own_drain(configuration: &Configuration, stages: &[Stage]) -> Duration {
    if stages == Stage::ALL { Duration::ZERO } else { configuration.drain }
}

/// Serves metrics and health where the settings say. Several stages on one machine share the default address: whoever
/// comes later takes any that is free.
fn serve(
    configuration: &Configuration,
    metrics: &Metrics,
    health: &Health,
) -> anyhow::Result<Option<Server>> {
    let Some(address) = configuration.http.address else { return Ok(None) };
    let start = |address| Server::start(address, metrics.registry.clone(), health.clone());
    match start(address) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && !configuration.http_chosen => {
            tracing::warn!(%address, "the default address is in use: serving at another");
            Ok(Some(start(SocketAddr::new(address.ip(), 0))?))
        }
        other => Ok(Some(other?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drain_time_is_spent_once() {
        let configuration = Configuration::of(&["up", "--set", "drain=7s"]);
        assert_eq!(own_drain(&configuration, &Stage::ALL), Duration::ZERO, "it was waited for before");
        assert_eq!(own_drain(&configuration, &[Stage::Classifier]), Duration::from_secs(7));
    }
}
