//! The schedule of the keys: which of them signs, and when the next one may.
//!
//! A verifier may cache the public keys for [`JWKS_MAX_AGE`], so a new key is published first, and signs only once
//! every cached copy without it has expired. Until then the previous key signs; after that it still verifies for as
//! long as its tokens are valid. Every node reads the same rows and computes the same result with its own clock,
//! without coordination.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::delta;
use crate::store::keys::KeyRow;

/// How long a verifier may cache the public keys: the `max-age` of the JWKS. A new key is published for longer than
/// that before it signs.
pub const JWKS_MAX_AGE: Duration = Duration::from_mins(5);
/// The maximum age of a node's cached keys: older ones are read again before the node signs with or publishes them.
pub(crate) const STALENESS: Duration = Duration::from_secs(5);

/// How far nodes may differ: their cached keys are at most [`STALENESS`] old, a change takes effect at its commit and
/// not at the time that it names, a response takes time to arrive, and clocks differ by a few seconds.
const DISAGREEMENT: Duration = Duration::from_secs(30);

/// How long a key is published before it signs.
pub(crate) fn ahead(leeway: Duration) -> TimeDelta {
    delta(JWKS_MAX_AGE + DISAGREEMENT + leeway)
}

/// How long a key verifies once the next one signs: until its last tokens have expired.
pub(crate) fn overlap(access_ttl: Duration, leeway: Duration) -> TimeDelta {
    delta(access_ttl + DISAGREEMENT + leeway)
}

/// A private half is deleted once a successor's `signs_from` is at or before this time. This is later than `signs_from`
/// itself, for nodes whose clocks are behind.
pub(crate) fn settled(now: DateTime<Utc>) -> DateTime<Utc> {
    now - delta(STALENESS)
}

pub(crate) fn is_fresh(read_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    read_at <= now && now - read_at < delta(STALENESS)
}

pub(crate) fn is_live(row: &KeyRow, now: DateTime<Utc>) -> bool {
    row.expires_at.is_none_or(|at| at > now)
}

/// Returns the key that signs: of the live keys with a private half, the latest whose `signs_from` has passed. If none
/// has, it is the earliest: the others were revoked, and a node whose clock is behind must still be able to sign.
pub(crate) fn signing(rows: &[KeyRow], now: DateTime<Utc>) -> Option<&KeyRow> {
    let able = || rows.iter().filter(|row| row.can_sign && is_live(row, now));
    let may = able().filter(|row| row.signs_from <= now).max_by_key(|row| row.signs_from);
    may.or_else(|| able().min_by_key(|row| row.signs_from))
}

/// Returns the newest key, which signs now or later.
pub(crate) fn newest(rows: &[KeyRow]) -> Option<&KeyRow> {
    rows.iter().find(|row| row.expires_at.is_none())
}

/// Returns whether a private half can be deleted.
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
