//! A random history: tokens are made and revoked in every way, on two nodes and past them, while readers on both nodes use
//! them. A model knows since when each token is revoked.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use authfort::{AuthFort, SignedIn};
use authfort_testkit::{TestDatabase, both_engines};

use crate::raw::Raw;
use crate::support::{builder, clock};
use crate::tools::{Dice, access, code, refresh};

const BOUND: Duration = Duration::from_millis(200);
const OPERATIONS: u64 = 60;
const USERS: usize = 5;

struct Token {
    signed_in: SignedIn,
    /// From here on it may be refused.
    revoking: AtomicBool,
    /// From the bound after this on it must be refused.
    revoked: OnceLock<Instant>,
}

impl Token {
    fn new(signed_in: SignedIn) -> Arc<Self> {
        Arc::new(Self { signed_in, revoking: AtomicBool::new(false), revoked: OnceLock::new() })
    }
}

/// What all tasks share.
struct History {
    nodes: [AuthFort; 2],
    raw: Raw,
    /// The newest tokens, revoked or not.
    tokens: Mutex<Vec<Arc<Token>>>,
    over: AtomicBool,
    accepted: AtomicUsize,
    refused: AtomicUsize,
}

impl History {
    fn node(&self, dice: &mut Dice) -> &AuthFort {
        &self.nodes[usize::try_from(dice.roll(2)).unwrap()]
    }

    fn add(&self, token: Arc<Token>) {
        let mut tokens = self.tokens.lock().unwrap();
        tokens.push(token);
        if tokens.len() > USERS * 4 {
            tokens.remove(0);
        }
    }

    /// Revokes a token in one of many ways, and returns the next one.
    async fn revoke(&self, token: &Token, dice: &mut Dice, unique: u64) -> SignedIn {
        let auth = self.node(dice).clone();
        let id = token.signed_in.user.id;
        let literal = self.raw.literal(id);
        token.revoking.store(true, Ordering::SeqCst);
        let mut next = id;
        match dice.roll(10) {
            0 => drop(auth.ban_user(id).await.unwrap()),
            1 => drop(auth.revoke_session(id, token.signed_in.session_id).await.unwrap()),
            2 => drop(auth.revoke_sessions(id).await.unwrap()),
            3 => drop(auth.logout(refresh(&token.signed_in)).await.unwrap()),
            4 => auth.set_password(id, format!("battery horse {unique}")).await.unwrap(),
            5 => {
                auth.add_role(id, format!("role{unique}")).await.unwrap();
            }
            6 => {
                auth.delete_user(id).await.unwrap();
                next = auth.create_user(format!("new{unique}@example.com")).await.unwrap().id;
            }
            7 => {
                self.raw
                    .execute(format!("UPDATE authfort_users SET banned = TRUE WHERE id = {literal}"))
                    .await
                    .unwrap();
            }
            8 => self.raw.execute(format!("DELETE FROM authfort_sessions WHERE user_id = {literal}")).await.unwrap(),
            _ => {
                let mut tx = self.raw.begin().await;
                auth.ban_user(id).in_tx(tx.conn()).await.unwrap();
                tx.commit().await.unwrap();
            }
        }
        token.revoked.set(Instant::now()).unwrap();
        // Readers are to see it refused. Then nothing must let it through again.
        tokio::time::sleep(BOUND * 2).await;
        if next == id {
            auth.revoke_sessions(id).await.unwrap();
            auth.unban_user(id).await.unwrap();
        }
        self.node(dice).create_session(next).await.unwrap()
    }

    async fn write(&self, mut token: Arc<Token>, mut dice: Dice, operations: std::ops::Range<u64>) {
        for unique in operations {
            let next = Token::new(self.revoke(&token, &mut dice, unique).await);
            self.add(Arc::clone(&next));
            token = next;
        }
    }

    async fn read(&self, mut dice: Dice) {
        while !self.over.load(Ordering::SeqCst) {
            let token = {
                let tokens = self.tokens.lock().unwrap();
                Arc::clone(&tokens[usize::try_from(dice.roll(tokens.len() as u64)).unwrap()])
            };
            let node = self.node(&mut dice);
            let asked = Instant::now();
            let revoked = token.revoked.get().copied();
            let answer = node.authenticate(access(&token.signed_in)).await;
            let answer = code(&answer);
            if answer == "ok" {
                let since = revoked.map(|revoked| asked.duration_since(revoked));
                assert!(since.is_none_or(|since| since <= BOUND), "let through {since:?} after it was revoked");
                self.accepted.fetch_add(1, Ordering::Relaxed);
            } else {
                assert!(token.revoking.load(Ordering::SeqCst), "{answer}: refused, and nobody revokes it");
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
            tokio::task::yield_now().await;
        }
    }
}

both_engines! {
    async fn no_request_is_let_through_after_the_bound_and_none_is_refused_before(db: TestDatabase) {
        let node = async || {
            // On SQLite, those that write wait for each other.
            let options = builder(&clock()).guard_staleness(BOUND).acquire_timeout(Duration::from_secs(30));
            options.connect(db.url()).await.unwrap()
        };
        let nodes = [node().await, node().await];
        let history = Arc::new(History {
            raw: Raw::open(&db, 4).await,
            tokens: Mutex::default(),
            over: AtomicBool::new(false),
            accepted: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            nodes,
        });
        let mut writers = Vec::new();
        for n in 0..USERS as u64 {
            let id = history.nodes[0].create_user(format!("user{n}@example.com")).await.unwrap().id;
            let token = Token::new(history.nodes[1].create_session(id).await.unwrap());
            history.add(Arc::clone(&token));
            let each = OPERATIONS / USERS as u64;
            let (history, operations) = (Arc::clone(&history), n * each..(n + 1) * each);
            writers.push(tokio::spawn(async move { history.write(token, Dice(n), operations).await }));
        }
        let readers: Vec<_> = (0..4)
            .map(|n| {
                let history = Arc::clone(&history);
                tokio::spawn(async move { history.read(Dice(100 + n)).await })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        history.over.store(true, Ordering::SeqCst);
        for reader in readers {
            reader.await.unwrap();
        }
        assert!(history.accepted.load(Ordering::Relaxed) > 0 && history.refused.load(Ordering::Relaxed) > 0);
    }
}
