-- Webhooks: where events are sent to, and what came of it.

CREATE TABLE authfort_webhooks (
    id                    BLOB NOT NULL PRIMARY KEY,
    -- Has its place in the log, and what is to be sent again.
    subscription          text NOT NULL UNIQUE REFERENCES authfort_subscriptions (name) ON DELETE CASCADE,
    url                   text NOT NULL,
    description           text,
    -- A JSON array; all types if it is empty.
    types                 text NOT NULL,
    enabled               BOOLEAN NOT NULL,
    -- Why it was switched off, if nobody did it: 'gone' or 'failing'.
    disabled_reason       text,
    secret                text NOT NULL,
    -- Signs beside the new one for a while.
    previous_secret       text,
    previous_secret_until TEXT,
    -- Since when everything has failed.
    failing_since         TEXT,
    -- Until when the receiver wants to be left alone.
    paused_until          TEXT,
    created_at            TEXT NOT NULL,
    updated_at            TEXT NOT NULL
);

-- What came of the last attempt to send an event.
CREATE TABLE authfort_webhook_deliveries (
    webhook_id      BLOB NOT NULL REFERENCES authfort_webhooks (id) ON DELETE CASCADE,
    event_id        BLOB NOT NULL,
    type            text NOT NULL,
    attempts        INTEGER NOT NULL,
    succeeded       BOOLEAN NOT NULL,
    response_status INTEGER,
    error           text,
    attempted_at    TEXT NOT NULL,
    -- In milliseconds.
    duration        INTEGER NOT NULL,
    PRIMARY KEY (webhook_id, event_id)
);
