-- Pages in index order. The index of an order has all that a filter asks, so rows that are passed over are not read; the
-- rows of roles have the keys of each order, so the list of a role is one stretch of an index.

DROP INDEX authfort_users_created;
DROP INDEX authfort_users_name_asc;
DROP INDEX authfort_users_name_desc;
DROP INDEX authfort_users_banned;
DROP INDEX authfort_users_deleted;
DROP INDEX authfort_users_verified;

-- One for each order.
CREATE INDEX authfort_users_created ON authfort_users
    (created_at, id, email_verified, banned, ban_expires_at, deleted_at);
CREATE INDEX authfort_users_email_id ON authfort_users
    (email_key, id, created_at, email_verified, banned, ban_expires_at, deleted_at);
CREATE INDEX authfort_users_name_asc ON authfort_users
    (name_asc, id, created_at, email_verified, banned, ban_expires_at, deleted_at);
CREATE INDEX authfort_users_name_desc ON authfort_users
    (name_desc, id, created_at, email_verified, banned, ban_expires_at, deleted_at);

-- One for each order of those who are few.
CREATE INDEX authfort_users_banned ON authfort_users
    (created_at, id, email_verified, banned, ban_expires_at, deleted_at) WHERE banned;
CREATE INDEX authfort_users_banned_email ON authfort_users
    (email_key, id, created_at, email_verified, banned, ban_expires_at, deleted_at) WHERE banned;
CREATE INDEX authfort_users_banned_name_asc ON authfort_users
    (name_asc, id, created_at, email_verified, banned, ban_expires_at, deleted_at) WHERE banned;
CREATE INDEX authfort_users_banned_name_desc ON authfort_users
    (name_desc, id, created_at, email_verified, banned, ban_expires_at, deleted_at) WHERE banned;
CREATE INDEX authfort_users_deleted ON authfort_users
    (created_at, id, email_verified, banned, ban_expires_at, deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX authfort_users_deleted_email ON authfort_users
    (email_key, id, created_at, email_verified, banned, ban_expires_at, deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX authfort_users_deleted_name_asc ON authfort_users
    (name_asc, id, created_at, email_verified, banned, ban_expires_at, deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX authfort_users_deleted_name_desc ON authfort_users
    (name_desc, id, created_at, email_verified, banned, ban_expires_at, deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX authfort_users_verified ON authfort_users
    (email_verified, created_at, id, banned, ban_expires_at, deleted_at);

-- The keys of the orders by email and by name.
ALTER TABLE authfort_user_roles ADD COLUMN user_email_key TEXT NOT NULL DEFAULT '';
ALTER TABLE authfort_user_roles ADD COLUMN user_name_asc TEXT NOT NULL DEFAULT '';
ALTER TABLE authfort_user_roles ADD COLUMN user_name_desc TEXT NOT NULL DEFAULT '';
DROP INDEX authfort_user_roles_role;
DROP INDEX authfort_user_roles_created;
UPDATE authfort_user_roles
SET user_email_key = u.email_key, user_name_asc = u.name_asc, user_name_desc = u.name_desc
FROM authfort_users u WHERE u.id = user_id;

CREATE INDEX authfort_user_roles_created ON authfort_user_roles
    (role, user_created_at, user_id, user_deleted, user_verified, user_ban_day);
CREATE INDEX authfort_user_roles_email ON authfort_user_roles
    (role, user_email_key, user_id, user_created_at, user_deleted, user_verified, user_ban_day);
CREATE INDEX authfort_user_roles_name_asc ON authfort_user_roles
    (role, user_name_asc, user_id, user_created_at, user_deleted, user_verified, user_ban_day);
CREATE INDEX authfort_user_roles_name_desc ON authfort_user_roles
    (role, user_name_desc, user_id, user_created_at, user_deleted, user_verified, user_ban_day);
-- Those who are few: banned, or anonymized and yet with a role.
CREATE INDEX authfort_user_roles_few_created ON authfort_user_roles
    (role, user_created_at, user_id, user_deleted, user_verified, user_ban_day) WHERE user_deleted OR user_ban_day <> '';
CREATE INDEX authfort_user_roles_few_email ON authfort_user_roles
    (role, user_email_key, user_id, user_created_at, user_deleted, user_verified, user_ban_day)
    WHERE user_deleted OR user_ban_day <> '';
CREATE INDEX authfort_user_roles_few_name_asc ON authfort_user_roles
    (role, user_name_asc, user_id, user_created_at, user_deleted, user_verified, user_ban_day)
    WHERE user_deleted OR user_ban_day <> '';
CREATE INDEX authfort_user_roles_few_name_desc ON authfort_user_roles
    (role, user_name_desc, user_id, user_created_at, user_deleted, user_verified, user_ban_day)
    WHERE user_deleted OR user_ban_day <> '';

-- As in 0004_totals.sql, with the new keys.
DROP TRIGGER authfort_user_roles_inserted;
CREATE TRIGGER authfort_user_roles_inserted AFTER INSERT ON authfort_user_roles BEGIN
    INSERT INTO authfort_user_totals (role, deleted, verified, ban_day, n)
    SELECT new.role, new.user_deleted, new.user_verified, '', 1 UNION ALL
    SELECT new.role, new.user_deleted, new.user_verified, new.user_ban_day, 1 WHERE new.user_ban_day <> ''
    ON CONFLICT DO UPDATE SET n = n + excluded.n;
    UPDATE authfort_user_roles
    SET user_created_at = u.created_at, user_email_key = u.email_key, user_name_asc = u.name_asc,
        user_name_desc = u.name_desc, user_deleted = u.deleted_at IS NOT NULL, user_verified = u.email_verified,
        user_ban_day = u.ban_day
    FROM authfort_users u
    WHERE u.id = new.user_id AND authfort_user_roles.user_id = new.user_id AND authfort_user_roles.role = new.role;
END;
DROP TRIGGER authfort_user_roles_moved;
CREATE TRIGGER authfort_user_roles_moved AFTER UPDATE OF user_id ON authfort_user_roles
WHEN old.user_id <> new.user_id BEGIN
    UPDATE authfort_user_roles
    SET user_created_at = u.created_at, user_email_key = u.email_key, user_name_asc = u.name_asc,
        user_name_desc = u.name_desc, user_deleted = u.deleted_at IS NOT NULL, user_verified = u.email_verified,
        user_ban_day = u.ban_day
    FROM authfort_users u
    WHERE u.id = new.user_id AND authfort_user_roles.user_id = new.user_id AND authfort_user_roles.role = new.role;
END;
DROP TRIGGER authfort_users_inserted;
CREATE TRIGGER authfort_users_inserted AFTER INSERT ON authfort_users BEGIN
    INSERT INTO authfort_user_totals (role, deleted, verified, ban_day, n)
    SELECT '', new.deleted_at IS NOT NULL, new.email_verified, '', 1 UNION ALL
    SELECT '', new.deleted_at IS NOT NULL, new.email_verified, new.ban_day, 1 WHERE new.ban_day <> ''
    ON CONFLICT DO UPDATE SET n = n + excluded.n;
    -- With deferred foreign keys, roles can come first.
    UPDATE authfort_user_roles
    SET user_created_at = new.created_at, user_email_key = new.email_key, user_name_asc = new.name_asc,
        user_name_desc = new.name_desc, user_deleted = new.deleted_at IS NOT NULL, user_verified = new.email_verified,
        user_ban_day = new.ban_day
    WHERE user_id = new.id;
END;
-- `authfort_users_updated` has what the totals know.
CREATE TRIGGER authfort_users_renamed AFTER UPDATE OF id, email_key, name_key ON authfort_users
WHEN (old.id, old.email_key, old.name_asc) <> (new.id, new.email_key, new.name_asc)
BEGIN
    UPDATE authfort_user_roles
    SET user_email_key = new.email_key, user_name_asc = new.name_asc, user_name_desc = new.name_desc
    WHERE user_id = new.id;
END;
