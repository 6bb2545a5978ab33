-- The log. It refers to users without a foreign key: it outlives them.
CREATE TABLE authfort_events (
    id         uuid NOT NULL PRIMARY KEY,
    type       text COLLATE "C" NOT NULL,
    timestamp  timestamptz NOT NULL,
    user_id    uuid,
    actor_id   uuid,
    session_id uuid,
    request_id text,
    ip_address text,
    data       text NOT NULL
);
CREATE INDEX authfort_events_user ON authfort_events (user_id, id);
CREATE INDEX authfort_events_type ON authfort_events (type, id);
