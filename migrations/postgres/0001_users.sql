-- Text that is compared or sorted has the collation "C": by code point, as SQLite does.

CREATE TABLE authfort_users (
    id              uuid        PRIMARY KEY,
    -- As it is shown, and mail is sent to it; what makes two addresses one is the key.
    email           text        NOT NULL,
    email_key       text COLLATE "C" NOT NULL CONSTRAINT authfort_users_email_key UNIQUE,
    email_verified  boolean     NOT NULL DEFAULT FALSE,
    name            text,
    name_key        text COLLATE "C",
    search_key      text COLLATE "C" NOT NULL,
    avatar_url      text,
    phone           text,
    password_hash   text,
    token_version   bigint      NOT NULL DEFAULT 0,
    version         bigint      NOT NULL DEFAULT 1,
    banned          boolean     NOT NULL DEFAULT FALSE,
    banned_at       timestamptz,
    banned_by       uuid,
    ban_reason      text,
    ban_expires_at  timestamptz,
    metadata        text        NOT NULL DEFAULT '{}',
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    last_login_at   timestamptz,
    deleted_at      timestamptz
);

-- One index for each order of the list; a missing name sorts last in both directions, so each has a key of its own (the
-- invisible literal is U+10FFFF, the last code point).
CREATE INDEX authfort_users_created ON authfort_users (created_at, id);
CREATE INDEX authfort_users_email_id ON authfort_users (email_key, id);
CREATE INDEX authfort_users_name_asc ON authfort_users (coalesce(name_key, '􏿿'), id);
CREATE INDEX authfort_users_name_desc ON authfort_users (coalesce(name_key, ''), id);
-- One for each filter, in the list's default order.
CREATE INDEX authfort_users_banned ON authfort_users (created_at, id) WHERE banned;
CREATE INDEX authfort_users_banned_by ON authfort_users (banned_by) WHERE banned_by IS NOT NULL;
CREATE INDEX authfort_users_deleted ON authfort_users (created_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX authfort_users_verified ON authfort_users (email_verified, created_at, id);

-- Without the right to create the extension, search works by reading the table.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX authfort_users_search ON authfort_users USING gin (search_key gin_trgm_ops);
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported OR undefined_object THEN
    RAISE WARNING 'authfort: no pg_trgm, so searching users reads the whole table: %', SQLERRM;
END
$$;

CREATE TABLE authfort_user_roles (
    user_id    uuid        NOT NULL REFERENCES authfort_users (id) ON DELETE CASCADE,
    role       text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, role)
);
CREATE INDEX authfort_user_roles_role ON authfort_user_roles (role, user_id);

-- Addresses that may not register again: SHA-256 of the address's key, so that an erased person stays erased.
CREATE TABLE authfort_blocked_emails (
    email_hash bytea       NOT NULL PRIMARY KEY,
    created_at timestamptz NOT NULL
);
