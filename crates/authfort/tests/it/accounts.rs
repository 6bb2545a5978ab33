//! Accounts at providers: link, unlink, conflicts, and the last way in.

use authfort::OauthAccount;
use authfort_testkit::{TestDatabase, both_engines};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{PASSWORD, service, user};
use crate::tools::{code, log};

const EMAIL: &str = "jane@example.com";

fn as_json(accounts: &[OauthAccount]) -> Value {
    serde_json::to_value(accounts).unwrap()
}

both_engines! {
    async fn a_linked_account_is_listed_and_finds_its_user(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let linked_at = clock.now();
        let google = auth.link_account(jane.id, "google", "1077").await.unwrap();
        clock.advance(TimeDelta::minutes(1));
        let github = auth.link_account(jane.id, "github", "583231").await.unwrap();
        let rows = json!([
            {"provider": "github", "provider_account_id": "583231", "created_at": clock.now()},
            {"provider": "google", "provider_account_id": "1077", "created_at": linked_at},
        ]);
        assert_eq!(as_json(&[github, google]), rows);
        assert_eq!(as_json(&auth.list_accounts(jane.id).await.unwrap()), rows);
        assert_eq!(auth.find_user_by_account("github", "583231").await.unwrap().map(|u| u.id), Some(jane.id));
        for (provider, account) in [("google", "583231"), ("github", "58323"), ("github", "583231\0"), ("", "")] {
            assert_eq!(auth.find_user_by_account(provider, account).await.unwrap(), None);
        }
        let events: Vec<_> = log(&auth, jane.id).await.into_iter().skip(1).map(|(t, d)| (t, Value::from(d))).collect();
        let link = |provider: &str| ("oauth_link".to_owned(), json!({"email": EMAIL, "provider": provider}));
        assert_eq!(events, [link("google"), link("github")]);
    }

    async fn whatever_names_a_user_finds_them(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let (jane, john) = (user(&auth, EMAIL).await, user(&auth, "john@example.com").await);
        auth.link_account(jane.id, "google", "1077").await.unwrap();
        auth.link_account(john.id, "github", "583231").await.unwrap();
        auth.link_account(john.id, "keycloak", john.id.to_string().to_uppercase()).await.unwrap();
        auth.link_account(jane.id, "mail", "jane@elsewhere.example").await.unwrap();
        let session = auth.create_session(jane.id).await.unwrap().session_id.to_string();
        let lookup = async |text: &str| auth.lookup_user(text).await.unwrap().map(|user| user.id);
        for (text, id) in [
            (jane.id.to_string().as_str(), jane.id),
            (&format!(" {} ", john.id.to_string().to_uppercase()), john.id),
            (&session, jane.id),
            (" JANE@Example.com", jane.id),
            ("1077", jane.id),
            ("583231", john.id),
            ("jane@elsewhere.example", jane.id),
        ] {
            assert_eq!(lookup(text).await, Some(id), "{text}");
        }
        for text in ["", " ", "jane", "1077\0", "107", "0190163d-8694-739b-aea5-966c26f8ad91", "@", "nobody@example.com"] {
            assert_eq!(lookup(text).await, None, "{text}");
        }
        auth.link_account(john.id, "google", "583231").await.unwrap();
        assert_eq!(lookup("583231").await, Some(john.id), "two accounts of one user are no two users");
        auth.unlink_account(john.id, "github").await.unwrap();
        auth.link_account(jane.id, "github", "583231").await.unwrap();
        assert_eq!(lookup("583231").await, None, "the id of two users names none");
        auth.delete_user(john.id).anonymize().await.unwrap();
        assert_eq!(lookup(&john.id.to_string()).await, Some(john.id));
    }

    /// An id is what the provider says it is; whoever normalized it could take two people for one.
    async fn an_account_is_kept_and_found_to_the_byte(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let ids = ["Jane", "jane", "JANE", "é", "e\u{301}", "ﬁ", "fi", "ς", "σ", "a b", "a\u{a0}b", "a\u{200b}", "a", "%", "_"];
        let mut users = Vec::new();
        for (n, id) in ids.into_iter().enumerate() {
            let user = user(&auth, &format!("{n}@example.com")).await;
            assert_eq!(auth.link_account(user.id, "example", id).await.unwrap().provider_account_id, id);
            users.push(user.id);
        }
        for (id, user) in ids.into_iter().zip(users) {
            let found = auth.find_user_by_account("example", id).await.unwrap();
            assert_eq!(found.map(|user| user.id), Some(user), "{id:?}");
            assert_eq!(auth.list_accounts(user).await.unwrap()[0].provider_account_id, id);
            for other in [format!(" {id}"), format!("{id}\n"), format!("\u{feff}{id}"), id.repeat(2)] {
                assert_eq!(auth.find_user_by_account("example", &other).await.unwrap(), None, "{other:?}");
            }
        }
    }

    async fn accounts_are_listed_by_the_code_points_of_the_provider(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let mut providers = ["ab", "a_b", "a-b", "a.b", "a", "a1", "b", "aa", "a_", "a-", "z9", "a10", "a2"];
        for provider in providers {
            auth.link_account(jane.id, provider, "1").await.unwrap();
        }
        providers.sort_unstable();
        let listed = auth.list_accounts(jane.id).await.unwrap();
        assert_eq!(listed.iter().map(|account| account.provider.as_str()).collect::<Vec<_>>(), providers);
    }

    async fn linking_what_is_linked_changes_nothing(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let first = auth.link_account(jane.id, "github", "583231").await.unwrap();
        clock.advance(TimeDelta::minutes(1));
        assert_eq!(auth.link_account(jane.id, "github", "583231").await.unwrap(), first);
        assert_eq!(log(&auth, jane.id).await.len(), 2);
    }

    async fn another_account_at_the_same_provider_takes_the_place_of_the_first(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        auth.link_account(jane.id, "github", "583231").await.unwrap();
        auth.link_account(jane.id, "github", "990000").await.unwrap();
        assert_eq!(auth.list_accounts(jane.id).await.unwrap().len(), 1);
        assert_eq!(auth.find_user_by_account("github", "583231").await.unwrap(), None);
        let types: Vec<_> = log(&auth, jane.id).await.into_iter().map(|(t, _)| t).collect();
        assert_eq!(types, ["user_created", "oauth_link", "oauth_unlink", "oauth_link"]);
    }

    async fn an_account_of_another_user_is_refused(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let (jane, john) = (user(&auth, EMAIL).await, user(&auth, "john@example.com").await);
        auth.link_account(jane.id, "github", "583231").await.unwrap();
        auth.link_account(john.id, "github", "990000").await.unwrap();
        assert_eq!(code(&auth.link_account(john.id, "github", "583231").await), "account_linked_elsewhere");
        // The account that it would have replaced is still there.
        assert_eq!(auth.find_user_by_account("github", "990000").await.unwrap().map(|u| u.id), Some(john.id));
        assert_eq!(auth.find_user_by_account("github", "583231").await.unwrap().map(|u| u.id), Some(jane.id));
        assert_eq!(log(&auth, john.id).await.len(), 2);
    }

    async fn of_users_who_link_one_account_at_once_one_has_it(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let (jane, john) = (user(&auth, EMAIL).await, user(&auth, "john@example.com").await);
        for n in 0..10 {
            let account = format!("account-{n}");
            let calls = [jane.id, john.id].map(|id| tokio::spawn(auth.link_account(id, "github", &account).into_future()));
            let mut codes = Vec::new();
            for call in calls {
                codes.push(code(&call.await.unwrap()));
            }
            codes.sort_unstable();
            assert_eq!(codes, ["account_linked_elsewhere", "ok"]);
        }
    }

    async fn an_unlinked_account_finds_nobody_and_is_free(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let (jane, john) = (user(&auth, EMAIL).await, user(&auth, "john@example.com").await);
        auth.link_account(jane.id, "github", "583231").await.unwrap();
        auth.unlink_account(jane.id, "github").await.unwrap();
        assert_eq!(auth.find_user_by_account("github", "583231").await.unwrap(), None);
        assert_eq!(auth.list_accounts(jane.id).await.unwrap(), []);
        let (name, data) = log(&auth, jane.id).await.pop().unwrap();
        assert_eq!((name.as_str(), Value::from(data)), ("oauth_unlink", json!({"provider": "github"})));
        assert_eq!(code(&auth.unlink_account(jane.id, "github").await), "account_not_found");
        assert!(auth.link_account(john.id, "github", "583231").await.is_ok());
    }

    async fn the_last_way_in_is_kept(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let id = auth.create_user(EMAIL).await.unwrap().id;
        auth.link_account(id, "github", "583231").await.unwrap();
        auth.link_account(id, "google", "1077").await.unwrap();
        auth.unlink_account(id, "github").await.unwrap();
        assert_eq!(code(&auth.unlink_account(id, "google").await), "last_credential");
        assert_eq!(auth.list_accounts(id).await.unwrap().len(), 1);
        auth.set_password(id, PASSWORD).await.unwrap();
        auth.unlink_account(id, "google").await.unwrap();
        assert_eq!(auth.list_accounts(id).await.unwrap(), []);
    }

    async fn of_two_ways_in_that_are_unlinked_at_once_one_remains(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        for n in 0..20 {
            let id = auth.create_user(format!("user-{n}@example.com")).await.unwrap().id;
            let mut calls = Vec::new();
            for provider in ["github", "google"] {
                auth.link_account(id, provider, format!("{n}")).await.unwrap();
            }
            for provider in ["github", "google"] {
                calls.push(tokio::spawn(auth.unlink_account(id, provider).into_future()));
            }
            let mut codes = Vec::new();
            for call in calls {
                codes.push(code(&call.await.unwrap()));
            }
            codes.sort_unstable();
            assert_eq!(codes, ["last_credential", "ok"], "round {n}");
            assert_eq!(auth.list_accounts(id).await.unwrap().len(), 1);
        }
    }

    async fn an_account_that_is_unlinked_twice_at_once_goes_once(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        for n in 0..10 {
            auth.link_account(jane.id, "github", "583231").await.unwrap();
            let calls = [(), ()].map(|()| tokio::spawn(auth.unlink_account(jane.id, "github").into_future()));
            let mut codes = Vec::new();
            for call in calls {
                codes.push(code(&call.await.unwrap()));
            }
            codes.sort_unstable();
            assert_eq!(codes, ["account_not_found", "ok"], "round {n}");
        }
    }

    async fn accounts_need_a_user_and_a_well_formed_name(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let long = "a".repeat(256);
        for (provider, account) in [
            ("", "1"),
            ("GitHub", "1"),
            ("git hub", "1"),
            ("github", ""),
            ("github", "a\0b"),
            ("github", " 1"),
            ("github", "1\n"),
            ("github", "\u{3000}1"),
            ("github", "1\u{85}2"),
            ("github", "1\n2"),
            ("github", &long),
        ] {
            assert_eq!(code(&auth.link_account(jane.id, provider, account).await), "validation_failed", "{provider}");
        }
        assert_eq!(code(&auth.unlink_account(jane.id, "Git\0").await), "validation_failed");
        auth.link_account(jane.id, "github", "583231").await.unwrap();
        auth.delete_user(jane.id).anonymize().await.unwrap();
        assert_eq!(code(&auth.link_account(jane.id, "google", "1").await), "user_not_found");
        assert_eq!(code(&auth.unlink_account(jane.id, "github").await), "user_not_found");
        assert_eq!(code(&auth.list_accounts(jane.id).await), "user_not_found");
        assert_eq!(auth.find_user_by_account("github", "583231").await.unwrap(), None);
    }
}
