-- The log. It refers to users without a foreign key: it outlives them.
CREATE TABLE authfort_events (
    id         BLOB NOT NULL PRIMARY KEY,
    type       text NOT NULL,
    timestamp  TEXT NOT NULL,
    user_id    BLOB,
    actor_id   BLOB,
    session_id BLOB,
    request_id text,
    ip_address text,
    data       text NOT NULL
);
CREATE INDEX authfort_events_user ON authfort_events (user_id, id);
CREATE INDEX authfort_events_type ON authfort_events (type, id);
