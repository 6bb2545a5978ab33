//! What each operation costs, in statements: begin and commit included, and those that only one engine needs.

use std::future::IntoFuture;

use authfort_testkit::{Engine, TestDatabase, both_engines};

use crate::statements::counted;
use crate::support::{PASSWORD, builder, clock};
use crate::tools::{access, refresh};

const EMAIL: &str = "jane@example.com";
const NEW: &str = "a new password";

both_engines! {
    async fn an_operation_costs_so_many_statements(db: TestDatabase) {
        let clock = clock();
        // One connection for reading, so that none is set up meanwhile.
        let auth = builder(&clock).max_connections(1).connect(db.url()).await.unwrap();
        auth.list_users().await.unwrap();
        let plain = auth.create_user("plain@example.com").await.unwrap().id;
        let jane = auth.create_user(EMAIL).password(PASSWORD).await.unwrap().id;
        let first = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let mut costs = Vec::new();
        macro_rules! cost {
            ($name:literal, $call:expr) => {{
                let (answer, statements) = counted($call.into_future()).await;
                costs.push(($name, statements));
                answer.unwrap()
            }};
        }
        cost!("get_user", auth.get_user(jane));
        cost!("list_users", auth.list_users());
        cost!("get_user_count", auth.get_user_count());
        cost!("authenticate", auth.authenticate(access(&first)));
        cost!("create_user", auth.create_user("john@example.com"));
        cost!("update_user", auth.update_user(jane).name("Jane"));
        cost!("add_role", auth.add_role(jane, "editor"));
        cost!("remove_role", auth.remove_role(jane, "editor"));
        cost!("refresh", auth.refresh(refresh(&first)));
        let second = cost!("login", auth.login(EMAIL, PASSWORD)).signed_in().unwrap();
        cost!("logout", auth.logout(refresh(&second)));
        cost!("set_password", auth.set_password(jane, NEW));
        cost!("ban_user", auth.ban_user(jane));
        cost!("unban_user", auth.unban_user(jane));
        cost!("delete_user", auth.delete_user(plain));
        // SQLite asks for foreign keys as well, PostgreSQL locks rows.
        let (create, refresh) = match db.engine() {
            Engine::Sqlite => (7, 12),
            Engine::Postgres => (6, 13),
        };
        let expected = [
            ("get_user", 1),
            ("list_users", 1),
            ("get_user_count", 1),
            ("authenticate", 1),
            ("create_user", create),
            ("update_user", 7),
            ("add_role", 9),
            ("remove_role", 9),
            ("refresh", refresh),
            ("login", 11),
            ("logout", 6),
            ("set_password", 10),
            ("ban_user", 10),
            ("unban_user", 7),
            ("delete_user", 13),
        ];
        assert_eq!(costs, expected);
    }
}
