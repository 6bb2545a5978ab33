//! The metrics as Prometheus text, at an address of their own: they are for the operator, not for the clients.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpSocket;

use crate::listen::{self, Bounds};

const VARIABLE: &str = "AUTHFORT_METRICS_LISTEN";
/// Prometheus's text format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The upper bounds of histograms, in seconds.
const BUCKETS: [f64; 10] = [0.000_01, 0.000_1, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 10.0];
/// How often values are sorted into histograms; until then they take memory.
const UPKEEP: Duration = Duration::from_secs(5);
/// More connections than those who scrape have.
const CONNECTIONS: usize = 16;

pub struct Metrics {
    socket: TcpSocket,
    address: SocketAddr,
    handle: PrometheusHandle,
}

impl Metrics {
    /// Begins to collect metrics. Whatever is built before has none.
    pub fn bind(address: SocketAddr) -> Result<Self, String> {
        let socket = listen::bind(VARIABLE, address)?;
        let builder = PrometheusBuilder::new().set_buckets(&BUCKETS);
        let handle = builder.and_then(PrometheusBuilder::install_recorder).map_err(|error| error.to_string())?;
        Ok(Self { socket, address, handle })
    }

    /// Serves them at `/metrics`, and never completes.
    pub fn serve(self, bounds: Bounds) -> Result<impl Future<Output = ()>, String> {
        let listener = listen::listen(VARIABLE, self.socket, self.address)?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        tracing::info!(%address, "metrics at /metrics");
        let scraped = self.handle.clone();
        let answer = move || {
            let text = scraped.render();
            async move { ([(header::CONTENT_TYPE, CONTENT_TYPE)], text) }
        };
        let app = Router::new().route("/metrics", get(answer));
        let bounds = Bounds { connections: CONNECTIONS, ..bounds };
        Ok(async move {
            tokio::join!(listen::serve(listener, app, bounds, pending()), keep_up(self.handle));
        })
    }
}

async fn keep_up(handle: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        handle.run_upkeep();
    }
}
