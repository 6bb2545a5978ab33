//! Metrics for the operator, at an address of their own.

use authfort_testkit::{TestDatabase, both_engines};

use crate::support::{Folder, Server, refusal};

async fn get(url: String) -> (u16, String) {
    let answer = reqwest::get(url).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

both_engines! {
    async fn prometheus_finds_them_at_a_second_address_and_clients_do_not(db: TestDatabase) {
        let folder = Folder::new().await;
        let mut command = folder.server();
        command.env("DATABASE_URL", db.url()).env("AUTHFORT_METRICS_LISTEN", "127.0.0.1:0");
        let mut server = Server::start(&mut command);
        let line = server.wait_for("metrics at /metrics address=");
        let metrics = format!("http://{}/metrics", line.rsplit('=').next().unwrap().trim());
        assert_eq!(get(server.url("/guarded")).await.0, 401);
        let answer = reqwest::Client::new().get(server.url("/guarded")).bearer_auth("a.b.c").send().await.unwrap();
        assert_eq!(answer.status(), 401);
        let (status, text) = get(metrics.clone()).await;
        assert_eq!(status, 200);
        for said in [
            "# TYPE authfort_http_refusals_total counter",
            "authfort_http_refusals_total{code=\"token_missing\"} 1",
            "authfort_guard_checks_total{outcome=\"token_invalid\"} 1",
            "authfort_guard_checks_total{outcome=\"database_unavailable\"} 0",
            "authfort_pool_wait_seconds_bucket",
        ] {
            assert!(text.contains(said), "no {said} in {text}");
        }
        assert_eq!(get(metrics.replace("/metrics", "/healthz")).await.0, 404);
        assert_eq!(get(server.url("/metrics")).await.0, 404);
        assert!(server.stop());
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_explained_before_anything_is_written() {
    let folder = Folder::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = refusal(folder.server().env("AUTHFORT_METRICS_LISTEN", &address));
    assert!(text.contains(&format!("AUTHFORT_METRICS_LISTEN: {address}: another program listens there")), "{text}");
    let same = "127.0.0.1:49152";
    let text = refusal(folder.server().env("AUTHFORT_LISTEN", same).env("AUTHFORT_METRICS_LISTEN", "0.0.0.0:49152"));
    assert!(text.contains("AUTHFORT_METRICS_LISTEN: must be another address than AUTHFORT_LISTEN"), "{text}");
    assert_eq!(folder.names(), [""; 0]);
}
