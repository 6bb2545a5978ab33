-- The log, rebuilt around its position: SQLite gives it itself, in the order of the commits, and never again after the event was
-- deleted. Before, a trigger gave it, which wrote each event twice, and two indexes more. See decision 27.

-- A table that refers to the log would lose its rows with the old table.
CREATE TABLE authfort_references (
    n INTEGER CONSTRAINT no_foreign_key_of_another_table_refers_to_authfort_events CHECK (n = 0)
);
INSERT INTO authfort_references
SELECT count(*) FROM sqlite_schema t, pragma_foreign_key_list(t.name) f
WHERE t.type = 'table' AND f."table" = 'authfort_events' COLLATE NOCASE;
DROP TABLE authfort_references;

CREATE TABLE authfort_events_new (
    position   INTEGER PRIMARY KEY AUTOINCREMENT,
    id         BLOB NOT NULL UNIQUE,
    type       text NOT NULL,
    timestamp  TEXT NOT NULL,
    user_id    BLOB,
    actor_id   BLOB,
    session_id BLOB,
    request_id text,
    ip_address text,
    data       text NOT NULL,
    -- The process that wrote it: its hooks run for it.
    node       BLOB
);
-- The last events may have been deleted.
INSERT INTO sqlite_sequence (name, seq) SELECT 'authfort_events_new', last FROM authfort_event_positions;
INSERT INTO authfort_events_new
SELECT position, id, type, timestamp, user_id, actor_id, session_id, request_id, ip_address, data, node
FROM authfort_events ORDER BY position;
DROP TRIGGER authfort_events_placed;
DROP TABLE authfort_events;
DROP TABLE authfort_event_positions;
ALTER TABLE authfort_events_new RENAME TO authfort_events;
CREATE INDEX authfort_events_user ON authfort_events (user_id, id);
CREATE INDEX authfort_events_type ON authfort_events (type, id);

-- One row: the last position that an event has had, as on PostgreSQL. Both, because the table of SQLite may be emptied.
CREATE VIEW authfort_event_positions AS
SELECT TRUE AS one, max(
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'authfort_events'), 0),
    coalesce((SELECT max(position) FROM authfort_events), 0)
) AS last;
