-- What plain SQL may write: an odd value is refused where it is written, instead of failing each list that has the row.

CREATE TRIGGER authfort_users_values_insert BEFORE INSERT ON authfort_users BEGIN
    SELECT RAISE(ABORT, 'authfort_users: banned and email_verified must be 0 or 1')
    WHERE new.banned NOT IN (0, 1) OR new.email_verified NOT IN (0, 1);
    SELECT RAISE(ABORT, 'authfort_users: metadata must be the text of a JSON object')
    WHERE typeof(new.metadata) <> 'text' OR NOT json_valid(new.metadata) OR json_type(new.metadata) <> 'object';
    -- '+0 days' makes SQLite look whether there is such a day.
    SELECT RAISE(ABORT, 'authfort_users: a time must be written as 2030-01-31T12:00:00Z or 2030-01-31 12:00:00')
    FROM (SELECT new.created_at AS at UNION ALL SELECT new.updated_at UNION ALL SELECT new.last_login_at
        UNION ALL SELECT new.banned_at UNION ALL SELECT new.ban_expires_at UNION ALL SELECT new.deleted_at)
    WHERE at IS NOT NULL
        AND (date(substr(at, 1, 10), '+0 days') IS NOT substr(at, 1, 10) OR at < '0001' OR julianday(at) IS NULL);
END;
-- A value that was there before stays where it is.
CREATE TRIGGER authfort_users_values_update BEFORE UPDATE OF banned, email_verified, metadata, created_at, updated_at,
    last_login_at, banned_at, ban_expires_at, deleted_at ON authfort_users BEGIN
    SELECT RAISE(ABORT, 'authfort_users: banned and email_verified must be 0 or 1')
    WHERE new.banned NOT IN (0, 1) AND new.banned IS NOT old.banned
        OR new.email_verified NOT IN (0, 1) AND new.email_verified IS NOT old.email_verified;
    SELECT RAISE(ABORT, 'authfort_users: metadata must be the text of a JSON object')
    WHERE new.metadata IS NOT old.metadata
        AND (typeof(new.metadata) <> 'text' OR NOT json_valid(new.metadata) OR json_type(new.metadata) <> 'object');
    SELECT RAISE(ABORT, 'authfort_users: a time must be written as 2030-01-31T12:00:00Z or 2030-01-31 12:00:00')
    FROM (SELECT new.created_at AS at, old.created_at AS was UNION ALL SELECT new.updated_at, old.updated_at
        UNION ALL SELECT new.last_login_at, old.last_login_at UNION ALL SELECT new.banned_at, old.banned_at
        UNION ALL SELECT new.ban_expires_at, old.ban_expires_at UNION ALL SELECT new.deleted_at, old.deleted_at)
    WHERE at IS NOT NULL AND at IS NOT was
        AND (date(substr(at, 1, 10), '+0 days') IS NOT substr(at, 1, 10) OR at < '0001' OR julianday(at) IS NULL);
END;

-- Times are compared as texts, so each has one form: RFC 3339 in UTC, and behind the seconds nothing, or three or six digits
-- that do not end in three zeros. What is written in another form is brought into this one, to the millisecond.
CREATE TRIGGER authfort_users_times_update
AFTER UPDATE OF created_at, updated_at, last_login_at, banned_at, ban_expires_at, deleted_at ON authfort_users
WHEN EXISTS (SELECT 1 FROM (SELECT new.created_at AS at UNION ALL SELECT new.updated_at UNION ALL SELECT new.last_login_at
        UNION ALL SELECT new.banned_at UNION ALL SELECT new.ban_expires_at UNION ALL SELECT new.deleted_at)
    WHERE julianday(at) IS NOT NULL
        AND NOT (at LIKE '____-__-__T%+00:00' AND length(at) IN (25, 29, 32) AND at NOT LIKE '%000+00:00')) BEGIN
    UPDATE authfort_users SET
        created_at = CASE WHEN julianday(created_at) IS NULL
                OR created_at LIKE '____-__-__T%+00:00' AND length(created_at) IN (25, 29, 32) AND created_at NOT LIKE '%000+00:00'
            THEN created_at ELSE replace(strftime('%Y-%m-%dT%H:%M:%f+00:00', created_at), '.000+', '+') END,
        updated_at = CASE WHEN julianday(updated_at) IS NULL
                OR updated_at LIKE '____-__-__T%+00:00' AND length(updated_at) IN (25, 29, 32) AND updated_at NOT LIKE '%000+00:00'
            THEN updated_at ELSE replace(strftime('%Y-%m-%dT%H:%M:%f+00:00', updated_at), '.000+', '+') END,
        last_login_at = CASE WHEN julianday(last_login_at) IS NULL
                OR last_login_at LIKE '____-__-__T%+00:00' AND length(last_login_at) IN (25, 29, 32) AND last_login_at NOT LIKE '%000+00:00'
            THEN last_login_at ELSE replace(strftime('%Y-%m-%dT%H:%M:%f+00:00', last_login_at), '.000+', '+') END,
        banned_at = CASE WHEN julianday(banned_at) IS NULL
                OR banned_at LIKE '____-__-__T%+00:00' AND length(banned_at) IN (25, 29, 32) AND banned_at NOT LIKE '%000+00:00'
            THEN banned_at ELSE replace(strftime('%Y-%m-%dT%H:%M:%f+00:00', banned_at), '.000+', '+') END,
        ban_expires_at = CASE WHEN julianday(ban_expires_at) IS NULL
                OR ban_expires_at LIKE '____-__-__T%+00:00' AND length(ban_expires_at) IN (25, 29, 32) AND ban_expires_at NOT LIKE '%000+00:00'
            THEN ban_expires_at ELSE replace(strftime('%Y-%m-%dT%H:%M:%f+00:00', ban_expires_at), '.000+', '+') END,
        deleted_at = CASE WHEN julianday(deleted_at) IS NULL
                OR deleted_at LIKE '____-__-__T%+00:00' AND length(deleted_at) IN (25, 29, 32) AND deleted_at NOT LIKE '%000+00:00'
            THEN deleted_at ELSE replace(strftime('%Y-%m-%dT%H:%M:%f+00:00', deleted_at), '.000+', '+') END
    WHERE seq = new.seq;
END;
-- The update of nothing sets the trigger above going.
CREATE TRIGGER authfort_users_times_insert AFTER INSERT ON authfort_users
WHEN EXISTS (SELECT 1 FROM (SELECT new.created_at AS at UNION ALL SELECT new.updated_at UNION ALL SELECT new.last_login_at
        UNION ALL SELECT new.banned_at UNION ALL SELECT new.ban_expires_at UNION ALL SELECT new.deleted_at)
    WHERE julianday(at) IS NOT NULL
        AND NOT (at LIKE '____-__-__T%+00:00' AND length(at) IN (25, 29, 32) AND at NOT LIKE '%000+00:00')) BEGIN
    UPDATE authfort_users SET updated_at = updated_at WHERE seq = new.seq;
END;

-- As in 0004_totals.sql and 0005_orders.sql, but that the rows of roles get what the row of their user has by then: a trigger
-- above may have been first.
DROP TRIGGER authfort_users_inserted;
CREATE TRIGGER authfort_users_inserted AFTER INSERT ON authfort_users BEGIN
    INSERT INTO authfort_user_totals (role, deleted, verified, ban_day, n)
    SELECT '', new.deleted_at IS NOT NULL, new.email_verified, '', 1 UNION ALL
    SELECT '', new.deleted_at IS NOT NULL, new.email_verified, new.ban_day, 1 WHERE new.ban_day <> ''
    ON CONFLICT DO UPDATE SET n = n + excluded.n;
    -- With deferred foreign keys, roles can come first.
    UPDATE authfort_user_roles
    SET user_created_at = u.created_at, user_email_key = u.email_key, user_name_asc = u.name_asc,
        user_name_desc = u.name_desc, user_deleted = u.deleted_at IS NOT NULL, user_verified = u.email_verified,
        user_ban_day = u.ban_day
    FROM authfort_users u WHERE u.id = new.id AND authfort_user_roles.user_id = u.id;
END;
DROP TRIGGER authfort_users_updated;
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
    SET user_created_at = u.created_at, user_deleted = u.deleted_at IS NOT NULL, user_verified = u.email_verified,
        user_ban_day = u.ban_day
    FROM authfort_users u WHERE u.id = new.id AND authfort_user_roles.user_id = u.id;
END;

-- What hangs on a row goes with it also where foreign keys are not enforced, which is how the shell of SQLite begins.
CREATE TRIGGER authfort_users_belongings_deleted AFTER DELETE ON authfort_users BEGIN
    DELETE FROM authfort_user_roles WHERE user_id = old.id;
    DELETE FROM authfort_refresh_tokens WHERE user_id = old.id;
    DELETE FROM authfort_sessions WHERE user_id = old.id;
    DELETE FROM authfort_oauth_accounts WHERE user_id = old.id;
    DELETE FROM authfort_verification_tokens WHERE user_id = old.id;
END;
CREATE TRIGGER authfort_sessions_belongings_deleted AFTER DELETE ON authfort_sessions BEGIN
    DELETE FROM authfort_refresh_tokens WHERE session_id = old.id;
END;
-- The search index finds a row by its number.
DROP TRIGGER authfort_users_search_update;
CREATE TRIGGER authfort_users_search_update AFTER UPDATE OF seq, search_key ON authfort_users BEGIN
    INSERT INTO authfort_users_search (authfort_users_search, rowid, search_key) VALUES ('delete', old.seq, old.search_key);
    INSERT INTO authfort_users_search (rowid, search_key) VALUES (new.seq, new.search_key);
END;

-- Rows that were left behind end the list of a role early.
DELETE FROM authfort_user_roles WHERE NOT EXISTS (SELECT 1 FROM authfort_users u WHERE u.id = user_id);
