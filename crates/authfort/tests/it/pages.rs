//! Pages: by offset, by cursor, and their totals.

use std::collections::BTreeSet;

use authfort::{DeletedFilter, Error, SortBy, SortOrder, Total, UserId, UserPage};
use authfort_testkit::{TestDatabase, both_engines};
use chrono::TimeDelta;

use crate::list::*;
use crate::statements::counted;
use crate::support::{builder, clock, service};
use crate::users::faults;

both_engines! {
    async fn defect_21_a_walk_by_cursor_shows_each_user_once_forward_and_back(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let ids = crowd(&auth, &db, 1000, Some("Same Name")).await;
        let crowd: BTreeSet<UserId> = ids.iter().copied().collect();
        for (round, (by, order)) in KEYS.iter().flat_map(|by| ORDERS.map(|order| (*by, order))).enumerate() {
            let call = auth.list_users().sort_by(by).sort_order(order).limit(170).total(Total::None);
            let mut forward = Vec::new();
            let (mut page, mut n) = (call.clone().await.unwrap(), 0);
            assert_eq!(page.prev_cursor, None);
            loop {
                assert_eq!(page.total, None);
                forward.extend(page.users.iter().map(|user| user.id));
                // Somebody registers while we read, before and behind us.
                auth.create_user(format!("{n}-{round}@example.com")).name("Same Name").await.unwrap();
                auth.create_user(format!("z{n}-{round}@example.com")).name("Aaa").await.unwrap();
                n += 1;
                let Some(next) = page.next_cursor.clone() else { break };
                page = call.clone().cursor(next).await.unwrap();
            }
            let mut seen: Vec<UserId> = forward.iter().copied().filter(|id| crowd.contains(id)).collect();
            // And back from the last page.
            let mut back: Vec<UserId> = page.users.iter().rev().map(|user| user.id).collect();
            while let Some(previous) = page.prev_cursor.clone() {
                page = call.clone().cursor(previous).await.unwrap();
                back.extend(page.users.iter().rev().map(|user| user.id));
                assert!(page.next_cursor.is_some());
            }
            back.retain(|id| crowd.contains(id));
            back.reverse();
            assert_eq!(back, seen, "{by:?} {order:?}: the way back is the way forth");
            if by == SortBy::Email {
                seen.sort();
            } else if order == SortOrder::Desc {
                seen.reverse();
            }
            assert_eq!(seen, ids, "{by:?} {order:?}: each once");
        }
    }

    async fn defect_21_a_walk_by_offset_shows_each_user_once_while_others_register_behind_it(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let ids = crowd(&auth, &db, 1000, Some("Same Name")).await;
        for by in [SortBy::Name, SortBy::CreatedAt] {
            let (mut walked, mut offset) = (Vec::new(), 0);
            while offset < 1000 {
                let call = auth.list_users().sort_by(by).sort_order(SortOrder::Asc).limit(200).offset(offset);
                let page = call.await.unwrap();
                assert_eq!((page.offset, page.limit), (offset, 200));
                walked.extend(page.users.iter().map(|user| user.id));
                auth.create_user(format!("new{offset}{by:?}@example.com")).name("Same Name").await.unwrap();
                offset += 200;
            }
            assert_eq!(walked[..1000], ids, "{by:?}");
        }
    }

    async fn pages_by_offset_and_by_cursor_lead_into_each_other(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        for n in 0..5 {
            auth.create_user(format!("user{n}@example.com")).await.unwrap();
        }
        let call = auth.list_users().sort_by(SortBy::Email).sort_order(SortOrder::Asc).limit(2);
        let middle = call.clone().offset(2).await.unwrap();
        assert_eq!((emails(&middle), middle.total, middle.limit, middle.offset), (vec!["user2", "user3"], Some(5), 2, 2));
        let last = call.clone().cursor(middle.next_cursor.clone().unwrap()).await.unwrap();
        assert_eq!((emails(&last), last.total, last.offset, &last.next_cursor), (vec!["user4"], Some(5), 0, &None));
        let first = call.clone().cursor(middle.prev_cursor.unwrap()).await.unwrap();
        assert_eq!((emails(&first), &first.prev_cursor), (vec!["user0", "user1"], &None));
        let again = call.clone().cursor(first.next_cursor.unwrap()).await.unwrap();
        assert_eq!(emails(&again), ["user2", "user3"]);
        // Past the end: nobody, but a total.
        let beyond = call.clone().offset(u64::MAX).await.unwrap();
        assert_eq!((emails(&beyond), beyond.total, &beyond.next_cursor), (vec![], Some(5), &None));
        // The row that a cursor names may be gone.
        auth.delete_user(middle.users[1].id).await.unwrap();
        let after = call.cursor(middle.next_cursor.unwrap()).await.unwrap();
        assert_eq!((emails(&after), after.total), (vec!["user4"], Some(4)));
    }

    async fn a_page_past_an_end_leads_back(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        for (by, order) in KEYS.iter().flat_map(|by| ORDERS.map(|order| (*by, order))) {
            let mut ids = Vec::new();
            for n in 0..7 {
                let call = auth.create_user(format!("{n}@example.com"));
                // The last by name, in either direction, have none.
                let call = if n < 5 { call.name(format!("Name {n}")) } else { call };
                ids.push(call.await.unwrap().id);
                clock.advance(TimeDelta::seconds(1));
            }
            let call = auth.list_users().sort_by(by).sort_order(order).limit(3);
            let whole = call.clone().limit(200).await.unwrap();
            let of = |page: &UserPage| page.users.iter().map(|user| user.id).collect::<Vec<_>>();
            let all = of(&whole);
            let about = format!("{by:?} {order:?}");

            // By an offset past the end, with or without a total, to the last page, and on to the first.
            for (offset, total) in [(7, Total::Exact), (100, Total::Exact), (u64::MAX, Total::None)] {
                let beyond = call.clone().offset(offset).total(total).await.unwrap();
                assert_eq!((&beyond.users[..], &beyond.next_cursor), (&[][..], &None), "{about}");
                let last = call.clone().cursor(beyond.prev_cursor.unwrap()).await.unwrap();
                assert_eq!((of(&last), &last.next_cursor, last.total), (all[4..].to_vec(), &None, Some(7)), "{about}");
                let middle = call.clone().cursor(last.prev_cursor.unwrap()).await.unwrap();
                assert_eq!(of(&middle), all[1..4], "{about}");
                let first = call.clone().cursor(middle.prev_cursor.unwrap()).await.unwrap();
                assert_eq!((of(&first), &first.prev_cursor), (all[..1].to_vec(), &None), "{about}");
            }

            // By a cursor whose following rows are gone by now.
            let second = call.clone().offset(2).limit(2).await.unwrap();
            for id in &all[4..] {
                auth.delete_user(*id).await.unwrap();
            }
            let beyond = call.clone().limit(2).cursor(second.next_cursor.unwrap()).await.unwrap();
            assert_eq!((&beyond.users[..], &beyond.next_cursor, beyond.total), (&[][..], &None, Some(4)), "{about}");
            let last = call.clone().limit(2).cursor(beyond.prev_cursor.unwrap()).await.unwrap();
            assert_eq!((of(&last), &last.next_cursor), (all[2..4].to_vec(), &None), "{about}");

            // And forward from before the first.
            for id in &all[..2] {
                auth.delete_user(*id).await.unwrap();
            }
            let before = call.clone().cursor(last.prev_cursor.clone().unwrap()).await.unwrap();
            assert_eq!((&before.users[..], &before.prev_cursor), (&[][..], &None), "{about}");
            let first = call.clone().limit(1).cursor(before.next_cursor.unwrap()).await.unwrap();
            assert_eq!((of(&first), &first.prev_cursor), (all[2..3].to_vec(), &None), "{about}");
            assert!(first.next_cursor.is_some(), "{about}");

            // Where nobody is left, no way leads anywhere.
            for id in &all[2..4] {
                auth.delete_user(*id).await.unwrap();
            }
            for cursor in [last.prev_cursor, first.next_cursor] {
                let nobody = call.clone().limit(1).cursor(cursor.unwrap()).await.unwrap();
                assert_eq!((&nobody.users[..], nobody.prev_cursor, nobody.next_cursor), (&[][..], None, None), "{about}");
            }
            let nobody = call.clone().offset(5).await.unwrap();
            assert_eq!((&nobody.users[..], nobody.prev_cursor, nobody.next_cursor), (&[][..], None, None), "{about}");
        }
    }

    async fn a_cursor_belongs_to_its_filter_and_its_order(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        for n in 0..4 {
            auth.create_user(format!("user{n}@example.com")).role("a").role("b").await.unwrap();
        }
        let list = || auth.list_users().role("a").role("b").limit(2);
        let cursor = list().await.unwrap().next_cursor.unwrap();
        for other in [
            list().banned(false), list().role("c"), list().query("user"), list().email_verified(false),
            list().deleted(DeletedFilter::With), list().created_after(clock.now()), list().created_before(clock.now()),
            list().sort_by(SortBy::Email), list().sort_by(SortBy::Name), list().sort_order(SortOrder::Asc),
            auth.list_users().limit(2),
        ] {
            let error = other.cursor(&cursor).await.unwrap_err();
            assert!(matches!(error, Error::InvalidCursor), "{error:?}");
        }
        // The same list asked for in other words, or in other portions, is the same list.
        for same in [
            auth.list_users().role("b").role("a").role("a").limit(2), list().limit(200), list().total(Total::None),
            list().query("  "),
        ] {
            assert_eq!(emails(&same.cursor(&cursor).await.unwrap()), ["user1", "user0"]);
        }
        for forged in ["", "x", "=", "AAAA", &"A".repeat(100_000), &format!("{cursor}x"), "a\0", "é", &cursor.to_uppercase()] {
            let error = list().cursor(forged).await.unwrap_err();
            assert_eq!(error.code(), "invalid_request", "{forged:?}");
        }
    }

    async fn defect_23_limit_and_offset_have_bounds(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        auth.create_user("jane@example.com").await.unwrap();
        for limit in [0, 201, 1_000_000_000, u32::MAX] {
            let error = auth.list_users().limit(limit).await.unwrap_err();
            assert_eq!(faults(&error), ["limit out_of_range"], "{limit}");
        }
        let error = auth.list_users().offset(0).cursor("x").limit(0).await.unwrap_err();
        assert_eq!(faults(&error), ["limit out_of_range", "offset conflict"]);
        for limit in [1, 200] {
            assert_eq!(auth.list_users().limit(limit).await.unwrap().users.len(), 1);
        }
    }

    async fn defect_26_total_and_page_never_contradict_each_other(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        crowd(&auth, &db, 20, None).await;
        let writer = tokio::spawn({
            let auth = auth.clone();
            async move {
                for n in 0..40 {
                    let user = auth.create_user(format!("new{n}@example.com")).await.unwrap();
                    if n % 2 == 0 {
                        auth.delete_user(user.id).await.unwrap();
                    }
                }
            }
        });
        let mut sizes = BTreeSet::new();
        loop {
            // Asked first, so that one more page is read after the last change.
            let finished = writer.is_finished();
            let page = auth.list_users().limit(200).await.unwrap();
            assert_eq!(page.total, u64::try_from(page.users.len()).ok());
            sizes.insert(page.users.len());
            if finished {
                break;
            }
        }
        writer.await.unwrap();
        assert!(sizes.len() > 2, "nothing changed meanwhile: {sizes:?}");
        assert_eq!(sizes.last(), Some(&40).max(sizes.last()));
        assert_eq!(auth.list_users().total(Total::None).await.unwrap().total, None);
        let empty = auth.list_users().query("nobody at all").await.unwrap();
        assert_eq!((empty.users, empty.total), (vec![], Some(0)));
    }

    async fn defect_20_a_page_with_roles_and_total_is_one_statement(db: TestDatabase) {
        let clock = clock();
        // One connection for reading, so that none is set up meanwhile.
        let auth = builder(&clock).max_connections(1).connect(db.url()).await.unwrap();
        for n in 0..60 {
            auth.create_user(format!("user{n}@example.com")).role("editor").role("author").await.unwrap();
        }
        // The first call of a connection sets it up.
        auth.list_users().await.unwrap();
        for limit in [1, 50, 200] {
            let (page, statements) = counted(auth.list_users().limit(limit).into_future()).await;
            let page = page.unwrap();
            assert!(page.users.iter().all(|user| user.roles == ["author", "editor"]));
            assert_eq!((page.users.len(), page.total), (usize::try_from(limit.min(60)).unwrap(), Some(60)));
            assert_eq!(statements, 1, "for a page of {limit}");
            let call = auth.list_users().limit(limit).query("user").role("editor").banned(false).sort_by(SortBy::Name);
            let (page, statements) = counted(call.into_future()).await;
            assert_eq!((page.unwrap().total, statements), (Some(60), 1));
        }
        let (count, statements) = counted(auth.get_user_count().role("editor").into_future()).await;
        assert_eq!((count.unwrap(), statements), (60, 1));
        let id = auth.list_users().limit(1).await.unwrap().users[0].id;
        let (user, statements) = counted(auth.get_user(id).into_future()).await;
        assert_eq!((user.unwrap().roles.len(), statements), (2, 1));
        // The counter counts: two calls are two.
        let (_, statements) = counted(async {
            auth.list_users().await.unwrap();
            auth.get_user_count().await.unwrap()
        }).await;
        assert_eq!(statements, 2);
    }
}
