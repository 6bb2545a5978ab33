//! Creating, reading, changing, deleting.

use authfort::Error;
use authfort_testkit::{TestDatabase, both_engines};

use crate::support::{event_types, service, user};

both_engines! {
    async fn a_created_user_is_found_by_id_and_by_any_spelling_of_the_address(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, " Jane@Example.com ").await;
        assert_eq!(jane.email, "jane@example.com");
        assert_eq!(auth.get_user(jane.id).await.unwrap(), jane);
        assert_eq!(auth.find_user_by_email("JANE@example.COM").await.unwrap(), Some(jane));
        assert_eq!(event_types(&auth).await, ["key_rotated", "user_created"]);
    }

    async fn a_duplicate_email_is_refused(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        user(&auth, "jane@example.com").await;
        let error = auth.create_user("JANE@example.com").await.unwrap_err();
        assert!(matches!(error, Error::UserExists), "{error:?}");
        assert_eq!(auth.get_user_count().await.unwrap(), 1);
    }
}
