-- A record of what changes somebody's standing: whether their access tokens are valid, and for what. The processes follow it,
-- and forget what they remember of these users. Triggers write it, so plain SQL counts too; but for `REPLACE`, which deletes
-- without telling the triggers (`ON CONFLICT DO UPDATE` tells).

-- AUTOINCREMENT: a number is never used again.
CREATE TABLE authfort_standing_changes (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    -- NULL stands for all users.
    user_id BLOB
);

-- A sign-in and a refresh change nothing of this: they add a session, and extend it.
CREATE TRIGGER authfort_users_standing_updated
AFTER UPDATE OF id, email, name, token_version, banned, ban_expires_at, deleted_at ON authfort_users
WHEN (old.id, old.email, old.name, old.token_version, old.banned, old.ban_expires_at, old.deleted_at)
    IS NOT (new.id, new.email, new.name, new.token_version, new.banned, new.ban_expires_at, new.deleted_at) BEGIN
    INSERT INTO authfort_standing_changes (user_id) VALUES (old.id);
END;
CREATE TRIGGER authfort_users_standing_deleted AFTER DELETE ON authfort_users BEGIN
    INSERT INTO authfort_standing_changes (user_id) VALUES (old.id);
END;

CREATE TRIGGER authfort_user_roles_standing_inserted AFTER INSERT ON authfort_user_roles BEGIN
    INSERT INTO authfort_standing_changes (user_id) VALUES (new.user_id);
END;
CREATE TRIGGER authfort_user_roles_standing_updated AFTER UPDATE OF user_id, role ON authfort_user_roles BEGIN
    INSERT INTO authfort_standing_changes (user_id) VALUES (old.user_id), (new.user_id);
END;
CREATE TRIGGER authfort_user_roles_standing_deleted AFTER DELETE ON authfort_user_roles BEGIN
    INSERT INTO authfort_standing_changes (user_id) VALUES (old.user_id);
END;

CREATE TRIGGER authfort_sessions_standing_updated AFTER UPDATE OF id, user_id, expires_at, revoked_at ON authfort_sessions
WHEN (old.id, old.user_id) <> (new.id, new.user_id) OR old.revoked_at IS NOT new.revoked_at OR old.expires_at > new.expires_at BEGIN
    INSERT INTO authfort_standing_changes (user_id) VALUES (old.user_id);
END;
-- A session that has ended can be removed without telling anybody.
CREATE TRIGGER authfort_sessions_standing_deleted AFTER DELETE ON authfort_sessions WHEN old.revoked_at IS NULL BEGIN
    INSERT INTO authfort_standing_changes (user_id) VALUES (old.user_id);
END;

CREATE TRIGGER authfort_signing_keys_standing_updated AFTER UPDATE OF kid, expires_at ON authfort_signing_keys BEGIN
    INSERT INTO authfort_standing_changes (user_id) VALUES (NULL);
END;
CREATE TRIGGER authfort_signing_keys_standing_deleted AFTER DELETE ON authfort_signing_keys BEGIN
    INSERT INTO authfort_standing_changes (user_id) VALUES (NULL);
END;
