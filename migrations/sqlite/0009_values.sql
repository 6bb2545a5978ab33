-- What 0008_plain_sql.sql let through: ids, versions and texts of another kind, and times that only SQLite reads.

CREATE TRIGGER authfort_users_kinds_insert BEFORE INSERT ON authfort_users
WHEN typeof(new.id) <> 'blob' OR length(new.id) <> 16 OR typeof(new.token_version) <> 'integer'
        OR typeof(new.version) <> 'integer' 
        OR new.banned_by IS NOT NULL AND (typeof(new.banned_by) <> 'blob' OR length(new.banned_by) <> 16)
        OR 'blob' IN (typeof(new.email), typeof(new.email_key), typeof(new.name), typeof(new.name_key), typeof(new.search_key),
            typeof(new.avatar_url), typeof(new.phone), typeof(new.password_hash), typeof(new.ban_reason)) BEGIN
    SELECT RAISE(ABORT, 'authfort_users: ids must be blobs of 16 bytes, versions integers, addresses and names texts');
END;
CREATE TRIGGER authfort_users_kinds_update BEFORE UPDATE OF id, token_version, version, banned_by, email, email_key, name, name_key,
    search_key, avatar_url, phone, password_hash, ban_reason ON authfort_users
WHEN typeof(new.id) <> 'blob' OR length(new.id) <> 16 OR typeof(new.token_version) <> 'integer'
        OR typeof(new.version) <> 'integer' 
        OR new.banned_by IS NOT NULL AND (typeof(new.banned_by) <> 'blob' OR length(new.banned_by) <> 16)
        OR 'blob' IN (typeof(new.email), typeof(new.email_key), typeof(new.name), typeof(new.name_key), typeof(new.search_key),
            typeof(new.avatar_url), typeof(new.phone), typeof(new.password_hash), typeof(new.ban_reason)) BEGIN
    SELECT RAISE(ABORT, 'authfort_users: ids must be blobs of 16 bytes, versions integers, addresses and names texts');
END;

-- A time that 0008_plain_sql.sql would refuse stays as it is if it was there before; '+0 days' turns hour 24 into the next day.
DROP TRIGGER authfort_users_times_update;
CREATE TRIGGER authfort_users_times_update
AFTER UPDATE OF created_at, updated_at, last_login_at, banned_at, ban_expires_at, deleted_at ON authfort_users
WHEN EXISTS (SELECT 1 FROM (SELECT new.created_at AS at UNION ALL SELECT new.updated_at UNION ALL SELECT new.last_login_at
        UNION ALL SELECT new.banned_at UNION ALL SELECT new.ban_expires_at UNION ALL SELECT new.deleted_at)
    WHERE NOT (date(substr(at, 1, 10), '+0 days') IS NOT substr(at, 1, 10) OR at < '0001'
            OR julianday(at) IS NULL)
        AND NOT (at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]*+00:00'
            AND length(at) IN (25, 29, 32) AND at NOT LIKE '%000+00:00'
            AND substr(at, 12, 2) < '24')) BEGIN
    UPDATE authfort_users SET
        created_at = CASE WHEN date(substr(created_at, 1, 10), '+0 days') IS NOT substr(created_at, 1, 10) OR created_at < '0001'
            OR julianday(created_at) IS NULL
            OR created_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]*+00:00'
            AND length(created_at) IN (25, 29, 32) AND created_at NOT LIKE '%000+00:00'
            AND substr(created_at, 12, 2) < '24'
            THEN created_at ELSE replace(strftime('%Y-%m-%dT%H:%M:%f+00:00', created_at, '+0 days'), '.000+', '+') END,
        updated_at = CASE WHEN date(substr(updated_at, 1, 10), '+0 days') IS NOT substr(updated_at, 1, 10) OR updated_at < '0001'
            OR julianday(updated_at) IS NULL
            OR updated_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]*+00:00'
            AND length(updated_at) IN (25, 29, 32) AND updated_at NOT LIKE '%000+00:00'
            AND substr(updated_at, 12, 2) < '24'
            THEN updated_at ELSE replace(strftime('%Y-%m-%dT%H:%M:%f+00:00', updated_at, '+0 days'), '.000+', '+') END,
        last_login_at = CASE WHEN date(substr(last_login_at, 1, 10), '+0 days') IS NOT substr(last_login_at, 1, 10) OR last_login_at < '0001'
            OR julianday(last_login_at) IS NULL
            OR last_login_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]*+00:00'
            AND length(last_login_at) IN (25, 29, 32) AND last_login_at NOT LIKE '%000+00:00'
            AND substr(last_login_at, 12, 2) < '24'
            THEN last_login_at ELSE replace(strftime('%Y-%m-%dT%H:%M:%f+00:00', last_login_at, '+0 days'), '.000+', '+') END,
        banned_at = CASE WHEN date(substr(banned_at, 1, 10), '+0 days') IS NOT substr(banned_at, 1, 10) OR banned_at < '0001'
            OR julianday(banned_at) IS NULL
            OR banned_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]*+00:00'
            AND length(banned_at) IN (25, 29, 32) AND banned_at NOT LIKE '%000+00:00'
            AND substr(banned_at, 12, 2) < '24'
            THEN banned_at ELSE replace(strftime('%Y-%m-%dT%H:%M:%f+00:00', banned_at, '+0 days'), '.000+', '+') END,
        ban_expires_at = CASE WHEN date(substr(ban_expires_at, 1, 10), '+0 days') IS NOT substr(ban_expires_at, 1, 10) OR ban_expires_at < '0001'
            OR julianday(ban_expires_at) IS NULL
            OR ban_expires_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]*+00:00'
            AND length(ban_expires_at) IN (25, 29, 32) AND ban_expires_at NOT LIKE '%000+00:00'
            AND substr(ban_expires_at, 12, 2) < '24'
            THEN ban_expires_at ELSE replace(strftime('%Y-%m-%dT%H:%M:%f+00:00', ban_expires_at, '+0 days'), '.000+', '+') END,
        deleted_at = CASE WHEN date(substr(deleted_at, 1, 10), '+0 days') IS NOT substr(deleted_at, 1, 10) OR deleted_at < '0001'
            OR julianday(deleted_at) IS NULL
            OR deleted_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]*+00:00'
            AND length(deleted_at) IN (25, 29, 32) AND deleted_at NOT LIKE '%000+00:00'
            AND substr(deleted_at, 12, 2) < '24'
            THEN deleted_at ELSE replace(strftime('%Y-%m-%dT%H:%M:%f+00:00', deleted_at, '+0 days'), '.000+', '+') END
    WHERE seq = new.seq;
END;
DROP TRIGGER authfort_users_times_insert;
CREATE TRIGGER authfort_users_times_insert AFTER INSERT ON authfort_users
WHEN EXISTS (SELECT 1 FROM (SELECT new.created_at AS at UNION ALL SELECT new.updated_at UNION ALL SELECT new.last_login_at
        UNION ALL SELECT new.banned_at UNION ALL SELECT new.ban_expires_at UNION ALL SELECT new.deleted_at)
    WHERE NOT (date(substr(at, 1, 10), '+0 days') IS NOT substr(at, 1, 10) OR at < '0001'
            OR julianday(at) IS NULL)
        AND NOT (at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]*+00:00'
            AND length(at) IN (25, 29, 32) AND at NOT LIKE '%000+00:00'
            AND substr(at, 12, 2) < '24')) BEGIN
    UPDATE authfort_users SET updated_at = updated_at WHERE seq = new.seq;
END;
