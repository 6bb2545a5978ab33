//! Every write inside one transaction of the application, on the only connection there is.

use authfort::secrecy::ExposeSecret;
use authfort_testkit::{TestDatabase, both_engines};

use crate::raw::Raw;
use crate::support::{PASSWORD, builder, clock};

both_engines! {
    async fn every_write_joins_a_transaction_on_the_only_connection_and_sees_what_it_wrote(db: TestDatabase) {
        let raw = Raw::open(&db, 1).await;
        let auth = builder(&clock()).from_pool(raw.pool()).await.unwrap();
        let mut tx = raw.begin().await;

        auth.create_user("admin@example.com").role("admin").in_tx(tx.conn()).await.unwrap();
        let jane = auth.create_user("jane@example.com").in_tx(tx.conn()).await.unwrap().id;
        auth.set_password(jane, PASSWORD).in_tx(tx.conn()).await.unwrap();
        auth.change_password(jane, PASSWORD, "another horse").in_tx(tx.conn()).await.unwrap();
        let first = auth.create_session(jane).in_tx(tx.conn()).await.unwrap();
        assert!(auth.logout(first.tokens.refresh_token.expose_secret()).in_tx(tx.conn()).await.unwrap());
        let session = auth.create_session(jane).in_tx(tx.conn()).await.unwrap().session_id;
        assert_eq!(auth.revoke_session(jane, session).in_tx(tx.conn()).await.unwrap(), 1);
        auth.sign_up("ann@example.com", PASSWORD).in_tx(tx.conn()).await.unwrap();
        assert_eq!(auth.revoke_sessions(jane).in_tx(tx.conn()).await.unwrap(), 0);
        let verify = auth.request_email_verification("jane@example.com").in_tx(tx.conn()).await.unwrap().unwrap();
        auth.verify_email(verify.token).in_tx(tx.conn()).await.unwrap();
        let reset = auth.request_password_reset("jane@example.com").in_tx(tx.conn()).await.unwrap().unwrap();
        auth.reset_password(reset.token, PASSWORD).in_tx(tx.conn()).await.unwrap();
        auth.link_account(jane, "github", "1").in_tx(tx.conn()).await.unwrap();
        auth.unlink_account(jane, "github").in_tx(tx.conn()).await.unwrap();
        auth.update_user(jane).name("Jane").in_tx(tx.conn()).await.unwrap();
        auth.add_role(jane, "editor").in_tx(tx.conn()).await.unwrap();
        auth.remove_role(jane, "editor").in_tx(tx.conn()).await.unwrap();
        auth.ban_user(jane).in_tx(tx.conn()).await.unwrap();
        auth.unban_user(jane).in_tx(tx.conn()).await.unwrap();
        auth.rotate_keys().in_tx(tx.conn()).await.unwrap();
        // Signed with the key of this transaction.
        let short = auth.create_session(jane).in_tx(tx.conn()).await.unwrap();
        assert!(auth.logout(short.tokens.access_token.expose_secret()).in_tx(tx.conn()).await.unwrap());
        let last = auth.create_session(jane).in_tx(tx.conn()).await.unwrap();
        tx.commit().await.unwrap();

        let principal = auth.authenticate(last.tokens.access_token.expose_secret()).await.unwrap();
        assert_eq!(principal.user_id, jane);

        let mut tx = raw.begin().await;
        auth.delete_user(jane).in_tx(tx.conn()).await.unwrap();
        tx.rollback().await;
        assert_eq!(auth.get_user(jane).await.unwrap().name.as_deref(), Some("Jane"));
    }
}
