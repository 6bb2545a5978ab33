-- What plain SQL may write: an odd value is refused where it is written, instead of failing each list that has the row. The
-- rows that there are stay as they are (NOT VALID), so that no table is read under a lock.

-- Years of four digits, as RFC 3339 has them; so no infinity either.
ALTER TABLE authfort_users ADD CONSTRAINT authfort_users_times_in_years_1_to_9999 CHECK (
    least(created_at, updated_at, last_login_at, banned_at, ban_expires_at, deleted_at) >= '0001-01-01 00:00:00+00' AND
    greatest(created_at, updated_at, last_login_at, banned_at, ban_expires_at, deleted_at) < '10000-01-01 00:00:00+00'
) NOT VALID;
-- What is no JSON at all is refused by the cast.
ALTER TABLE authfort_users ADD CONSTRAINT authfort_users_metadata_is_json_object CHECK (
    json_typeof(CAST(metadata AS json)) = 'object'
) NOT VALID;

SELECT set_config('authfort.search_path', current_setting('search_path'), TRUE),
       set_config('search_path', quote_ident(n.nspname) || ', pg_temp', TRUE)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = 'authfort_users'::regclass;

-- Whoever deletes from the record what the nodes may not have read tells everybody; the library says that it has been read.
CREATE TRIGGER authfort_standing_changes_deleted AFTER UPDATE OR DELETE ON authfort_standing_changes FOR EACH STATEMENT
    WHEN (current_setting('authfort.has_read', TRUE) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION authfort_standing_changed();

-- An update that sets a role's row to what it was locks no user: a ban of that user takes its locks in the other order.
DROP TRIGGER authfort_user_roles_fill ON authfort_user_roles;
CREATE TRIGGER authfort_user_roles_fill BEFORE INSERT ON authfort_user_roles
    FOR EACH ROW EXECUTE FUNCTION authfort_role_fill();
CREATE TRIGGER authfort_user_roles_fill_again BEFORE UPDATE OF user_id ON authfort_user_roles
    FOR EACH ROW WHEN (old.user_id <> new.user_id OR old.user_created_at = '-infinity')
    EXECUTE FUNCTION authfort_role_fill();

-- As in 0004_totals.sql, but for the number of rows that are put together at once: each transaction at REPEATABLE READ or above
-- leaves one.
CREATE OR REPLACE FUNCTION authfort_total_add(of_role text, of_deleted boolean, of_verified boolean, of_day text, delta bigint) RETURNS void
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
                LIMIT 1000 FOR UPDATE SKIP LOCKED))
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

SELECT set_config('search_path', current_setting('authfort.search_path'), TRUE);
