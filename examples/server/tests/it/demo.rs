//! Tests of the demo users.

use authfort::{AuthFort, SortOrder};
use authfort_testkit::{TestDatabase, both_engines};

use crate::support::{Folder, Server};

both_engines! {
    async fn demo_users_are_of_every_kind_and_their_number_is_what_was_asked_for(db: TestDatabase) {
        let folder = Folder::new().await;
        let mut command = folder.server();
        command.env("DATABASE_URL", db.url()).args(["--demo", "1000"]);
        let mut server = Server::start(&mut command);
        let output = server.output();
        assert!(output.contains("filling in users users=1000 of=1000"), "{output}");
        assert!(server.stop());
        // A second start adds no users.
        drop(Server::start(&mut command));

        let auth = AuthFort::connect(db.url()).await.unwrap();
        let count = || auth.get_user_count();
        assert_eq!(count().await.unwrap(), 1000);
        let some = |number: u64| (1..1000).contains(&number);
        assert!(some(count().banned(true).await.unwrap()));
        assert!(some(count().email_verified(false).await.unwrap()));
        assert!(some(count().role("member").await.unwrap()) && some(count().role("editor").await.unwrap()));
        assert_eq!(count().role("admin").await.unwrap(), 2);
        let mut users = Vec::new();
        for offset in [0, 200, 400, 600, 800] {
            users.extend(auth.list_users().limit(200).offset(offset).await.unwrap().users);
        }
        assert!(users.iter().any(|user| user.name.is_none()));
        let banned: Vec<_> = users.iter().filter(|user| user.banned).collect();
        assert!(banned.iter().any(|user| user.ban_expires_at.is_some() && user.ban_reason.is_some()));
        assert!(banned.iter().any(|user| user.ban_expires_at.is_none() && user.ban_reason.is_none()));
        // The event log records the changes, as for any user.
        let id = banned[0].id;
        let log = auth.list_events().user_id(id).order(SortOrder::Asc).await.unwrap();
        let types: Vec<_> = log.events.iter().map(|event| event.r#type.as_str()).collect();
        assert_eq!((types.first(), types.last()), (Some(&"user_created"), Some(&"user_banned")));
        auth.close().await;
    }
}
