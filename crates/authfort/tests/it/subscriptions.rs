//! Durable subscribers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use authfort::{AuthFort, Clock, DeadLetterPolicy, Event, EventId, Start, Subscribe, Subscription, UserId};
use authfort_testkit::{Engine, TestDatabase, both_engines, run};
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::raw::Raw;
use crate::support::{builder, clock, service, until};
use crate::users::faults;

/// A delivery that is late by this much is lost.
const TIMEOUT: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// What a handler has received, each event once: if the machine stands still for longer than a lease, some come again.
#[derive(Clone)]
struct Inbox(Arc<watch::Sender<Vec<Event>>>);

impl Inbox {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }

    fn put(&self, event: Event) {
        self.0.send_modify(|got| {
            if got.iter().all(|known| known.id != event.id) {
                got.push(event);
            }
        });
    }

    /// The types of what has come, as soon as it is so many.
    async fn types(&self, count: usize) -> Vec<String> {
        self.events(count).await.into_iter().map(|event| event.r#type).collect()
    }

    async fn events(&self, count: usize) -> Vec<Event> {
        let mut got = self.0.subscribe();
        let got = timeout(TIMEOUT, got.wait_for(|got| got.len() >= count)).await;
        got.unwrap_or_else(|_| panic!("{} of {count}", self.0.borrow().len())).unwrap().clone()
    }

    fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// The types for each user, if they are in the order of the log.
    async fn by_user(&self, auth: &AuthFort) -> BTreeMap<UserId, Vec<String>> {
        let received = self.0.borrow().clone();
        let log = log(auth).await;
        let mut users: BTreeMap<UserId, Vec<(usize, String)>> = BTreeMap::new();
        for event in received {
            let place = log.iter().position(|id| *id == event.id).expect("an event of the log");
            users.entry(event.user_id.unwrap()).or_default().push((place, event.r#type));
        }
        assert!(users.values().all(|events| events.is_sorted()), "{users:?}");
        users.into_iter().map(|(user, events)| (user, events.into_iter().map(|(_, name)| name).collect())).collect()
    }
}

/// Counts when two handlers work for one user, until they are done or cancelled.
struct Working<'a>(UserId, &'a Mutex<BTreeSet<UserId>>);

impl<'a> Working<'a> {
    fn on(user: UserId, busy: &'a Mutex<BTreeSet<UserId>>, collisions: &AtomicUsize) -> Self {
        if !busy.lock().unwrap().insert(user) {
            collisions.fetch_add(1, Ordering::SeqCst);
        }
        Self(user, busy)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.1.lock().unwrap().remove(&self.0);
    }
}

/// The whole log in the order of commits.
async fn log(auth: &AuthFort) -> Vec<EventId> {
    let first = auth.list_events().order(authfort::SortOrder::Asc).limit(1).await.unwrap().events[0].id;
    let mut stream = auth.follow_events().after(first).await.unwrap();
    let mut ids = vec![first];
    let last = auth.create_user("the.last@example.com").await.unwrap();
    while let Some(event) = timeout(TIMEOUT, stream.next()).await.unwrap().unwrap() {
        ids.push(event.id);
        if event.user_id == Some(last.id) {
            break;
        }
    }
    auth.delete_user(last.id).await.unwrap();
    ids
}

/// A subscriber that receives everything, with short pauses and a short lease.
fn receive(auth: &AuthFort, name: &str, inbox: &Inbox) -> Subscribe {
    let inbox = inbox.clone();
    quick(auth.subscribe(name, move |event| {
        inbox.put(event);
        async { Ok::<(), String>(()) }
    }))
}

/// A subscriber that receives everything, but fails while its receiver is down.
async fn receive_unless(auth: &AuthFort, down: &Arc<AtomicBool>, inbox: &Inbox) -> Subscription {
    let (inbox, down) = (inbox.clone(), Arc::clone(down));
    let handler = move |event: Event| {
        let fails = down.load(Ordering::SeqCst);
        if !fails {
            inbox.put(event);
        }
        async move { if fails { Err("down") } else { Ok(()) } }
    };
    quick(auth.subscribe("billing-sync", handler)).attempts(100).await.unwrap()
}

fn quick(call: Subscribe) -> Subscribe {
    call.backoff(MILLISECOND, 10 * MILLISECOND).lease(SECOND)
}

async fn create(auth: &AuthFort, name: &str) -> UserId {
    auth.create_user(format!("{name}@example.com")).await.unwrap().id
}

async fn until_caught_up(subscription: &Subscription) {
    until("nothing left", async || {
        let status = subscription.status().await.unwrap();
        status.lag == 0 && status.waiting == 0
    })
    .await;
}

both_engines! {
    async fn a_replayed_event_that_fails_again_waits_whatever_is_due_behind_it(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let calls: Arc<watch::Sender<Vec<(String, Instant)>>> = Arc::default();
        let subscribe = async |attempts: u32| {
            let calls = Arc::clone(&calls);
            let handler = move |event: Event| {
                calls.send_modify(|calls| calls.push((event.r#type, Instant::now())));
                async { Err::<(), _>("down") }
            };
            let call = auth.subscribe("billing-sync", handler).backoff(100 * MILLISECOND, 100 * MILLISECOND);
            let call = call.attempts(attempts).dead_letters(DeadLetterPolicy::Pass).lease(SECOND);
            call.r#type("user_created").r#type("user_banned").await.unwrap()
        };
        let subscription = subscribe(1).await;
        let anna = create(&auth, "anna").await;
        until("it is dead", async || subscription.status().await.unwrap().dead == 1).await;
        subscription.stop().await;
        let subscription = subscribe(100).await;
        auth.ban_user(anna).await.unwrap();
        until("it waits", async || subscription.status().await.unwrap().waiting == 1).await;
        auth.replay_dead_letters("billing-sync").await.unwrap();
        let mut told = calls.subscribe();
        let of_first = |calls: &Vec<(String, Instant)>| {
            let first = calls.iter().filter(|(name, _)| name == "user_created").map(|(_, at)| *at);
            first.skip(1).collect::<Vec<_>>()
        };
        let many = timeout(TIMEOUT, told.wait_for(|calls| of_first(calls).len() >= 5)).await.unwrap().unwrap();
        // At least half the pause.
        assert!(of_first(&many).windows(2).all(|pair| pair[1] - pair[0] >= 45 * MILLISECOND), "{many:?}");
        drop(many);
        subscription.stop().await;
    }

    async fn a_subscription_keeps_its_place(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        create(&auth, "before").await;
        let inbox = Inbox::new();
        let subscription = receive(&auth, "billing-sync", &inbox).await.unwrap();
        let jane = create(&auth, "jane").await;
        auth.ban_user(jane).await.unwrap();
        assert_eq!(inbox.types(2).await, ["user_created", "user_banned"]);
        assert_eq!(inbox.events(2).await, auth.list_events().user_id(jane).order(authfort::SortOrder::Asc).await.unwrap().events);
        until_caught_up(&subscription).await;
        subscription.stop().await;

        auth.unban_user(jane).await.unwrap();
        auth.close().await;
        // Another process, another day. Where it would start counts for a new one only.
        let auth = builder(&clock).connect(db.url()).await.unwrap();
        auth.delete_user(jane).await.unwrap();
        let subscription = receive(&auth, "billing-sync", &inbox).start(Start::Beginning).await.unwrap();
        assert_eq!(inbox.types(4).await, ["user_created", "user_banned", "user_unbanned", "user_deleted"]);
        until_caught_up(&subscription).await;
    }

    async fn a_subscription_starts_where_it_is_told_and_selects_types(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = create(&auth, "jane").await;
        auth.ban_user(jane).await.unwrap();
        let banned = auth.list_events().r#type("user_banned").await.unwrap().events[0].id;
        auth.unban_user(jane).await.unwrap();
        let inboxes = [Inbox::new(), Inbox::new(), Inbox::new()];
        receive(&auth, "all", &inboxes[0]).start(Start::Beginning).await.unwrap();
        receive(&auth, "rest", &inboxes[1]).start(Start::After(banned)).await.unwrap();
        receive(&auth, "some", &inboxes[2]).start(Start::Beginning).r#type("user_deleted").r#type("user_banned").await.unwrap();
        auth.delete_user(jane).await.unwrap();
        let of_jane = ["user_created", "user_banned", "user_unbanned", "user_deleted"];
        // The key concerns nobody, so its order among the others is open.
        let all = inboxes[0].types(5).await;
        assert!(all.contains(&"key_rotated".to_owned()));
        assert_eq!(all.into_iter().filter(|name| name != "key_rotated").collect::<Vec<_>>(), of_jane);
        assert_eq!(inboxes[1].types(2).await, of_jane[2..]);
        assert_eq!(inboxes[2].types(2).await, ["user_banned", "user_deleted"]);
    }

    async fn a_failure_is_repeated_and_holds_up_nobody_else(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let (inbox, broken) = (Inbox::new(), Arc::new(AtomicBool::new(true)));
        let attempts = Arc::new(AtomicUsize::new(0));
        let jane = create(&auth, "jane").await;
        let handler = {
            let (inbox, broken, attempts) = (inbox.clone(), Arc::clone(&broken), Arc::clone(&attempts));
            move |event: Event| {
                let fails = event.user_id == Some(jane) && broken.load(Ordering::SeqCst);
                if fails {
                    attempts.fetch_add(1, Ordering::SeqCst);
                }
                inbox.put(event);
                async move { if fails { Err("the receiver is down") } else { Ok(()) } }
            }
        };
        let subscription = quick(auth.subscribe("billing-sync", handler)).attempts(100).await.unwrap();
        auth.ban_user(jane).await.unwrap();
        auth.unban_user(jane).await.unwrap();
        let john = create(&auth, "john").await;
        auth.ban_user(john).await.unwrap();
        until("john's events", async || {
            inbox.0.borrow().iter().filter(|event| event.user_id == Some(john)).count() == 2
        }).await;
        until("an error", async || subscription.status().await.unwrap().last_error.as_deref() == Some("the receiver is down")).await;
        until("both of jane's wait", async || subscription.status().await.unwrap().waiting == 2).await;
        until("several attempts", async || attempts.load(Ordering::SeqCst) > 3).await;
        let of_jane = inbox.0.borrow().iter().filter(|event| event.user_id == Some(jane)).count();
        assert_eq!(of_jane, 1, "always the same event, and the later one waits");
        broken.store(false, Ordering::SeqCst);
        until_caught_up(&subscription).await;
        assert_eq!(inbox.by_user(&auth).await[&jane], ["user_banned", "user_unbanned"]);
    }

    async fn a_dead_letter_holds_later_events_until_it_is_replayed_or_dropped(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let (inbox, broken) = (Inbox::new(), Arc::new(AtomicBool::new(true)));
        let handler = {
            let (inbox, broken) = (inbox.clone(), Arc::clone(&broken));
            move |event: Event| {
                let fails = broken.load(Ordering::SeqCst);
                if !fails || event.r#type != "user_created" {
                    inbox.put(event);
                }
                async move { if fails { Err(format!("down\0{}", "é".repeat(2_000))) } else { Ok(()) } }
            }
        };
        let subscription = quick(auth.subscribe("billing-sync", handler)).attempts(3).await.unwrap();
        let users = join_all(["jane", "john", "joan"].map(|name| create(&auth, name))).await;
        until("three are dead", async || subscription.status().await.unwrap().dead == 3).await;
        for user in &users {
            auth.ban_user(*user).await.unwrap();
        }
        until("three wait", async || subscription.status().await.unwrap().waiting == 3).await;
        assert_eq!(inbox.len(), 0, "they wait behind a dead letter");

        let page = auth.list_dead_letters("billing-sync").await.unwrap();
        assert_eq!(page.letters.iter().map(|letter| letter.attempts).collect::<Vec<_>>(), [3, 3, 3]);
        let error = &page.letters[0].error;
        assert!(error.starts_with("down\u{fffd}é") && error.len() < 1_010, "{error}");
        let first = auth.list_dead_letters("billing-sync").limit(2).await.unwrap();
        assert_eq!(first.letters, page.letters[..2]);
        let rest = auth.list_dead_letters("billing-sync").after(first.next_cursor.unwrap()).await.unwrap();
        assert_eq!((rest.letters.as_slice(), rest.next_cursor), (&page.letters[2..], None));

        broken.store(false, Ordering::SeqCst);
        let [replayed, dropped, last] = page.letters.iter().map(|letter| letter.event.clone()).collect::<Vec<_>>().try_into().unwrap();
        auth.replay_dead_letter("billing-sync", replayed.id).await.unwrap();
        assert_eq!(inbox.types(2).await, ["user_created", "user_banned"]);
        auth.drop_dead_letter("billing-sync", dropped.id).await.unwrap();
        assert_eq!(inbox.types(3).await[2], "user_banned");
        assert_eq!(auth.replay_dead_letters("billing-sync").await.unwrap(), 1);
        assert_eq!(inbox.events(5).await[3..].iter().map(|event| event.user_id).collect::<Vec<_>>(), [last.user_id; 2]);
        until_caught_up(&subscription).await;
        assert_eq!(subscription.status().await.unwrap().dead, 0);

        for gone in [replayed.id, dropped.id, EventId::from(uuid::Uuid::nil())] {
            assert_eq!(auth.replay_dead_letter("billing-sync", gone).await.unwrap_err().code(), "dead_letter_not_found");
            assert_eq!(auth.drop_dead_letter("billing-sync", gone).await.unwrap_err().code(), "dead_letter_not_found");
        }
        for error in [
            auth.replay_dead_letter("nothing", last.id).await.unwrap_err(),
            auth.drop_dead_letter("nothing", last.id).await.unwrap_err(),
            auth.replay_dead_letters("nothing").await.unwrap_err(),
            auth.list_dead_letters("nothing").await.unwrap_err(),
            auth.delete_subscription("nothing").await.unwrap_err(),
        ] {
            assert_eq!(error.code(), "subscription_not_found");
        }
        assert_eq!(faults(&auth.list_dead_letters("billing-sync").limit(0).await.unwrap_err()), ["limit out_of_range"]);
        let unknown = auth.list_dead_letters("billing-sync").after(EventId::from(uuid::Uuid::nil())).await.unwrap_err();
        assert_eq!(faults(&unknown), ["after not_found"]);
    }

    async fn a_dead_letter_lets_later_events_pass_if_it_is_told_to(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let inbox = Inbox::new();
        let handler = {
            let inbox = inbox.clone();
            move |event: Event| {
                let fails = event.r#type == "user_created";
                inbox.put(event);
                async move { if fails { Err("never") } else { Ok(()) } }
            }
        };
        let call = quick(auth.subscribe("billing-sync", handler)).attempts(2).dead_letters(DeadLetterPolicy::Pass);
        let subscription = call.await.unwrap();
        let jane = create(&auth, "jane").await;
        auth.ban_user(jane).await.unwrap();
        assert_eq!(inbox.types(2).await, ["user_created", "user_banned"]);
        auth.unban_user(jane).await.unwrap();
        assert_eq!(inbox.types(3).await[2], "user_unbanned");
        until_caught_up(&subscription).await;
        assert_eq!(subscription.status().await.unwrap().dead, 1);
    }

    async fn a_panic_and_a_timeout_are_failures(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let calls = Arc::new(AtomicUsize::new(0));
        let handler = {
            let calls = Arc::clone(&calls);
            move |_: Event| {
                let call = calls.fetch_add(1, Ordering::SeqCst);
                assert!(call != 0, "in the call");
                async move {
                    assert!(call != 1, "in the future");
                    if call == 2 {
                        sleep(TIMEOUT).await;
                    }
                    Ok::<(), String>(())
                }
            }
        };
        let subscription = quick(auth.subscribe("billing-sync", handler)).timeout(50 * MILLISECOND).await.unwrap();
        create(&auth, "jane").await;
        until("four calls", async || calls.load(Ordering::SeqCst) == 4).await;
        until_caught_up(&subscription).await;
        let status = subscription.status().await.unwrap();
        assert_eq!(status.last_error.as_deref(), Some("the handler took longer than 50ms"));
        assert_eq!(status.dead, 0);
    }

    async fn a_slow_user_holds_up_nobody_else(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = create(&auth, "jane").await;
        let (inbox, slow) = (Inbox::new(), watch::Sender::new(true));
        let handler = {
            let (inbox, slow) = (inbox.clone(), slow.clone());
            move |event: Event| {
                let (inbox, mut slow) = (inbox.clone(), slow.subscribe());
                async move {
                    if event.user_id == Some(jane) {
                        slow.wait_for(|slow| !*slow).await.unwrap();
                    }
                    inbox.put(event);
                    Ok::<(), String>(())
                }
            }
        };
        let subscription = quick(auth.subscribe("billing-sync", handler)).await.unwrap();
        auth.ban_user(jane).await.unwrap();
        // Users of all lanes, also of jane's.
        let others = join_all((0..32).map(|n| {
            let auth = auth.clone();
            async move { create(&auth, &format!("user{n}")).await }
        })).await;
        inbox.events(32).await;
        auth.unban_user(jane).await.unwrap();
        for other in &others {
            auth.ban_user(*other).await.unwrap();
        }
        assert!(inbox.events(64).await.iter().all(|event| event.user_id != Some(jane)));
        slow.send_replace(false);
        until_caught_up(&subscription).await;
        assert_eq!(inbox.len(), 66);
        assert_eq!(inbox.by_user(&auth).await[&jane], ["user_banned", "user_unbanned"]);
    }

    async fn processes_share_the_work_and_never_do_it_twice_at_a_time(db: TestDatabase) {
        let clock = clock();
        let nodes = [builder(&clock).connect(db.url()).await.unwrap(), builder(&clock).connect(db.url()).await.unwrap()];
        let (inbox, busy) = (Inbox::new(), Arc::new(Mutex::new(BTreeSet::new())));
        let collisions = Arc::new(AtomicUsize::new(0));
        let counts = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
        let mut subscriptions = Vec::new();
        for (auth, count) in nodes.iter().zip(&counts) {
            let (inbox, busy, count, collisions) = (inbox.clone(), Arc::clone(&busy), Arc::clone(count), Arc::clone(&collisions));
            let call = auth.subscribe("billing-sync", move |event: Event| {
                let (inbox, busy, collisions) = (inbox.clone(), Arc::clone(&busy), Arc::clone(&collisions));
                count.fetch_add(1, Ordering::SeqCst);
                async move {
                    let working = Working::on(event.user_id.unwrap(), &busy, &collisions);
                    tokio::task::yield_now().await;
                    inbox.put(event);
                    drop(working);
                    Ok::<(), String>(())
                }
            });
            subscriptions.push(quick(call).lease(4 * SECOND).await.unwrap());
        }
        until("both have joined", async || subscriptions[0].status().await.unwrap().processes == 2).await;
        let raw = Raw::open(&db, 1).await;
        let owners = "SELECT count(DISTINCT owner) FROM authfort_subscription_lanes";
        until("both have lanes", async || raw.number(owners).await == 2).await;
        let four = "SELECT min(n) FROM (SELECT count(*) AS n FROM authfort_subscription_lanes WHERE owner IS NOT NULL GROUP BY owner) counted";
        until("each has half", async || raw.number(four).await == 4).await;
        let users = join_all((0..16).map(|n| {
            let auth = nodes[n % 2].clone();
            async move { create(&auth, &format!("user{n}")).await }
        })).await;
        // A hundred changes of one user at once, from both.
        let changes = (0..100).map(|n| {
            let (auth, user) = (nodes[n % 2].clone(), users[0]);
            async move { auth.ban_user(user).reason(format!("{n}")).await.unwrap() }
        });
        join_all(changes).await;
        inbox.events(116).await;
        until_caught_up(&subscriptions[1]).await;
        assert_eq!((inbox.len(), collisions.load(Ordering::SeqCst)), (116, 0));
        assert_eq!(inbox.by_user(&nodes[0]).await[&users[0]].len(), 101);
        let counts = counts.map(|count| count.load(Ordering::SeqCst));
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");

        // Who is told to stop hands over at once.
        subscriptions.remove(0).stop().await;
        until("the other has all", async || {
            raw.number("SELECT count(*) FROM authfort_subscription_lanes WHERE owner IS NOT NULL").await == 8 && raw.number(owners).await == 1
        }).await;
        let before = inbox.len();
        for user in &users[1..] {
            nodes[0].ban_user(*user).await.unwrap();
        }
        inbox.events(before + 15).await;
    }

    async fn another_process_takes_over_from_one_that_died(db: TestDatabase) {
        let clock = clock();
        let auth = builder(&clock).connect(db.url()).await.unwrap();
        let jane = create(&auth, "jane").await;
        let started = Arc::new(AtomicUsize::new(0));
        {
            let dying = builder(&clock).connect(db.url()).await.unwrap();
            let counts = Arc::clone(&started);
            let call = dying.subscribe("billing-sync", move |_: Event| {
                counts.fetch_add(1, Ordering::SeqCst);
                std::future::pending::<Result<(), String>>()
            });
            quick(call).await.unwrap();
            auth.ban_user(jane).await.unwrap();
            until("it has begun", async || started.load(Ordering::SeqCst) > 0).await;
            // Dropped without a word, as by a crash.
        }
        auth.unban_user(jane).await.unwrap();
        let inbox = Inbox::new();
        let subscription = receive(&auth, "billing-sync", &inbox).await.unwrap();
        assert_eq!(inbox.types(2).await, ["user_banned", "user_unbanned"]);
        until_caught_up(&subscription).await;
        assert_eq!(started.load(Ordering::SeqCst), 1);
    }

    async fn who_has_lost_a_lane_writes_nothing_more(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let raw = Raw::open(&db, 1).await;
        let inbox = Inbox::new();
        let subscription = receive(&auth, "billing-sync", &inbox).await.unwrap();
        create(&auth, "jane").await;
        inbox.events(1).await;
        until_caught_up(&subscription).await;
        let owned = "SELECT count(*) FROM authfort_subscription_lanes WHERE owner IS NOT NULL";
        until("all lanes", async || raw.number(owned).await == 8).await;
        // Somebody else has them, until they are given back.
        let stolen = match db.engine() {
            Engine::Sqlite => "zeroblob(16)",
            Engine::Postgres => "'00000000-0000-0000-0000-000000000000'",
        };
        let steal = format!("UPDATE authfort_subscription_lanes SET owner = {stolen}, fence = fence + 10, leased_until = leased_until + 10000000");
        raw.execute(steal).await.unwrap();
        let positions = "SELECT CAST(sum(position) AS bigint) FROM authfort_subscription_lanes";
        let before = raw.number(positions).await;
        for n in 0..16 {
            create(&auth, &format!("user{n}")).await;
        }
        // It may deliver until it notices.
        sleep(SECOND).await;
        assert_eq!(raw.number(positions).await, before, "it has written nothing");
        raw.execute("UPDATE authfort_subscription_lanes SET leased_until = 0").await.unwrap();
        until_caught_up(&subscription).await;
        let users: BTreeSet<_> = inbox.events(17).await.iter().map(|event| event.user_id).collect();
        assert_eq!(users.len(), 17);
    }

    async fn a_receiver_that_was_down_gets_everything_in_order(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let (inbox, down) = (Inbox::new(), Arc::new(AtomicBool::new(true)));
        let subscription = receive_unless(&auth, &down, &inbox).await;
        let users = join_all((0..12).map(|n| {
            let auth = auth.clone();
            async move {
                let user = create(&auth, &format!("user{n}")).await;
                for _ in 0..3 {
                    auth.ban_user(user).await.unwrap();
                    auth.unban_user(user).await.unwrap();
                }
                auth.delete_user(user).await.unwrap();
                user
            }
        })).await;
        until("everything waits", async || subscription.status().await.unwrap().waiting == 12 * 8).await;
        down.store(false, Ordering::SeqCst);
        until_caught_up(&subscription).await;
        assert_eq!(inbox.len(), 12 * 8);
        let got = inbox.by_user(&auth).await;
        for user in users {
            let turns = ["user_banned", "user_unbanned"].repeat(3);
            assert_eq!(got[&user], [&["user_created"], turns.as_slice(), &["user_deleted"]].concat());
        }
    }

    async fn a_handler_may_call_the_library(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let inbox = Inbox::new();
        receive(&auth, "log", &inbox).await.unwrap();
        let service = auth.clone();
        let call = auth.subscribe("welcome", move |event: Event| {
            let auth = service.clone();
            async move { auth.add_role(event.user_id.unwrap(), "member").await.map(|_| ()) }
        });
        quick(call).r#type("user_created").await.unwrap();
        for n in 0..20 {
            create(&auth, &format!("user{n}")).await;
        }
        let types = inbox.types(40).await;
        assert_eq!(types.iter().filter(|name| *name == "role_added").count(), 20);
    }

    async fn a_deleted_subscription_stops_and_a_new_one_begins_anew(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let (old, new) = (Inbox::new(), Inbox::new());
        receive(&auth, "billing-sync", &old).await.unwrap();
        create(&auth, "jane").await;
        old.events(1).await;
        assert_eq!(auth.list_subscriptions().await.unwrap().iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["billing-sync"]);
        auth.delete_subscription("billing-sync").await.unwrap();
        assert_eq!(auth.list_subscriptions().await.unwrap(), []);
        receive(&auth, "billing-sync", &new).start(Start::Beginning).await.unwrap();
        create(&auth, "john").await;
        assert_eq!(new.types(3).await.len(), 3, "also if the old one has not noticed yet");
        // By its next renewal it has: a round of users comes to the new one alone.
        for round in 0.. {
            let (known, before) = (new.len(), old.len());
            for n in 0..16 {
                create(&auth, &format!("user{round}.{n}")).await;
            }
            new.events(known + 16).await;
            if old.len() == before {
                break;
            }
        }
        assert_eq!(auth.list_subscriptions().await.unwrap().len(), 1);
    }

    async fn options_out_of_range_are_refused(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let call = |name: &str| auth.subscribe(name, |_| async { Ok::<(), String>(()) });
        let unknown = EventId::from(uuid::Uuid::nil());
        for (call, fault) in [
            (call("Billing"), "name invalid"),
            (call(""), "name invalid"),
            (call("a").attempts(0), "attempts out_of_range"),
            (call("a").attempts(101), "attempts out_of_range"),
            (call("a").concurrency(0), "concurrency out_of_range"),
            (call("a").timeout(Duration::ZERO), "timeout out_of_range"),
            (call("a").lease(MILLISECOND), "lease out_of_range"),
            (call("a").backoff(2 * SECOND, SECOND), "backoff out_of_range"),
            (call("a").r#type("nonsense"), "type not_allowed"),
            (call("a").start(Start::After(unknown)), "start not_found"),
        ] {
            assert_eq!(faults(&call.await.unwrap_err()), [fault]);
        }
        assert_eq!(auth.list_subscriptions().await.unwrap(), []);
    }

    async fn an_event_that_was_deleted_or_is_unreadable_stops_nobody(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let (inbox, down) = (Inbox::new(), Arc::new(AtomicBool::new(true)));
        let subscription = receive_unless(&auth, &down, &inbox).await;
        let [jane, john] = [create(&auth, "jane").await, create(&auth, "john").await];
        auth.ban_user(jane).await.unwrap();
        auth.ban_user(john).await.unwrap();
        until("all wait", async || subscription.status().await.unwrap().waiting == 4).await;
        let raw = Raw::open(&db, 1).await;
        raw.execute("DELETE FROM authfort_events WHERE data LIKE '%jane%'").await.unwrap();
        raw.execute("UPDATE authfort_events SET data = 'odd' WHERE data LIKE '%john%'").await.unwrap();
        down.store(false, Ordering::SeqCst);
        // Jane's ban comes; john's waits behind what nobody can read.
        let got = inbox.events(1).await;
        assert_eq!((got[0].r#type.as_str(), got[0].user_id), ("user_banned", Some(jane)));
        until("why", async || {
            subscription.status().await.unwrap().last_error.as_deref() == Some("the data of this event is no JSON object")
        }).await;
    }
}

#[test]
fn who_commits_late_is_delivered_late_and_not_missed() {
    run(Engine::Postgres, async |db| {
        let auth = builder(&Clock::system()).connect(db.url()).await.unwrap();
        let inbox = Inbox::new();
        let subscription = receive(&auth, "billing-sync", &inbox).await.unwrap();
        let raw = Raw::open(&db, 2).await;
        let mut late = raw.begin().await;
        let first = auth.create_user("late@example.com").in_tx(late.conn()).await.unwrap().id;
        for n in 0..20 {
            create(&auth, &format!("user{n}")).await;
        }
        inbox.events(20).await;
        until_caught_up(&subscription).await;
        late.commit().await.unwrap();
        assert_eq!(inbox.events(21).await[20].user_id, Some(first));
    });
}
