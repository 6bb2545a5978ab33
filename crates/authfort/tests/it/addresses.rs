//! Addresses of every script: what is shown of one, and what makes two one account.

use authfort::{Error, SortBy, SortOrder};
use authfort_testkit::{TestDatabase, both_engines};

use crate::support::{PASSWORD, service, user};
use crate::users::faults;

/// Spellings of one address each; the first is typed at sign-up.
const SPELLINGS: &[&[&str]] = &[
    &["n@παράδεισος.example.com", "N@ΠΑΡΆΔΕΙΣΟΣ.EXAMPLE.COM", "n@xn--hxajkeu0bbjoi.example.com"],
    &["x@xn--mnchen-3ya.de", "X@MÜNCHEN.de", "x@mu\u{308}nchen.de", "x@XN--MNCHEN-3YA.DE"],
    &["Ὀδυσσεύς@example.com", "ὈΔΥΣΣΕΎΣ@EXAMPLE.com"],
    &["संपर्क@डाटामेल.भारत", "संपर्क@xn--c2bd4bq1db8d.xn--h2brj9c"],
];

both_engines! {
    async fn an_address_is_shown_as_typed_and_found_by_every_spelling(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        for spellings in SPELLINGS {
            let jane = user(&auth, spellings[0]).await;
            assert_eq!(jane.email, spellings[0].to_lowercase());
            for spelling in *spellings {
                let found = auth.find_user_by_email(spelling).await.unwrap();
                assert_eq!(found.map(|user| user.id), Some(jane.id), "{spelling}");
                assert_eq!(auth.login(spelling, PASSWORD).await.unwrap().signed_in().unwrap().user.email, jane.email, "{spelling}");
                assert_eq!(auth.create_user(*spelling).await.unwrap_err().code(), "user_exists", "{spelling}");
                let issued = auth.request_password_reset(spelling).await.unwrap().unwrap();
                assert_eq!(issued.email, jane.email, "mail goes where the user said");
                let listed = auth.list_users().query(*spelling).await.unwrap().users;
                assert_eq!(listed.iter().map(|user| user.id).collect::<Vec<_>>(), [jane.id], "{spelling}");
            }
        }
    }

    async fn an_address_is_found_in_unicode_and_in_punycode_however_it_is_shown(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        user(&auth, "x@xn--mnchen-3ya.de").await;
        user(&auth, "y@zürich.ch").await;
        for (term, email) in [
            ("mÜnc", "x@xn--mnchen-3ya.de"),
            ("xn--mnc", "x@xn--mnchen-3ya.de"),
            ("züri", "y@zürich.ch"),
            ("xn--zri", "y@zürich.ch"),
            ("y@", "y@zürich.ch"),
        ] {
            let listed = auth.list_users().query(term).await.unwrap();
            assert_eq!(listed.users.iter().map(|user| user.email.as_str()).collect::<Vec<_>>(), [email], "{term}");
            assert_eq!(listed.total, Some(1), "{term}");
        }
        assert_eq!(auth.get_user_count().query("de\nx").await.unwrap_err().code(), "validation_failed");
    }

    async fn a_blocked_address_is_blocked_in_every_spelling(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let other = user(&auth, "other@example.com").await;
        for spellings in SPELLINGS {
            let jane = user(&auth, spellings[0]).await;
            auth.delete_user(jane.id).block_email(true).await.unwrap();
            for spelling in *spellings {
                let refused = auth.create_user(*spelling).await.unwrap_err();
                assert_eq!(faults(&refused), ["email email_blocked"], "{spelling}");
                let refused = auth.update_user(other.id).email(*spelling).await.unwrap_err();
                assert_eq!(faults(&refused), ["email email_blocked"], "{spelling}");
            }
            assert!(auth.unblock_email(spellings.last().unwrap()).await.unwrap());
            assert!(!auth.unblock_email(spellings[0]).await.unwrap());
            user(&auth, spellings[0]).await;
        }
        for nobody in ["", "no\0body@example.com", &"a".repeat(5_000)] {
            assert!(!auth.unblock_email(nobody).await.unwrap());
        }
    }

    /// Another spelling may be another mailbox: what was verified is what is shown.
    async fn another_spelling_is_another_address_to_send_to_and_the_same_account(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = auth.create_user("n@παράδεισοσ.example.com").password(PASSWORD).email_verified(true).await.unwrap();
        let issued = auth.request_password_reset("n@παράδεισος.example.com").await.unwrap().unwrap();
        let changed = auth.update_user(jane.id).email("n@παράδεισος.example.com").await.unwrap();
        assert_eq!((changed.email.as_str(), changed.email_verified), ("n@παράδεισος.example.com", false));
        let refused = auth.reset_password(issued.token, "four other long words").await.unwrap_err();
        assert!(matches!(refused, Error::VerificationTokenInvalid), "it was sent to the other address: {refused:?}");
        assert_eq!(auth.find_user_by_email(jane.email).await.unwrap().unwrap().id, jane.id);
    }

    async fn an_update_meets_the_address_of_somebody_else_in_every_spelling(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        user(&auth, "x@münchen.de").await;
        let other = user(&auth, "other@example.com").await;
        let refused = auth.update_user(other.id).email("x@xn--mnchen-3ya.de").await.unwrap_err();
        assert_eq!(refused.code(), "user_exists");
    }

    async fn a_list_by_address_goes_by_the_key(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        for email in ["b@ä.example.com", "b@z.example.com", "σας@example.com", "σασ.a@example.com", "a@example.com"] {
            user(&auth, email).await;
        }
        let mut walked = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut call = auth.list_users().sort_by(SortBy::Email).sort_order(SortOrder::Asc).limit(1);
            if let Some(cursor) = cursor {
                call = call.cursor(cursor);
            }
            let page = call.await.unwrap();
            walked.extend(page.users.into_iter().map(|user| user.email));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        // As xn--4ca.example.com before z.example.com; and with `.` before `@`.
        let expected =
            ["a@example.com", "b@ä.example.com", "b@z.example.com", "σασ.a@example.com", "σας@example.com"];
        assert_eq!(walked, expected);
    }
}
