-- Pages in index order. The index of an order has all that a filter asks, so rows that are passed over are not read; the
-- rows of roles have the keys of each order, so the list of a role is one stretch of an index.

-- Nothing changes until this is done.
LOCK TABLE authfort_users, authfort_user_roles IN SHARE ROW EXCLUSIVE MODE;

-- The functions below work in the schema of these tables, whatever the search path of who writes to them.
SELECT set_config('authfort.search_path', current_setting('search_path'), TRUE),
       set_config('search_path', quote_ident(n.nspname) || ', pg_temp', TRUE)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = 'authfort_users'::regclass;

DROP INDEX authfort_users_created;
DROP INDEX authfort_users_email_id;
DROP INDEX authfort_users_name_asc;
DROP INDEX authfort_users_name_desc;
DROP INDEX authfort_users_banned;
DROP INDEX authfort_users_deleted;
DROP INDEX authfort_users_verified;

-- One for each order. (The invisible literal is U+10FFFF. Without `name_key` itself in the index, the row would be read.)
CREATE INDEX authfort_users_created ON authfort_users (created_at, id)
    INCLUDE (email_verified, banned, ban_expires_at, deleted_at);
CREATE INDEX authfort_users_email_id ON authfort_users (email_key, id)
    INCLUDE (created_at, email_verified, banned, ban_expires_at, deleted_at);
CREATE INDEX authfort_users_name_asc ON authfort_users (coalesce(name_key, '􏿿'), id)
    INCLUDE (name_key, created_at, email_verified, banned, ban_expires_at, deleted_at);
CREATE INDEX authfort_users_name_desc ON authfort_users (coalesce(name_key, ''), id)
    INCLUDE (name_key, created_at, email_verified, banned, ban_expires_at, deleted_at);

-- One for each order of those who are few.
CREATE INDEX authfort_users_banned ON authfort_users (created_at, id)
    INCLUDE (email_verified, ban_expires_at, deleted_at) WHERE banned;
CREATE INDEX authfort_users_banned_email ON authfort_users (email_key, id)
    INCLUDE (created_at, email_verified, ban_expires_at, deleted_at) WHERE banned;
CREATE INDEX authfort_users_banned_name_asc ON authfort_users (coalesce(name_key, '􏿿'), id)
    INCLUDE (name_key, created_at, email_verified, ban_expires_at, deleted_at) WHERE banned;
CREATE INDEX authfort_users_banned_name_desc ON authfort_users (coalesce(name_key, ''), id)
    INCLUDE (name_key, created_at, email_verified, ban_expires_at, deleted_at) WHERE banned;
CREATE INDEX authfort_users_deleted ON authfort_users (created_at, id)
    INCLUDE (email_verified, banned, ban_expires_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX authfort_users_deleted_email ON authfort_users (email_key, id)
    INCLUDE (created_at, email_verified, banned, ban_expires_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX authfort_users_deleted_name_asc ON authfort_users (coalesce(name_key, '􏿿'), id)
    INCLUDE (name_key, created_at, email_verified, banned, ban_expires_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX authfort_users_deleted_name_desc ON authfort_users (coalesce(name_key, ''), id)
    INCLUDE (name_key, created_at, email_verified, banned, ban_expires_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX authfort_users_verified ON authfort_users (email_verified, created_at, id)
    INCLUDE (banned, ban_expires_at, deleted_at);

-- A search would read all entries that wait to be merged into the index, one by one: up to 4 MB of them.
DO $$
BEGIN
    IF to_regclass('authfort_users_search') IS NOT NULL THEN
        ALTER INDEX authfort_users_search SET (fastupdate = off);
        PERFORM gin_clean_pending_list('authfort_users_search'::regclass);
    END IF;
END
$$;

-- The keys of the orders by email and by name.
ALTER TABLE authfort_user_roles
    ADD COLUMN user_email_key text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN user_name_asc text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN user_name_desc text COLLATE "C" NOT NULL DEFAULT '';
DROP INDEX authfort_user_roles_role;
DROP INDEX authfort_user_roles_created;
UPDATE authfort_user_roles r
SET user_email_key = u.email_key, user_name_asc = coalesce(u.name_key, '􏿿'), user_name_desc = coalesce(u.name_key, '')
FROM authfort_users u WHERE u.id = r.user_id;

CREATE INDEX authfort_user_roles_created ON authfort_user_roles (role, user_created_at, user_id)
    INCLUDE (user_deleted, user_verified, user_ban_day);
CREATE INDEX authfort_user_roles_email ON authfort_user_roles (role, user_email_key, user_id)
    INCLUDE (user_created_at, user_deleted, user_verified, user_ban_day);
CREATE INDEX authfort_user_roles_name_asc ON authfort_user_roles (role, user_name_asc, user_id)
    INCLUDE (user_created_at, user_deleted, user_verified, user_ban_day);
CREATE INDEX authfort_user_roles_name_desc ON authfort_user_roles (role, user_name_desc, user_id)
    INCLUDE (user_created_at, user_deleted, user_verified, user_ban_day);
-- Those who are few: banned, or anonymized and yet with a role.
CREATE INDEX authfort_user_roles_few_created ON authfort_user_roles (role, user_created_at, user_id)
    INCLUDE (user_deleted, user_verified, user_ban_day) WHERE user_deleted OR user_ban_day <> '';
CREATE INDEX authfort_user_roles_few_email ON authfort_user_roles (role, user_email_key, user_id)
    INCLUDE (user_created_at, user_deleted, user_verified, user_ban_day) WHERE user_deleted OR user_ban_day <> '';
CREATE INDEX authfort_user_roles_few_name_asc ON authfort_user_roles (role, user_name_asc, user_id)
    INCLUDE (user_created_at, user_deleted, user_verified, user_ban_day) WHERE user_deleted OR user_ban_day <> '';
CREATE INDEX authfort_user_roles_few_name_desc ON authfort_user_roles (role, user_name_desc, user_id)
    INCLUDE (user_created_at, user_deleted, user_verified, user_ban_day) WHERE user_deleted OR user_ban_day <> '';

-- As in 0004_totals.sql, with the new keys.
CREATE OR REPLACE FUNCTION authfort_role_fill() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    SELECT u.created_at, u.email_key, coalesce(u.name_key, '􏿿'), coalesce(u.name_key, ''), u.deleted_at IS NOT NULL,
        u.email_verified, authfort_ban_day(u.banned, u.ban_expires_at)
    INTO new.user_created_at, new.user_email_key, new.user_name_asc, new.user_name_desc, new.user_deleted,
        new.user_verified, new.user_ban_day
    FROM authfort_users u WHERE u.id = new.user_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        new.user_created_at := '-infinity';
        new.user_email_key := '';
        new.user_name_asc := '';
        new.user_name_desc := '';
        new.user_deleted := FALSE;
        new.user_verified := FALSE;
        new.user_ban_day := '';
    END IF;
    RETURN new;
END
$$;

CREATE OR REPLACE FUNCTION authfort_users_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    k record;
BEGIN
    IF TG_OP = 'INSERT' THEN
        FOR k IN
            SELECT deleted_at IS NOT NULL AS deleted, email_verified AS verified, day, count(*) AS n
            FROM new_rows, unnest(authfort_ban_keys(authfort_ban_day(banned, ban_expires_at))) day GROUP BY 1, 2, 3
        LOOP
            PERFORM authfort_total_add('', k.deleted, k.verified, k.day, k.n);
        END LOOP;
    ELSIF TG_OP = 'DELETE' THEN
        FOR k IN
            SELECT deleted_at IS NOT NULL AS deleted, email_verified AS verified, day, count(*) AS n
            FROM old_rows, unnest(authfort_ban_keys(authfort_ban_day(banned, ban_expires_at))) day GROUP BY 1, 2, 3
        LOOP
            PERFORM authfort_total_add('', k.deleted, k.verified, k.day, -k.n);
        END LOOP;
    ELSIF TG_OP = 'UPDATE' THEN
        -- Most updates, such as those of a login, change nothing that a total or a role's row knows.
        IF NOT EXISTS (
            SELECT id, created_at, email_key, name_key, deleted_at IS NULL, email_verified, banned, ban_expires_at FROM new_rows
            EXCEPT ALL
            SELECT id, created_at, email_key, name_key, deleted_at IS NULL, email_verified, banned, ban_expires_at FROM old_rows
        ) THEN
            RETURN NULL;
        END IF;
        FOR k IN
            SELECT deleted_at IS NOT NULL AS deleted, email_verified AS verified, day, sum(d)::bigint AS n
            FROM (SELECT deleted_at, email_verified, banned, ban_expires_at, 1 AS d FROM new_rows
                  UNION ALL SELECT deleted_at, email_verified, banned, ban_expires_at, -1 FROM old_rows) c,
                unnest(authfort_ban_keys(authfort_ban_day(banned, ban_expires_at))) day
            GROUP BY 1, 2, 3 HAVING sum(d) <> 0
        LOOP
            PERFORM authfort_total_add('', k.deleted, k.verified, k.day, k.n);
        END LOOP;
        UPDATE authfort_user_roles r
        SET user_created_at = n.created_at, user_email_key = n.email_key, user_name_asc = coalesce(n.name_key, '􏿿'),
            user_name_desc = coalesce(n.name_key, ''), user_deleted = n.deleted_at IS NOT NULL,
            user_verified = n.email_verified, user_ban_day = authfort_ban_day(n.banned, n.ban_expires_at)
        FROM new_rows n
        WHERE r.user_id = n.id
          AND (r.user_created_at, r.user_email_key, r.user_name_asc, r.user_name_desc, r.user_deleted, r.user_verified,
               r.user_ban_day)
           <> (n.created_at, n.email_key, coalesce(n.name_key, '􏿿'), coalesce(n.name_key, ''), n.deleted_at IS NOT NULL,
               n.email_verified, authfort_ban_day(n.banned, n.ban_expires_at));
    ELSE
        DELETE FROM authfort_user_totals WHERE role = '';
    END IF;
    RETURN NULL;
END
$$;

SELECT set_config('search_path', current_setting('authfort.search_path'), TRUE);
