-- Ids are BLOBs of 16 bytes (UUID version 7), times are RFC 3339 text in UTC, cut to microseconds: both sort as they read.

-- A rowid of its own: the search index refers to it, and VACUUM renumbers an implicit one.
CREATE TABLE authfort_users (
    seq             INTEGER PRIMARY KEY,
    id              BLOB    NOT NULL UNIQUE,
    -- As it is shown, and mail is sent to it; what makes two addresses one is the key.
    email           TEXT    NOT NULL,
    email_key       TEXT    NOT NULL UNIQUE,
    email_verified  BOOLEAN NOT NULL DEFAULT FALSE,
    name            TEXT,
    name_key        TEXT,
    -- What orders by name go by: a missing name sorts last in both directions (the invisible literal is U+10FFFF, the last
    -- code point). Computed, not stored; columns, since SQLite seeks by (key, id) only where the key is one.
    name_asc        TEXT    NOT NULL GENERATED ALWAYS AS (coalesce(name_key, '􏿿')) VIRTUAL,
    name_desc       TEXT    NOT NULL GENERATED ALWAYS AS (coalesce(name_key, '')) VIRTUAL,
    search_key      TEXT    NOT NULL,
    avatar_url      TEXT,
    phone           TEXT,
    password_hash   TEXT,
    token_version   BIGINT  NOT NULL DEFAULT 0,
    version         BIGINT  NOT NULL DEFAULT 1,
    banned          BOOLEAN NOT NULL DEFAULT FALSE,
    banned_at       TEXT,
    banned_by       BLOB,
    ban_reason      TEXT,
    ban_expires_at  TEXT,
    metadata        TEXT    NOT NULL DEFAULT '{}',
    created_at      TEXT    NOT NULL,
    updated_at      TEXT    NOT NULL,
    last_login_at   TEXT,
    deleted_at      TEXT
);

-- One index for each order of the list; that by email is the unique one of the column.
CREATE INDEX authfort_users_created ON authfort_users (created_at, id);
CREATE INDEX authfort_users_name_asc ON authfort_users (name_asc, id);
CREATE INDEX authfort_users_name_desc ON authfort_users (name_desc, id);
-- One for each filter, in the list's default order.
CREATE INDEX authfort_users_banned ON authfort_users (created_at, id) WHERE banned;
CREATE INDEX authfort_users_banned_by ON authfort_users (banned_by) WHERE banned_by IS NOT NULL;
CREATE INDEX authfort_users_deleted ON authfort_users (created_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX authfort_users_verified ON authfort_users (email_verified, created_at, id);

CREATE VIRTUAL TABLE authfort_users_search USING fts5 (
    search_key, content = 'authfort_users', content_rowid = 'seq', detail = 'full',
    tokenize = 'trigram case_sensitive 1'
);
-- A deletion removes the entries instead of marking them: the index forgets the person too.
INSERT INTO authfort_users_search (authfort_users_search, rank) VALUES ('secure-delete', 1);
CREATE TRIGGER authfort_users_search_insert AFTER INSERT ON authfort_users BEGIN
    INSERT INTO authfort_users_search (rowid, search_key) VALUES (new.seq, new.search_key);
END;
CREATE TRIGGER authfort_users_search_delete AFTER DELETE ON authfort_users BEGIN
    INSERT INTO authfort_users_search (authfort_users_search, rowid, search_key) VALUES ('delete', old.seq, old.search_key);
END;
CREATE TRIGGER authfort_users_search_update AFTER UPDATE OF search_key ON authfort_users BEGIN
    INSERT INTO authfort_users_search (authfort_users_search, rowid, search_key) VALUES ('delete', old.seq, old.search_key);
    INSERT INTO authfort_users_search (rowid, search_key) VALUES (new.seq, new.search_key);
END;

CREATE TABLE authfort_user_roles (
    user_id    BLOB NOT NULL REFERENCES authfort_users (id) ON DELETE CASCADE,
    role       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (user_id, role)
) WITHOUT ROWID;
CREATE INDEX authfort_user_roles_role ON authfort_user_roles (role, user_id);

-- Addresses that may not register again: SHA-256 of the address's key, so that an erased person stays erased.
CREATE TABLE authfort_blocked_emails (
    email_hash BLOB NOT NULL PRIMARY KEY,
    created_at TEXT NOT NULL
);
