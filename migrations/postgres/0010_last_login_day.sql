-- The day of the last sign-in, for filters: in each index that a page of users is read by. A day and not the time, because an
-- update that changes no indexed column writes into no index (heap-only tuples): so only the first sign-in of a day does.

-- Nothing changes until this is done.
LOCK TABLE authfort_users IN ACCESS EXCLUSIVE MODE;

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

ALTER TABLE authfort_users
    ADD COLUMN last_login_day date GENERATED ALWAYS AS ((last_login_at AT TIME ZONE 'UTC')::date) STORED;

-- One for each order. (The invisible literal is U+10FFFF. Without `name_key` itself in the index, the row would be read.)
CREATE INDEX authfort_users_created ON authfort_users (created_at, id)
    INCLUDE (email_verified, banned, ban_expires_at, deleted_at, last_login_day);
CREATE INDEX authfort_users_email_id ON authfort_users (email_key, id)
    INCLUDE (created_at, email_verified, banned, ban_expires_at, deleted_at, last_login_day);
CREATE INDEX authfort_users_name_asc ON authfort_users (coalesce(name_key, '􏿿'), id)
    INCLUDE (name_key, created_at, email_verified, banned, ban_expires_at, deleted_at, last_login_day);
CREATE INDEX authfort_users_name_desc ON authfort_users (coalesce(name_key, ''), id)
    INCLUDE (name_key, created_at, email_verified, banned, ban_expires_at, deleted_at, last_login_day);

-- One for each order of those who are few.
CREATE INDEX authfort_users_banned ON authfort_users (created_at, id)
    INCLUDE (email_verified, ban_expires_at, deleted_at, last_login_day) WHERE banned;
CREATE INDEX authfort_users_banned_email ON authfort_users (email_key, id)
    INCLUDE (created_at, email_verified, ban_expires_at, deleted_at, last_login_day) WHERE banned;
CREATE INDEX authfort_users_banned_name_asc ON authfort_users (coalesce(name_key, '􏿿'), id)
    INCLUDE (name_key, created_at, email_verified, ban_expires_at, deleted_at, last_login_day) WHERE banned;
CREATE INDEX authfort_users_banned_name_desc ON authfort_users (coalesce(name_key, ''), id)
    INCLUDE (name_key, created_at, email_verified, ban_expires_at, deleted_at, last_login_day) WHERE banned;
CREATE INDEX authfort_users_deleted ON authfort_users (created_at, id)
    INCLUDE (email_verified, banned, ban_expires_at, last_login_day) WHERE deleted_at IS NOT NULL;
CREATE INDEX authfort_users_deleted_email ON authfort_users (email_key, id)
    INCLUDE (created_at, email_verified, banned, ban_expires_at, last_login_day) WHERE deleted_at IS NOT NULL;
CREATE INDEX authfort_users_deleted_name_asc ON authfort_users (coalesce(name_key, '􏿿'), id)
    INCLUDE (name_key, created_at, email_verified, banned, ban_expires_at, last_login_day) WHERE deleted_at IS NOT NULL;
CREATE INDEX authfort_users_deleted_name_desc ON authfort_users (coalesce(name_key, ''), id)
    INCLUDE (name_key, created_at, email_verified, banned, ban_expires_at, last_login_day) WHERE deleted_at IS NOT NULL;
CREATE INDEX authfort_users_verified ON authfort_users (email_verified, created_at, id)
    INCLUDE (banned, ban_expires_at, deleted_at, last_login_day);
