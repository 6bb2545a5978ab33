-- The day of the last sign-in, for filters: in each index that a page of users is read by. A day and not the time, so that only
-- the first sign-in of a day writes into these indexes.

ALTER TABLE authfort_users ADD COLUMN last_login_day TEXT;
DROP INDEX authfort_users_created;
DROP INDEX authfort_users_email_id;
DROP INDEX authfort_users_name_asc;
DROP INDEX authfort_users_name_desc;
DROP INDEX authfort_users_banned;
DROP INDEX authfort_users_banned_email;
DROP INDEX authfort_users_banned_name_asc;
DROP INDEX authfort_users_banned_name_desc;
DROP INDEX authfort_users_deleted;
DROP INDEX authfort_users_deleted_email;
DROP INDEX authfort_users_deleted_name_asc;
DROP INDEX authfort_users_deleted_name_desc;
DROP INDEX authfort_users_verified;

-- A time from before 0008_plain_sql.sql may have another form.
UPDATE authfort_users
SET last_login_day = CASE WHEN last_login_at GLOB '*+00:00' THEN substr(last_login_at, 1, 10)
    ELSE coalesce(date(last_login_at), substr(last_login_at, 1, 10)) END
WHERE last_login_at IS NOT NULL;

-- From the row, since another trigger may have brought the time into its form meanwhile.
CREATE TRIGGER authfort_users_login_day_insert AFTER INSERT ON authfort_users
WHEN new.last_login_at IS NOT NULL OR new.last_login_day IS NOT NULL BEGIN
    UPDATE authfort_users SET last_login_day = substr(last_login_at, 1, 10)
    WHERE seq = new.seq AND last_login_day IS NOT substr(last_login_at, 1, 10);
END;
CREATE TRIGGER authfort_users_login_day_update AFTER UPDATE OF last_login_at, last_login_day ON authfort_users
WHEN new.last_login_day IS NOT substr(new.last_login_at, 1, 10) BEGIN
    UPDATE authfort_users SET last_login_day = substr(last_login_at, 1, 10)
    WHERE seq = new.seq AND last_login_day IS NOT substr(last_login_at, 1, 10);
END;

-- One for each order.
CREATE INDEX authfort_users_created ON authfort_users
    (created_at, id, email_verified, banned, ban_expires_at, deleted_at, last_login_day);
CREATE INDEX authfort_users_email_id ON authfort_users
    (email_key, id, created_at, email_verified, banned, ban_expires_at, deleted_at, last_login_day);
CREATE INDEX authfort_users_name_asc ON authfort_users
    (name_asc, id, created_at, email_verified, banned, ban_expires_at, deleted_at, last_login_day);
CREATE INDEX authfort_users_name_desc ON authfort_users
    (name_desc, id, created_at, email_verified, banned, ban_expires_at, deleted_at, last_login_day);

-- One for each order of those who are few.
CREATE INDEX authfort_users_banned ON authfort_users
    (created_at, id, email_verified, banned, ban_expires_at, deleted_at, last_login_day) WHERE banned;
CREATE INDEX authfort_users_banned_email ON authfort_users
    (email_key, id, created_at, email_verified, banned, ban_expires_at, deleted_at, last_login_day) WHERE banned;
CREATE INDEX authfort_users_banned_name_asc ON authfort_users
    (name_asc, id, created_at, email_verified, banned, ban_expires_at, deleted_at, last_login_day) WHERE banned;
CREATE INDEX authfort_users_banned_name_desc ON authfort_users
    (name_desc, id, created_at, email_verified, banned, ban_expires_at, deleted_at, last_login_day) WHERE banned;
CREATE INDEX authfort_users_deleted ON authfort_users
    (created_at, id, email_verified, banned, ban_expires_at, deleted_at, last_login_day) WHERE deleted_at IS NOT NULL;
CREATE INDEX authfort_users_deleted_email ON authfort_users
    (email_key, id, created_at, email_verified, banned, ban_expires_at, deleted_at, last_login_day) WHERE deleted_at IS NOT NULL;
CREATE INDEX authfort_users_deleted_name_asc ON authfort_users
    (name_asc, id, created_at, email_verified, banned, ban_expires_at, deleted_at, last_login_day) WHERE deleted_at IS NOT NULL;
CREATE INDEX authfort_users_deleted_name_desc ON authfort_users
    (name_desc, id, created_at, email_verified, banned, ban_expires_at, deleted_at, last_login_day) WHERE deleted_at IS NOT NULL;
CREATE INDEX authfort_users_verified ON authfort_users
    (email_verified, created_at, id, banned, ban_expires_at, deleted_at, last_login_day);
