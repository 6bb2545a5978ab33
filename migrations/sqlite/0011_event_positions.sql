-- The log in the order of commits: there is one writer at a time, so the order of writing is that order. See decision 27.

CREATE TABLE authfort_events_placed (
    -- AUTOINCREMENT: a number is never used again.
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
INSERT INTO authfort_events_placed (id, type, timestamp, user_id, actor_id, session_id, request_id, ip_address, data)
SELECT id, type, timestamp, user_id, actor_id, session_id, request_id, ip_address, data FROM authfort_events ORDER BY id;
DROP TABLE authfort_events;
ALTER TABLE authfort_events_placed RENAME TO authfort_events;
CREATE INDEX authfort_events_user ON authfort_events (user_id, id);
CREATE INDEX authfort_events_type ON authfort_events (type, id);
