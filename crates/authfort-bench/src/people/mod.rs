//! The users of the measured database: the same ones for the same number, whatever the engine.
//!
//! | what | how many |
//! |---|---|
//! | role `admin`, `editor`, `member` | 0.01 %, 5 %, 30 %, each by itself |
//! | banned | 1 %: a fifth with an end, of which half is past |
//! | anonymized, without a name | 1 %, 4 % |
//! | address verified | 90 % |
//! | address at `bigmail.example` | 10 %: one term finds them all |
//! | a name that ten users share | five such names, spread over the whole list |
//! | names in Chinese, Japanese, Korean | 2 % |
//! | created | over three years, in the order of insertion but for half a day |

mod names;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use unicode_normalization::UnicodeNormalization as _;
use uuid::{Builder, Uuid};

/// The domain of a tenth of the users, and the term that finds them.
pub const BROAD_TERM: &str = "bigmail";
/// Family names of ten users each, whatever the number of all.
pub const PLANTED: [&str; 5] = ["Quillfeather", "Ravenscroft", "Qxavierra", "Þórsdóttir", "Zwingmoor"];
/// How many have each of them.
pub const PLANTED_EACH: u64 = 10;

pub struct Person {
    pub id: Uuid,
    pub email: String,
    pub email_verified: bool,
    pub name: Option<String>,
    pub name_key: Option<String>,
    pub search_key: String,
    pub phone: Option<String>,
    pub metadata: &'static str,
    pub ban: Option<Ban>,
    pub created_at: DateTime<Utc>,
    pub last_login_at: Option<DateTime<Utc>>,
    pub deleted_at: Option<DateTime<Utc>>,
    pub roles: Vec<&'static str>,
    /// Whether sessions hang on the user.
    pub has_sessions: bool,
}

pub struct Ban {
    pub at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Draws users.
pub struct People {
    total: u64,
    now: DateTime<Utc>,
    first: Vec<&'static str>,
    last: Vec<&'static str>,
    family: Vec<&'static str>,
    given: Vec<&'static str>,
    domains: Vec<&'static str>,
}

impl People {
    pub fn new(total: u64, now: DateTime<Utc>) -> Self {
        let words = |text: &'static str| text.split_whitespace().collect();
        Self {
            total,
            now: now.trunc_subsecs(0),
            first: words(names::FIRST),
            last: words(names::LAST),
            family: words(names::CJK_FAMILY),
            given: words(names::CJK_GIVEN),
            domains: words(names::DOMAINS),
        }
    }

    pub fn person(&self, number: u64) -> Person {
        let mut dice = Dice(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed);
        let created_at = self.created(number, &mut dice);
        let id = id(created_at, &mut dice);
        let (first, last, name) = self.name(number, &mut dice);
        let domain = if dice.below(10) == 0 { "bigmail.example" } else { dice.pick(&self.domains) };
        let email = format!("{}.{}{number}@{domain}", plain(first), plain(last));
        let mut roles = Vec::new();
        // By count and not by chance: a small list has an administrator too.
        for (role, every) in [("admin", 10_000), ("editor", 20), ("member", 10)] {
            let share = if role == "member" { 3 } else { 1 };
            if dice.below(every) < share || (role == "admin" && number == 0) {
                roles.push(role);
            }
        }
        let anonymized = dice.below(100) == 0 && number != 0 && self.planted(number).is_none();
        let banned = dice.below(100) == 0;
        let unnamed = dice.below(25) == 0 && self.planted(number).is_none();
        let name = (!unnamed).then_some(name);
        let name_key = name.as_deref().map(fold);
        let person = Person {
            id,
            search_key: search_key(&email, name_key.as_deref()),
            email,
            email_verified: dice.below(10) != 0,
            name,
            name_key,
            phone: (dice.below(4) == 0)
                .then(|| format!("+41 44 {:03} {:02} {:02}", dice.below(1000), dice.below(100), dice.below(100))),
            metadata: if dice.below(3) == 0 { r#"{"plan":"team","seats":12}"# } else { "{}" },
            ban: banned.then(|| self.ban(created_at, &mut dice)),
            created_at,
            last_login_at: (dice.below(3) != 0).then(|| self.between(created_at, &mut dice)),
            deleted_at: None,
            roles,
            has_sessions: dice.below(20) == 0,
        };
        if anonymized { self.anonymized(person.id, created_at, &mut dice) } else { person }
    }

    fn anonymized(&self, id: Uuid, created_at: DateTime<Utc>, dice: &mut Dice) -> Person {
        Person {
            email: format!("deleted+{id}@deleted.invalid"),
            email_verified: false,
            name: Some("Deleted user".into()),
            name_key: Some("deleted user".into()),
            search_key: String::new(),
            phone: None,
            metadata: "{}",
            ban: None,
            last_login_at: None,
            deleted_at: Some(self.between(created_at, dice)),
            roles: Vec::new(),
            has_sessions: false,
            id,
            created_at,
        }
    }

    /// Mostly in order: a day before and after may change places.
    fn created(&self, number: u64, dice: &mut Dice) -> DateTime<Utc> {
        let span = TimeDelta::days(3 * 365 - 2).num_microseconds().unwrap_or_default();
        let step = i128::from(span) * i128::from(number) / i128::from(self.total.max(1));
        let jitter = i64::try_from(dice.below(86_400_000_000)).unwrap_or_default();
        self.now - TimeDelta::days(3 * 365) + TimeDelta::microseconds(i64::try_from(step).unwrap_or_default() + jitter)
    }

    fn between(&self, from: DateTime<Utc>, dice: &mut Dice) -> DateTime<Utc> {
        let span = u64::try_from((self.now - from).num_seconds()).unwrap_or_default();
        from + TimeDelta::seconds(i64::try_from(dice.below(span.max(1))).unwrap_or_default())
    }

    fn ban(&self, created_at: DateTime<Utc>, dice: &mut Dice) -> Ban {
        let days = i64::try_from(1 + dice.below(60)).unwrap_or(1);
        let expires_at = match dice.below(10) {
            0 => Some(self.now + TimeDelta::days(days)),
            1 => Some(self.now - TimeDelta::days(days)),
            _ => None,
        };
        Ban { at: self.between(created_at, dice), expires_at }
    }

    /// Which of the planted names the user has, if any: evenly spread, each a little further on.
    fn planted(&self, number: u64) -> Option<&'static str> {
        let every = self.total / PLANTED_EACH;
        PLANTED
            .iter()
            .zip(1..)
            .find(|(_, place)| every > 10 && number % every == *place && number / every < PLANTED_EACH)
            .map(|(name, _)| *name)
    }

    fn name(&self, number: u64, dice: &mut Dice) -> (&'static str, &'static str, String) {
        let (first, last) = (dice.pick(&self.first), dice.pick(&self.last));
        if let Some(last) = self.planted(number) {
            return (first, last, format!("{first} {last}"));
        }
        if dice.below(50) == 0 {
            let (family, given) = (dice.pick(&self.family), dice.pick(&self.given));
            return (given, family, format!("{family}{given}"));
        }
        (first, last, format!("{first} {last}"))
    }
}

/// What the library folds a name to. `fill` compares it with the library's own work.
pub fn fold(text: &str) -> String {
    let lower = |c: char| c.to_lowercase().map(|c| if c == 'ς' { 'σ' } else { c });
    text.nfc().flat_map(lower).nfc().collect()
}

pub fn search_key(email: &str, name_key: Option<&str>) -> String {
    name_key.map_or_else(|| email.to_owned(), |name| format!("{email}\n{name}"))
}

/// As much of a name as an address takes.
fn plain(name: &str) -> String {
    let letters: String = name.nfd().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    if letters.is_empty() { "user".into() } else { letters }
}

fn id(created_at: DateTime<Utc>, dice: &mut Dice) -> Uuid {
    let mut random = [0; 10];
    random
        .iter_mut()
        .zip(dice.next().to_le_bytes().into_iter().chain(dice.next().to_le_bytes()))
        .for_each(|(to, from)| *to = from);
    Builder::from_unix_timestamp_millis(u64::try_from(created_at.timestamp_millis()).unwrap_or_default(), &random)
        .into_uuid()
}

/// Splitmix64: small, even, and the same on every machine.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        let length = u64::try_from(from.len()).unwrap_or(1);
        usize::try_from(self.below(length)).ok().and_then(|at| from.get(at)).copied().unwrap_or_default()
    }
}
