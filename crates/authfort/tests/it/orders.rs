//! Every order with every filter: pages by offset from both ends, and by cursor forth and back, against a model.

use authfort::{AuthFort, DeletedFilter, SortBy, SortOrder, Total, User, UserFilter};
use authfort_testkit::{TestDatabase, both_engines};
use chrono::TimeDelta;

use crate::list::{KEYS, ORDERS, combinations, matches};
use crate::raw::Raw;
use crate::support::service;

const USERS: u32 = 420;

/// Users whose keys tie, whose bans ended, end today, later or never, and who have roles although they are anonymized.
async fn filled(db: &TestDatabase) -> AuthFort {
    let (auth, clock) = service(db).await;
    let raw = Raw::open(db, 1).await;
    let mut tx = raw.begin().await;
    for n in 0..USERS {
        if n % 3 == 0 {
            clock.advance(TimeDelta::seconds(1));
        }
        let mut call = auth.create_user(format!("user{:03}@example.com", n * 97 % USERS)).email_verified(n % 4 == 0);
        if n % 5 > 0 {
            call = call.name(format!("Name {}", n * 7 % 13));
        }
        for (role, every) in [("member", 2), ("editor", 7)] {
            if n % every == 0 {
                call = call.role(role);
            }
        }
        let id = call.in_tx(tx.conn()).await.unwrap().id;
        let now = clock.now();
        let ends = [now + TimeDelta::seconds(1), now + TimeDelta::hours(2), now + TimeDelta::days(3)];
        match n % 11 {
            1 => drop(auth.ban_user(id).in_tx(tx.conn()).await.unwrap()),
            end @ 2..=4 => {
                let end = ends[usize::try_from(end).unwrap() - 2];
                drop(auth.ban_user(id).expires_at(end).in_tx(tx.conn()).await.unwrap());
            }
            _ => {}
        }
    }
    tx.commit().await.unwrap();
    raw.execute("UPDATE authfort_users SET deleted_at = updated_at WHERE email LIKE '%3@example.com'").await.unwrap();
    clock.advance(TimeDelta::minutes(10));
    auth
}

pub async fn everybody(auth: &AuthFort) -> Vec<User> {
    let mut users = Vec::new();
    let call = auth.list_users().deleted(DeletedFilter::With).limit(200);
    let mut page = call.clone().await.unwrap();
    loop {
        users.append(&mut page.users);
        let Some(next) = page.next_cursor else { return users };
        page = call.clone().cursor(next).await.unwrap();
    }
}

/// The order, without SQL. Who has no name comes last in both directions.
fn sort(users: &mut [&User], by: SortBy, order: SortOrder) {
    users.sort_by_key(|user| user.id);
    match by {
        SortBy::Email => users.sort_by_key(|user| user.email.clone()),
        SortBy::Name => users.sort_by_key(|user| user.name.as_ref().map(|name| name.to_lowercase())),
        _ => users.sort_by_key(|user| user.created_at),
    }
    if order == SortOrder::Desc {
        users.reverse();
    }
    if by == SortBy::Name {
        users.sort_by_key(|user| user.name.is_none());
    }
}

/// Compares pages of this list with the model: at several offsets, and from there by cursor, forth and back. Returns how many
/// users match.
pub async fn agrees(auth: &AuthFort, users: &[User], filter: &UserFilter, by: SortBy, order: SortOrder) -> usize {
    let mut all: Vec<&User> = users.iter().filter(|user| matches(user, filter)).collect();
    sort(&mut all, by, order);
    let call = || auth.list_users().filter(filter.clone()).sort_by(by).sort_order(order).limit(13);
    for offset in [0, all.len() / 3, all.len() * 2 / 3, all.len().saturating_sub(5), all.len()] {
        let about = format!("{filter:?} {by:?} {order:?}, {offset} of {}", all.len());
        let page = call().offset(u64::try_from(offset).unwrap()).await.unwrap();
        let end = all.len().min(offset + 13);
        assert_eq!(page.users.iter().collect::<Vec<_>>(), &all[offset..end], "{about}");
        assert_eq!(page.total, u64::try_from(all.len()).ok(), "{about}");
        assert_eq!(page.next_cursor.is_some(), end < all.len(), "{about}");
        if let Some(next) = page.next_cursor {
            let next = call().cursor(next).total(Total::Capped).await.unwrap();
            assert_eq!(next.users.iter().collect::<Vec<_>>(), &all[end..all.len().min(end + 13)], "after {about}");
            let capped = (u64::try_from(all.len().min(1_000)).ok(), Some(all.len() > 1_000));
            assert_eq!((next.total, next.total_is_capped), capped, "after {about}");
        }
        if let Some(previous) = page.prev_cursor {
            let previous = call().cursor(previous).total(Total::None).await.unwrap();
            let expected = &all[offset.saturating_sub(13)..offset];
            assert_eq!(previous.users.iter().collect::<Vec<_>>(), expected, "before {about}");
        }
    }
    all.len()
}

both_engines! {
    async fn every_order_shows_what_every_filter_means_by_offset_and_by_cursor(db: TestDatabase) {
        let auth = filled(&db).await;
        assert!(auth.check_totals().await.unwrap().is_consistent());
        let users = everybody(&auth).await;
        assert_eq!(users.len(), usize::try_from(USERS).unwrap());
        let (early, late) = (users[350].created_at, users[40].created_at);
        let orders: Vec<_> = KEYS.iter().flat_map(|by| ORDERS.map(|order| (*by, order))).collect();
        let roles: [&[&str]; 5] = [&[], &["member"], &["editor"], &["editor", "member"], &["nobody"]];
        let mut sizes = std::collections::BTreeSet::new();
        for (round, mut filter) in combinations(&roles).into_iter().enumerate() {
            match round % 4 {
                1 => filter.created_after = Some(early),
                2 => filter.created_before = Some(late),
                3 => (filter.created_after, filter.created_before) = (Some(early), Some(late)),
                _ => {}
            }
            // Each filter in three of the orders, and each order with every kind of filter.
            for (by, order) in orders.iter().skip(round % 2).step_by(2).copied() {
                sizes.insert(agrees(&auth, &users, &filter, by, order).await);
            }
        }
        assert!(sizes.len() > 20 && sizes.contains(&0) && sizes.last() > Some(&250), "{sizes:?}");
    }

    /// By every order of every kind of list, while others come, go, and move in front of it and behind it.
    async fn a_walk_by_cursor_shows_each_user_once_by_every_filter_while_others_write(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let raw = Raw::open(&db, 1).await;
        let mut tx = raw.begin().await;
        let mut crowd = std::collections::BTreeSet::new();
        for n in 0..130u32 {
            let call = auth.create_user(format!("user{:03}@example.com", n * 97 % 130)).role("member").role("editor");
            let call = if n % 4 == 0 { call } else { call.name(format!("Name {}", n % 5)) };
            let id = call.in_tx(tx.conn()).await.unwrap().id;
            auth.ban_user(id).in_tx(tx.conn()).await.unwrap();
            crowd.insert(id);
            clock.advance(TimeDelta::seconds(i64::from(n % 2)));
        }
        tx.commit().await.unwrap();
        let mut filters = vec![UserFilter::default(); 6];
        filters[0].roles = vec!["member".into()];
        filters[1].banned = Some(true);
        filters[2].email_verified = Some(false);
        (filters[3].roles, filters[3].banned) = (vec!["editor".into()], Some(true));
        filters[4].roles = vec!["editor".into(), "member".into()];
        filters[5].query = Some("example".into());
        for (round, filter) in filters.into_iter().enumerate() {
            for (by, order) in KEYS.iter().flat_map(|by| ORDERS.map(|order| (*by, order))) {
                let about = format!("{filter:?} {by:?} {order:?}");
                let call = auth.list_users().filter(filter.clone()).sort_by(by).sort_order(order).limit(30).total(Total::None);
                let mut page = call.clone().await.unwrap();
                let (mut seen, mut other) = (Vec::new(), None);
                for step in 0.. {
                    seen.extend(page.users.iter().map(|user| user.id).filter(|id| crowd.contains(id)));
                    let email = format!("{}{round}-{step}@example.com", if step % 2 == 0 { "a" } else { "z" });
                    let name = if step % 2 == 0 { "Aaa" } else { "Zzz" };
                    let new = auth.create_user(email).name(name).role("member").await.unwrap().id;
                    auth.ban_user(new).await.unwrap();
                    if let Some(old) = other.replace(new) {
                        auth.update_user(old).name("Name 2").await.unwrap();
                        auth.delete_user(old).await.unwrap();
                    }
                    let Some(next) = page.next_cursor.take() else { break };
                    page = call.clone().cursor(next).await.unwrap();
                }
                let once: std::collections::BTreeSet<_> = seen.iter().copied().collect();
                assert_eq!((seen.len(), &once), (crowd.len(), &crowd), "{about}");
                auth.delete_user(other.unwrap()).await.unwrap();
            }
        }
        assert!(auth.check_totals().await.unwrap().is_consistent());
    }
}
