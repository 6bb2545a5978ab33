-- A gap of the record of changes: two times with different offsets from UTC are not in the order of their texts.

DROP TRIGGER authfort_sessions_standing_updated;
CREATE TRIGGER authfort_sessions_standing_updated AFTER UPDATE OF id, user_id, expires_at, revoked_at ON authfort_sessions
WHEN (old.id, old.user_id) <> (new.id, new.user_id) OR old.revoked_at IS NOT new.revoked_at OR old.expires_at > new.expires_at
    OR julianday(old.expires_at) > julianday(new.expires_at) BEGIN
    INSERT INTO authfort_standing_changes (user_id) VALUES (old.user_id);
END;
