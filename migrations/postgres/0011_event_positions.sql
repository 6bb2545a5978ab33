-- The log in the order of commits. An event gets its position after the commit, from whoever reads the log next: no earlier
-- number could tell that order, and a reader who has seen a position has seen all before it. See decision 27.

LOCK TABLE authfort_events IN ACCESS EXCLUSIVE MODE;

SELECT set_config('authfort.search_path', current_setting('search_path'), TRUE),
       set_config('search_path', quote_ident(n.nspname) || ', pg_temp', TRUE)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = 'authfort_users'::regclass;

ALTER TABLE authfort_events
    ADD COLUMN position bigint,
    -- The order of writing. Whoever changes a user waits for who did before, until that commit: so it is also the order of the
    -- commits that concern one user.
    ADD COLUMN written bigint,
    -- The process that wrote it: its hooks run for it.
    ADD COLUMN node uuid;
UPDATE authfort_events e SET position = n.position
FROM (SELECT id, row_number() OVER (ORDER BY id) AS position FROM authfort_events) n WHERE e.id = n.id;
CREATE SEQUENCE authfort_events_written OWNED BY authfort_events.written;
ALTER TABLE authfort_events ALTER COLUMN written SET DEFAULT nextval('authfort_events_written');
CREATE UNIQUE INDEX authfort_events_position ON authfort_events (position) WHERE position IS NOT NULL;
CREATE INDEX authfort_events_unplaced ON authfort_events (written) WHERE position IS NULL;

-- One row, which also lets only one place events at a time.
CREATE TABLE authfort_event_positions (
    one  boolean NOT NULL PRIMARY KEY DEFAULT TRUE CHECK (one),
    last bigint  NOT NULL
);
INSERT INTO authfort_event_positions (last) SELECT coalesce(max(position), 0) FROM authfort_events;

-- Gives positions to committed events, at most so many; returns how many.
CREATE FUNCTION authfort_place_events(most bigint) RETURNS bigint LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    before bigint;
    placed bigint;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM authfort_events WHERE position IS NULL) THEN
        RETURN 0;
    END IF;
    -- The statements after it see what was committed until the lock was had.
    SELECT last INTO before FROM authfort_event_positions WHERE one FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO authfort_event_positions (last) SELECT coalesce(max(position), 0) FROM authfort_events
        RETURNING last INTO before;
    END IF;
    UPDATE authfort_events e SET position = before + n.rank
    FROM (
        SELECT u.id, row_number() OVER (ORDER BY u.written) AS rank
        FROM (SELECT id, written FROM authfort_events WHERE position IS NULL ORDER BY written LIMIT most) u
    ) n
    WHERE e.id = n.id AND e.position IS NULL;
    GET DIAGNOSTICS placed = ROW_COUNT;
    UPDATE authfort_event_positions SET last = (SELECT coalesce(max(position), before) FROM authfort_events WHERE position > before);
    RETURN placed;
END
$$;

SELECT set_config('search_path', current_setting('authfort.search_path'), TRUE);
