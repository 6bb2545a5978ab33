-- Webhooks: where events are sent to, and what came of it.

SELECT set_config('authfort.search_path', current_setting('search_path'), TRUE),
       set_config('search_path', quote_ident(n.nspname) || ', pg_temp', TRUE)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = 'authfort_users'::regclass;

CREATE TABLE authfort_webhooks (
    id                    uuid NOT NULL PRIMARY KEY,
    -- Has its place in the log, and what is to be sent again.
    subscription          text COLLATE "C" NOT NULL UNIQUE REFERENCES authfort_subscriptions (name) ON DELETE CASCADE,
    url                   text NOT NULL,
    description           text,
    -- A JSON array; all types if it is empty.
    types                 text NOT NULL,
    enabled               boolean NOT NULL,
    -- Why it was switched off, if nobody did it: 'gone' or 'failing'.
    disabled_reason       text,
    secret                text NOT NULL,
    -- Signs beside the new one for a while.
    previous_secret       text,
    previous_secret_until timestamptz,
    -- Since when everything has failed.
    failing_since         timestamptz,
    -- Until when the receiver wants to be left alone.
    paused_until          timestamptz,
    created_at            timestamptz NOT NULL,
    updated_at            timestamptz NOT NULL
);

-- What came of the last attempt to send an event.
CREATE TABLE authfort_webhook_deliveries (
    webhook_id      uuid NOT NULL REFERENCES authfort_webhooks (id) ON DELETE CASCADE,
    event_id        uuid NOT NULL,
    type            text NOT NULL,
    attempts        bigint NOT NULL,
    succeeded       boolean NOT NULL,
    response_status bigint,
    error           text,
    attempted_at    timestamptz NOT NULL,
    -- In milliseconds.
    duration        bigint NOT NULL,
    PRIMARY KEY (webhook_id, event_id)
);

SELECT set_config('search_path', current_setting('authfort.search_path'), TRUE);
