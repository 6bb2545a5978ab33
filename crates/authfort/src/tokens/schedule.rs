//! The schedule of the keys: which of them signs, and when the next one may.
//!
//! A verifier may keep the public keys for [`JWKS_MAX_AGE`], so a new key is published first, and signs only once every
//! copy without it has run out. Until then the one before it signs, and after that it verifies for as long as its tokens
//! live. Every node reads the same rows and comes to the same answer by its own clock, without being told.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::delta;
use crate::store::keys::KeyRow;

/// How long a verifier may keep the public keys: the `max-age` of the JWKS. A new key is published for longer than that
/// before it signs.
pub const JWKS_MAX_AGE: Duration = Duration::from_mins(5);
/// After this long a node reads the keys again, before it signs or publishes them.
pub(crate) const STALENESS: Duration = Duration::from_secs(5);

/// By how much nodes may differ: what they have read is [`STALENESS`] old at most, a change counts from its commit and not
/// from the moment that it names, an answer is on its way for a while, and clocks are a few seconds apart.
const DISAGREEMENT: Duration = Duration::from_secs(30);

/// For how long a key is published before it signs.
pub(crate) fn ahead(leeway: Duration) -> TimeDelta {
    delta(JWKS_MAX_AGE + DISAGREEMENT + leeway)
}

/// For how long a key verifies once the next one signs: as long as the youngest of its tokens lives.
pub(crate) fn overlap(access_ttl: Duration, leeway: Duration) -> TimeDelta {
    delta(access_ttl + DISAGREEMENT + leeway)
}

/// The time up to which a successor must have begun to sign for a private half to be forgotten: later than its
/// `signs_from`, for the sake of nodes whose clocks are behind.
pub(crate) fn settled(now: DateTime<Utc>) -> DateTime<Utc> {
    now - delta(STALENESS)
}

pub(crate) fn is_fresh(read_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    read_at <= now && now - read_at < delta(STALENESS)
}

pub(crate) fn is_live(row: &KeyRow, now: DateTime<Utc>) -> bool {
    row.expires_at.is_none_or(|at| at > now)
}

/// The key that signs: of those with a private half the last that may. Where none may yet it is the first of them: the
/// others were cut, and whose clock is behind must not wait.
pub(crate) fn signing(rows: &[KeyRow], now: DateTime<Utc>) -> Option<&KeyRow> {
    let able = || rows.iter().filter(|row| row.can_sign && is_live(row, now));
    let may = able().filter(|row| row.signs_from <= now).max_by_key(|row| row.signs_from);
    may.or_else(|| able().min_by_key(|row| row.signs_from))
}

/// The newest key: it signs, or it will.
pub(crate) fn newest(rows: &[KeyRow]) -> Option<&KeyRow> {
    rows.iter().find(|row| row.expires_at.is_none())
}

/// Whether a private half can be forgotten.
pub(crate) fn has_spent(rows: &[KeyRow], now: DateTime<Utc>) -> bool {
    let able = || rows.iter().filter(|row| row.can_sign);
    let settled = able().map(|row| row.signs_from).filter(|at| *at <= settled(now)).max();
    able().any(|row| Some(row.signs_from) < settled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn row(kid: &str, can_sign: bool, signs_from: i64, expires_at: Option<i64>) -> KeyRow {
        KeyRow {
            kid: kid.to_owned(),
            algorithm: "EdDSA".to_owned(),
            public_jwk: String::new(),
            can_sign,
            created_at: at(0),
            signs_from: at(signs_from),
            expires_at: expires_at.map(at),
        }
    }

    fn kid(rows: &[KeyRow], now: i64) -> Option<&str> {
        signing(rows, at(now)).map(|row| row.kid.as_str())
    }

    #[test]
    fn each_key_signs_from_its_time_until_that_of_the_next() {
        let rows = [row("c", true, 900, None), row("b", true, 300, Some(1800)), row("a", true, 0, Some(1200))];
        for (now, expected) in [(-3, "a"), (0, "a"), (299, "a"), (300, "b"), (899, "b"), (900, "c"), (9000, "c")] {
            assert_eq!(kid(&rows, now), Some(expected), "{now}");
        }
        assert_eq!(newest(&rows).unwrap().kid, "c");
        assert_eq!(kid(&[], 0), None);
    }

    #[test]
    fn where_all_others_were_cut_a_clock_that_is_behind_signs_with_the_key_that_is_left() {
        let rows = [row("c", true, 100, None), row("b", false, 300, Some(100)), row("a", false, 0, Some(100))];
        for now in [90, 100, 400] {
            assert_eq!(kid(&rows, now), Some("c"), "{now}");
        }
    }

    #[test]
    fn a_private_half_is_forgotten_a_moment_after_the_next_key_signs() {
        let rows = [row("b", true, 300, None), row("a", true, 0, Some(1200))];
        for (now, expected) in [(0, false), (300, false), (304, false), (305, true)] {
            assert_eq!(has_spent(&rows, at(now)), expected, "{now}");
        }
        assert!(!has_spent(&[row("b", true, 300, None), row("a", false, 0, Some(1200))], at(400)));
    }
}
