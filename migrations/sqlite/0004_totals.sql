-- Kept totals: how many users there are, by role, anonymised or not, and the day on which a ban ends. Triggers keep them,
-- so plain SQL keeps them too; but for `REPLACE`, which deletes without telling the triggers (`ON CONFLICT DO UPDATE` tells).

-- '' for who is not banned, 'never' for a ban without end, else its last day in UTC. 'never' sorts after all days.
ALTER TABLE authfort_users ADD COLUMN ban_day TEXT NOT NULL GENERATED ALWAYS AS (
    CASE WHEN NOT banned THEN '' WHEN ban_expires_at IS NULL THEN 'never' ELSE substr(ban_expires_at, 1, 10) END) VIRTUAL;

-- The empty role stands for all users in the totals.
CREATE TRIGGER authfort_user_roles_named_insert BEFORE INSERT ON authfort_user_roles WHEN new.role = '' BEGIN
    SELECT RAISE(ABORT, 'a role has a name');
END;
CREATE TRIGGER authfort_user_roles_named_update BEFORE UPDATE OF role ON authfort_user_roles WHEN new.role = '' BEGIN
    SELECT RAISE(ABORT, 'a role has a name');
END;

-- What a role's row knows of its user: its list runs in index order, and its totals need no look at the user, who may be
-- gone already.
ALTER TABLE authfort_user_roles ADD COLUMN user_created_at TEXT NOT NULL DEFAULT '';
ALTER TABLE authfort_user_roles ADD COLUMN user_deleted BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE authfort_user_roles ADD COLUMN user_verified BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE authfort_user_roles ADD COLUMN user_ban_day TEXT NOT NULL DEFAULT '';
UPDATE authfort_user_roles
SET user_created_at = u.created_at, user_deleted = u.deleted_at IS NOT NULL, user_verified = u.email_verified,
        user_ban_day = u.ban_day
FROM authfort_users u WHERE u.id = user_id;
CREATE INDEX authfort_user_roles_created ON authfort_user_roles (role, user_created_at, user_id);

-- Whose ban ends today is counted, not kept.
CREATE INDEX authfort_users_ban_expires ON authfort_users (ban_expires_at) WHERE banned AND ban_expires_at IS NOT NULL;

-- role '': all users. ban_day '': banned or not; else as above.
CREATE TABLE authfort_user_totals (
    role    TEXT    NOT NULL,
    deleted BOOLEAN NOT NULL,
    verified BOOLEAN NOT NULL,
    ban_day TEXT    NOT NULL,
    n       BIGINT  NOT NULL,
    PRIMARY KEY (role, ban_day, deleted, verified)
) WITHOUT ROWID;

INSERT INTO authfort_user_totals (role, deleted, verified, ban_day, n)
SELECT '', deleted_at IS NOT NULL, email_verified, '', count(*) FROM authfort_users GROUP BY 2, 3
UNION ALL
SELECT '', deleted_at IS NOT NULL, email_verified, ban_day, count(*) FROM authfort_users WHERE banned GROUP BY 2, 3, 4
UNION ALL
SELECT role, user_deleted, user_verified, '', count(*) FROM authfort_user_roles GROUP BY 1, 2, 3
UNION ALL
SELECT role, user_deleted, user_verified, user_ban_day, count(*) FROM authfort_user_roles
WHERE user_ban_day <> '' GROUP BY 1, 2, 3, 4;

-- A key for those who are and are not banned, and one for those whose ban ends that day.

CREATE TRIGGER authfort_user_roles_inserted AFTER INSERT ON authfort_user_roles BEGIN
    INSERT INTO authfort_user_totals (role, deleted, verified, ban_day, n)
    SELECT new.role, new.user_deleted, new.user_verified, '', 1 UNION ALL
    SELECT new.role, new.user_deleted, new.user_verified, new.user_ban_day, 1 WHERE new.user_ban_day <> ''
    ON CONFLICT DO UPDATE SET n = n + excluded.n;
    UPDATE authfort_user_roles
    SET user_created_at = u.created_at, user_deleted = u.deleted_at IS NOT NULL, user_verified = u.email_verified,
        user_ban_day = u.ban_day
    FROM authfort_users u
    WHERE u.id = new.user_id AND authfort_user_roles.user_id = new.user_id AND authfort_user_roles.role = new.role;
END;
CREATE TRIGGER authfort_user_roles_moved AFTER UPDATE OF user_id ON authfort_user_roles
WHEN old.user_id <> new.user_id BEGIN
    UPDATE authfort_user_roles
    SET user_created_at = u.created_at, user_deleted = u.deleted_at IS NOT NULL, user_verified = u.email_verified,
        user_ban_day = u.ban_day
    FROM authfort_users u
    WHERE u.id = new.user_id AND authfort_user_roles.user_id = new.user_id AND authfort_user_roles.role = new.role;
END;
CREATE TRIGGER authfort_user_roles_updated AFTER UPDATE OF role, user_deleted, user_verified, user_ban_day ON authfort_user_roles
WHEN (old.role, old.user_deleted, old.user_verified, old.user_ban_day) <> (new.role, new.user_deleted, new.user_verified, new.user_ban_day) BEGIN
    INSERT INTO authfort_user_totals (role, deleted, verified, ban_day, n)
    SELECT new.role, new.user_deleted, new.user_verified, '', 1 UNION ALL
    SELECT new.role, new.user_deleted, new.user_verified, new.user_ban_day, 1 WHERE new.user_ban_day <> '' UNION ALL
    SELECT old.role, old.user_deleted, old.user_verified, '', -1 UNION ALL
    SELECT old.role, old.user_deleted, old.user_verified, old.user_ban_day, -1 WHERE old.user_ban_day <> ''
    ON CONFLICT DO UPDATE SET n = n + excluded.n;
    DELETE FROM authfort_user_totals WHERE role = old.role AND n = 0;
END;
CREATE TRIGGER authfort_user_roles_deleted AFTER DELETE ON authfort_user_roles BEGIN
    INSERT INTO authfort_user_totals (role, deleted, verified, ban_day, n)
    SELECT old.role, old.user_deleted, old.user_verified, '', -1 UNION ALL
    SELECT old.role, old.user_deleted, old.user_verified, old.user_ban_day, -1 WHERE old.user_ban_day <> ''
    ON CONFLICT DO UPDATE SET n = n + excluded.n;
    DELETE FROM authfort_user_totals WHERE role = old.role AND ban_day IN ('', old.user_ban_day) AND n = 0;
END;

CREATE TRIGGER authfort_users_inserted AFTER INSERT ON authfort_users BEGIN
    INSERT INTO authfort_user_totals (role, deleted, verified, ban_day, n)
    SELECT '', new.deleted_at IS NOT NULL, new.email_verified, '', 1 UNION ALL
    SELECT '', new.deleted_at IS NOT NULL, new.email_verified, new.ban_day, 1 WHERE new.ban_day <> ''
    ON CONFLICT DO UPDATE SET n = n + excluded.n;
    -- With deferred foreign keys, roles can come first.
    UPDATE authfort_user_roles
    SET user_created_at = new.created_at, user_deleted = new.deleted_at IS NOT NULL, user_verified = new.email_verified,
        user_ban_day = new.ban_day
    WHERE user_id = new.id;
END;
CREATE TRIGGER authfort_users_updated AFTER UPDATE OF id, created_at, deleted_at, email_verified, banned, ban_expires_at ON authfort_users
WHEN (old.id, old.created_at, old.deleted_at IS NULL, old.email_verified, old.ban_day)
  <> (new.id, new.created_at, new.deleted_at IS NULL, new.email_verified, new.ban_day)
BEGIN
    INSERT INTO authfort_user_totals (role, deleted, verified, ban_day, n)
    SELECT '', new.deleted_at IS NOT NULL, new.email_verified, '', 1 UNION ALL
    SELECT '', new.deleted_at IS NOT NULL, new.email_verified, new.ban_day, 1 WHERE new.ban_day <> '' UNION ALL
    SELECT '', old.deleted_at IS NOT NULL, old.email_verified, '', -1 UNION ALL
    SELECT '', old.deleted_at IS NOT NULL, old.email_verified, old.ban_day, -1 WHERE old.ban_day <> ''
    ON CONFLICT DO UPDATE SET n = n + excluded.n;
    DELETE FROM authfort_user_totals WHERE role = '' AND n = 0;
    UPDATE authfort_user_roles
    SET user_created_at = new.created_at, user_deleted = new.deleted_at IS NOT NULL, user_verified = new.email_verified,
        user_ban_day = new.ban_day
    WHERE user_id = new.id;
END;
CREATE TRIGGER authfort_users_deleted AFTER DELETE ON authfort_users BEGIN
    INSERT INTO authfort_user_totals (role, deleted, verified, ban_day, n)
    SELECT '', old.deleted_at IS NOT NULL, old.email_verified, '', -1 UNION ALL
    SELECT '', old.deleted_at IS NOT NULL, old.email_verified, old.ban_day, -1 WHERE old.ban_day <> ''
    ON CONFLICT DO UPDATE SET n = n + excluded.n;
    DELETE FROM authfort_user_totals WHERE role = '' AND ban_day IN ('', old.ban_day) AND n = 0;
END;
