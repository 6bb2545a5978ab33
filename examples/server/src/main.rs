//! A server with everything mounted: auth, admin, keys, and three guarded routes. `--help` lists the settings.

mod bootstrap;
mod demo;
mod routes;
mod settings;

use std::error::Error;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use authfort::{AuthFort, PasswordPolicy};
use clap::Parser;
use tracing_subscriber::EnvFilter;

use settings::Settings;

/// How long running requests may take to finish once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    if settings.log_json {
        log.json().init();
    } else {
        log.init();
    }
    match serve(&settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let auth = connect(settings).await?;
    bootstrap::first_admin(&auth, settings).await?;
    if settings.demo > 0 {
        demo::fill(&auth, &settings.database_url, settings.demo).await?;
    }
    let app = routes::app(settings.layer(&auth)?);
    let listener = tokio::net::TcpListener::bind(settings.listen).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let server = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(shutdown());
    // A client that never finishes its request does not keep the server from stopping.
    tokio::select! {
        outcome = server.into_future() => outcome?,
        () = async { shutdown().await; tokio::time::sleep(DRAIN).await } => tracing::warn!("some requests were cut off"),
    }
    tracing::info!("stopping");
    auth.close().await;
    Ok(())
}

async fn connect(settings: &Settings) -> authfort::Result<AuthFort> {
    let mut builder = AuthFort::builder()
        .issuer(settings.issuer.as_str())
        .access_ttl(settings.access_ttl())
        .refresh_ttl(settings.refresh_ttl())
        .session_ttl(settings.session_ttl())
        .signup(settings.signup.is_on())
        .password_policy(PasswordPolicy::default());
    if let Some(secret) = &settings.secret {
        builder = builder.secret(secret.as_str());
    }
    builder.connect(&settings.database_url).await
}

/// Waits for Ctrl-C or SIGTERM; running requests are then finished.
async fn shutdown() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! { _ = interrupt => {} _ = terminate.recv() => {} }
            }
            Err(error) => {
                tracing::warn!(%error, "SIGTERM cannot be listened for");
                let _ = interrupt.await;
            }
        }
    }
    #[cfg(not(unix))]
    let _ = interrupt.await;
}
