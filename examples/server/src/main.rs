//! A server with all routers mounted: auth, admin, keys, and three guarded routes. `--help` lists the settings.

mod bootstrap;
mod demo;
mod flags;
mod listen;
mod metrics;
mod routes;
mod secrets;
mod settings;

use std::error::Error;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use authfort::secrecy::ExposeSecret;
use tracing_subscriber::EnvFilter;

use flags::Flags;
use metrics::Metrics;
use settings::Settings;

const LISTEN: &str = "AUTHFORT_LISTEN";
/// The maximum time for running requests to finish after the server is told to stop.
const DRAIN: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::read();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    if flags.log_json {
        log.json().init();
    } else {
        log.init();
    }
    let settings = match Settings::check(flags) {
        Ok(settings) => settings,
        Err(faults) => {
            for fault in faults {
                tracing::error!("{fault}");
            }
            return ExitCode::FAILURE;
        }
    };
    match serve(&settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(settings: &Settings) -> Result<(), Box<dyn Error>> {
    // Binds first, so that an address in use stops the start before anything is written; listens last, so that no
    // client waits for a server that is not ready.
    let socket = listen::bind(LISTEN, settings.flags.listen)?;
    let metrics = settings.flags.metrics_listen.map(Metrics::bind).transpose()?;
    let bounds = settings.bounds().within_descriptors();
    let auth = settings.builder().connect(settings.database_url.expose_secret()).await?;
    let app = routes::app(settings.layer(&auth)?);
    let is_first_start = bootstrap::first_admin(&auth, settings).await?;
    if settings.flags.demo > 0 {
        demo::fill(&auth, settings.database_url.expose_secret(), settings.flags.demo).await?;
    }
    if let Some(metrics) = metrics {
        tokio::spawn(metrics.serve(bounds)?);
    }
    let listener = listen::listen(LISTEN, socket, settings.flags.listen)?;
    let (stop, hurry) = (told_to_stop()?, told_to_stop()?);
    // Responses that follow the log have no end of their own.
    let stop = async {
        stop.await;
        auth.end_streams();
    };
    let address = listener.local_addr()?;
    tracing::info!(%address, "listening");
    if is_first_start {
        bootstrap::welcome(address, settings);
    }
    // A client that never finishes its request does not prevent the server from stopping.
    tokio::select! {
        () = listen::serve(listener, app, bounds, stop) => {}
        () = async { hurry.await; tokio::time::sleep(DRAIN).await } => tracing::warn!("some requests were cut off"),
    }
    tracing::info!("stopping");
    auth.close().await;
    Ok(())
}

/// Completes at Ctrl-C or SIGTERM, received from this call on; running requests are then finished.
#[cfg(unix)]
fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
    })
}

#[cfg(not(unix))]
fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}
