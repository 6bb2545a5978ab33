-- Kept totals: the number of users by role, anonymized or not, verified or not, and the day on which a ban ends. Triggers
-- keep them, so plain SQL keeps them too.

-- Nothing changes until this is done.
LOCK TABLE authfort_users, authfort_user_roles IN SHARE ROW EXCLUSIVE MODE;

-- The functions below work in the schema of these tables, whatever the search path of who writes to them.
SELECT set_config('authfort.search_path', current_setting('search_path'), TRUE),
       set_config('search_path', quote_ident(n.nspname) || ', pg_temp', TRUE)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = 'authfort_users'::regclass;

-- '' for who is not banned, 'never' for a ban without end, else its last day in UTC. 'never' sorts after all days.
CREATE FUNCTION authfort_ban_day(banned boolean, expires_at timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN NOT banned THEN '' WHEN expires_at IS NULL THEN 'never' ELSE to_char(
        least(greatest(expires_at, timestamptz '0001-01-01 00:00:00Z'), timestamptz '9999-12-31 00:00:00Z')
            AT TIME ZONE 'UTC', 'YYYY-MM-DD') END
$$;

-- The empty role stands for all users in the totals.
ALTER TABLE authfort_user_roles ADD CONSTRAINT authfort_user_roles_named CHECK (role <> '');

-- What a role's row knows of its user: its list runs in index order, and its totals need no look at the user, who may be
-- gone already. '-infinity' stands in a row whose user is not there yet.
ALTER TABLE authfort_user_roles
    ADD COLUMN user_created_at timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN user_deleted boolean NOT NULL DEFAULT FALSE,
    ADD COLUMN user_verified boolean NOT NULL DEFAULT FALSE,
    ADD COLUMN user_ban_day text COLLATE "C" NOT NULL DEFAULT '';
UPDATE authfort_user_roles r
SET user_created_at = u.created_at, user_deleted = u.deleted_at IS NOT NULL, user_verified = u.email_verified,
    user_ban_day = authfort_ban_day(u.banned, u.ban_expires_at)
FROM authfort_users u WHERE u.id = r.user_id;
CREATE INDEX authfort_user_roles_created ON authfort_user_roles (role, user_created_at, user_id);

-- Whose ban ends today is counted, not kept.
CREATE INDEX authfort_users_ban_expires ON authfort_users (ban_expires_at) WHERE banned AND ban_expires_at IS NOT NULL;

-- role '': all users. ban_day '': banned or not; else as above. A total is the sum of its rows: writers at the same time
-- have a row each, so that none waits for another. The last two columns say which transaction wrote a row, how often.
CREATE TABLE authfort_user_totals (
    id      bigint  NOT NULL GENERATED ALWAYS AS IDENTITY,
    role    text COLLATE "C" NOT NULL,
    deleted boolean NOT NULL,
    verified boolean NOT NULL,
    ban_day text COLLATE "C" NOT NULL,
    n       bigint  NOT NULL,
    writer  xid8    NOT NULL DEFAULT '0',
    writes  integer NOT NULL DEFAULT 0,
    -- Without n: a row is updated where it is, and the index stays as it is.
    PRIMARY KEY (role, ban_day, deleted, verified, id)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);

INSERT INTO authfort_user_totals (role, deleted, verified, ban_day, n)
SELECT '', deleted_at IS NOT NULL, email_verified, '', count(*) FROM authfort_users GROUP BY 2, 3
UNION ALL
SELECT '', deleted_at IS NOT NULL, email_verified, authfort_ban_day(banned, ban_expires_at), count(*) FROM authfort_users
WHERE banned GROUP BY 2, 3, 4
UNION ALL
SELECT role, user_deleted, user_verified, '', count(*) FROM authfort_user_roles GROUP BY 1, 2, 3
UNION ALL
SELECT role, user_deleted, user_verified, user_ban_day, count(*) FROM authfort_user_roles
WHERE user_ban_day <> '' GROUP BY 1, 2, 3, 4;

-- The keys under which somebody with this ban_day is counted.
CREATE FUNCTION authfort_ban_keys(ban_day text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN ban_day = '' THEN ARRAY[''] ELSE ARRAY['', ban_day] END
$$;

-- Adds to a total, in a row that nobody else writes to: the newest that is free, else a new one. A row that this transaction
-- has written to often is not: all its versions stay until the commit, and the last is found by way of the others. Where
-- writing to a row that changed since the snapshot would fail the transaction, only its own rows are free.
CREATE FUNCTION authfort_total_add(of_role text, of_deleted boolean, of_verified boolean, of_day text, delta bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    me      xid8 := pg_current_xact_id();
    others  boolean := current_setting('transaction_isolation') NOT IN ('repeatable read', 'serializable');
    written tid;
    total   bigint;
    more    bigint;
BEGIN
    UPDATE authfort_user_totals
    SET n = n + delta, writes = CASE WHEN writer = me THEN writes + 1 ELSE 1 END, writer = me
    WHERE ctid = (
        SELECT t.ctid FROM authfort_user_totals t
        WHERE t.role = of_role AND t.deleted = of_deleted AND t.verified = of_verified AND t.ban_day = of_day
          AND CASE WHEN t.writer = me THEN t.writes < 200 ELSE others END
        ORDER BY t.id DESC LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING ctid, n INTO written, total;
    IF written IS NULL THEN
        INSERT INTO authfort_user_totals (role, deleted, verified, ban_day, n, writer, writes)
        VALUES (of_role, of_deleted, of_verified, of_day, delta, me, 1);
        RETURN;
    END IF;
    -- Now and then, rows that others left are put together.
    IF others AND random() < 0.0625 THEN
        WITH gone AS (
            DELETE FROM authfort_user_totals WHERE ctid = ANY (ARRAY(
                SELECT t.ctid FROM authfort_user_totals t
                WHERE t.role = of_role AND t.deleted = of_deleted AND t.verified = of_verified AND t.ban_day = of_day AND t.writer <> me
                LIMIT 64 FOR UPDATE SKIP LOCKED))
            RETURNING n)
        SELECT sum(n) INTO more FROM gone;
        IF more IS NOT NULL THEN
            UPDATE authfort_user_totals SET n = n + more WHERE ctid = written RETURNING ctid, n INTO written, total;
        END IF;
    END IF;
    IF total = 0 THEN
        DELETE FROM authfort_user_totals WHERE ctid = written;
    END IF;
END
$$;

-- Who may write to users and roles need not be allowed to write to the totals. Plans are made for tables that grow: one
-- that was made while a table was empty would read all of it.

-- The lock makes who gives a role and who bans its user wait for each other. It is the one that an UPDATE of the user
-- would take: two that give a role and then change the user do not block each other.
CREATE FUNCTION authfort_role_fill() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    SELECT u.created_at, u.deleted_at IS NOT NULL, u.email_verified, authfort_ban_day(u.banned, u.ban_expires_at)
    INTO new.user_created_at, new.user_deleted, new.user_verified, new.user_ban_day
    FROM authfort_users u WHERE u.id = new.user_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        new.user_created_at := '-infinity';
        new.user_deleted := FALSE;
        new.user_verified := FALSE;
        new.user_ban_day := '';
    END IF;
    RETURN new;
END
$$;

CREATE FUNCTION authfort_roles_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    k record;
BEGIN
    IF TG_OP = 'INSERT' THEN
        FOR k IN
            SELECT role, user_deleted, user_verified, day, count(*) AS n
            FROM new_rows, unnest(authfort_ban_keys(user_ban_day)) day GROUP BY 1, 2, 3, 4
        LOOP
            PERFORM authfort_total_add(k.role, k.user_deleted, k.user_verified, k.day, k.n);
        END LOOP;
        -- One statement can make a user and its roles, the roles first.
        IF EXISTS (SELECT 1 FROM new_rows WHERE user_created_at = '-infinity') THEN
            UPDATE authfort_user_roles r SET user_id = r.user_id FROM new_rows n
            WHERE n.user_created_at = '-infinity' AND r.user_id = n.user_id AND r.role = n.role;
        END IF;
    ELSIF TG_OP = 'DELETE' THEN
        FOR k IN
            SELECT role, user_deleted, user_verified, day, count(*) AS n
            FROM old_rows, unnest(authfort_ban_keys(user_ban_day)) day GROUP BY 1, 2, 3, 4
        LOOP
            PERFORM authfort_total_add(k.role, k.user_deleted, k.user_verified, k.day, -k.n);
        END LOOP;
    ELSIF TG_OP = 'UPDATE' THEN
        FOR k IN
            SELECT role, user_deleted, user_verified, day, sum(d)::bigint AS n
            FROM (SELECT role, user_deleted, user_verified, user_ban_day, 1 AS d FROM new_rows
                  UNION ALL SELECT role, user_deleted, user_verified, user_ban_day, -1 FROM old_rows) c,
                unnest(authfort_ban_keys(user_ban_day)) day
            GROUP BY 1, 2, 3, 4 HAVING sum(d) <> 0
        LOOP
            PERFORM authfort_total_add(k.role, k.user_deleted, k.user_verified, k.day, k.n);
        END LOOP;
    ELSE
        DELETE FROM authfort_user_totals WHERE role <> '';
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION authfort_users_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
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
        -- Most updates, such as those of a login, concern nobody's standing.
        IF NOT EXISTS (
            SELECT id, created_at, deleted_at IS NULL, email_verified, banned, ban_expires_at FROM new_rows
            EXCEPT ALL SELECT id, created_at, deleted_at IS NULL, email_verified, banned, ban_expires_at FROM old_rows
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
        SET user_created_at = n.created_at, user_deleted = n.deleted_at IS NOT NULL, user_verified = n.email_verified,
            user_ban_day = authfort_ban_day(n.banned, n.ban_expires_at)
        FROM new_rows n
        WHERE r.user_id = n.id
          AND (r.user_created_at <> n.created_at OR r.user_deleted <> (n.deleted_at IS NOT NULL)
               OR r.user_verified <> n.email_verified
               OR r.user_ban_day <> authfort_ban_day(n.banned, n.ban_expires_at));
    ELSE
        DELETE FROM authfort_user_totals WHERE role = '';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER authfort_user_roles_fill BEFORE INSERT OR UPDATE OF user_id ON authfort_user_roles
    FOR EACH ROW EXECUTE FUNCTION authfort_role_fill();
CREATE TRIGGER authfort_user_roles_inserted AFTER INSERT ON authfort_user_roles REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION authfort_roles_changed();
CREATE TRIGGER authfort_user_roles_deleted AFTER DELETE ON authfort_user_roles REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION authfort_roles_changed();
CREATE TRIGGER authfort_user_roles_updated AFTER UPDATE ON authfort_user_roles
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION authfort_roles_changed();
CREATE TRIGGER authfort_user_roles_emptied AFTER TRUNCATE ON authfort_user_roles
    FOR EACH STATEMENT EXECUTE FUNCTION authfort_roles_changed();

CREATE TRIGGER authfort_users_inserted AFTER INSERT ON authfort_users REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION authfort_users_changed();
CREATE TRIGGER authfort_users_deleted AFTER DELETE ON authfort_users REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION authfort_users_changed();
CREATE TRIGGER authfort_users_updated AFTER UPDATE ON authfort_users
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION authfort_users_changed();
CREATE TRIGGER authfort_users_emptied AFTER TRUNCATE ON authfort_users
    FOR EACH STATEMENT EXECUTE FUNCTION authfort_users_changed();

SELECT set_config('search_path', current_setting('authfort.search_path'), TRUE);
