-- The log in the order of commits: there is one writer at a time, so the order of writing is that order. See decision 27.

ALTER TABLE authfort_events ADD COLUMN position INTEGER;
-- PostgreSQL needs the order of writing; here it is always empty, and lets both engines have one statement.
ALTER TABLE authfort_events ADD COLUMN written INTEGER;
-- The process that wrote it: its hooks run for it.
ALTER TABLE authfort_events ADD COLUMN node BLOB;
UPDATE authfort_events SET position = n.position
FROM (SELECT id, row_number() OVER (ORDER BY id) AS position FROM authfort_events) n WHERE authfort_events.id = n.id;
CREATE UNIQUE INDEX authfort_events_position ON authfort_events (position) WHERE position IS NOT NULL;
CREATE INDEX authfort_events_unplaced ON authfort_events (written) WHERE position IS NULL;

-- One row. A position is never used again, also after its event was deleted.
CREATE TABLE authfort_event_positions (
    one  BOOLEAN NOT NULL PRIMARY KEY DEFAULT TRUE CHECK (one),
    last INTEGER NOT NULL
);
INSERT INTO authfort_event_positions (last) SELECT coalesce(max(position), 0) FROM authfort_events;

CREATE TRIGGER authfort_events_placed AFTER INSERT ON authfort_events WHEN new.position IS NULL BEGIN
    UPDATE authfort_event_positions SET last = last + 1 WHERE one;
    UPDATE authfort_events SET position = (SELECT last FROM authfort_event_positions WHERE one) WHERE id = new.id;
END;
