//! A failed start reports its cause; a successful first start prints the next steps.

use authfort_testkit::{Engine, TestDatabase, both_engines};

use crate::support::{Folder, Server, refusal, signs_in};

#[tokio::test]
async fn an_address_that_cannot_be_had_is_explained_before_anything_is_written() {
    let folder = Folder::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (address, said) in [
        (taken.as_str(), "another program listens there; stop it, or choose another port"),
        ("192.0.2.1:80", "this machine does not have this address"),
    ] {
        let text = refusal(folder.server().env("AUTHFORT_LISTEN", address));
        assert!(text.contains(&format!("AUTHFORT_LISTEN: {address}: {said}")), "{text}");
        assert_eq!(folder.names(), [""; 0]);
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_named_with_its_remedy() {
    let folder = Folder::new().await;
    let postgres = TestDatabase::create(Engine::Postgres).await;
    folder.file("text", &"no database".repeat(100));
    for (url, cause, remedy) in [
        ("sqlite://no/folder.db", "There is no folder no.", "Make it"),
        ("sqlite://text", "text is not an SQLite database", "Name another file"),
        ("postgres://jane:planted@127.0.0.1:1/x", "127.0.0.1:1 cannot be reached", "correct host and port"),
        (&format!("{}_gone", postgres.url()), "has no database", "CREATE DATABASE"),
    ] {
        let text = refusal(folder.server().env("DATABASE_URL", url).env("RUST_LOG", "trace"));
        assert!(text.contains(cause) && text.contains(remedy), "{text}");
        assert!(!text.contains("planted"), "{text}");
        assert!(!text.contains("An internal error") && !text.contains("is not available"), "{text}");
    }
}

both_engines! {
    async fn the_first_start_ends_with_what_to_do_next_and_no_other_does(db: TestDatabase) {
        let folder = Folder::new().await;
        let mut command = folder.server();
        command.env("DATABASE_URL", db.url());
        let mut server = Server::start(&mut command);
        server.wait_for("docs/guide/http-reference.md");
        let output = server.output();
        let url = server.url("");
        for said in [
            format!("{url}/admin/ui/users"),
            format!("curl {url}/auth/login -H 'Content-Type: application/json' -d '{{\"email\": \"admin@example.com\""),
            format!("curl {url}/admin/users -H 'Authorization: Bearer ACCESS_TOKEN'"),
        ] {
            assert!(output.contains(&said), "{output}");
        }
        let password = output.lines().find_map(|line| line.trim().strip_prefix("password")).unwrap().trim();
        assert!(signs_in(&server, "admin@example.com", password).await);
        drop(server);
        let mut server = Server::start(&mut command);
        assert!(server.stop_and_read().lines().all(|line| !line.contains("curl") && !line.contains("password")));
    }
}
