-- Durable subscribers: where each of them is in the log, who works for it, and what it could not deliver yet.

SELECT set_config('authfort.search_path', current_setting('search_path'), TRUE),
       set_config('search_path', quote_ident(n.nspname) || ', pg_temp', TRUE)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = 'authfort_users'::regclass;

CREATE TABLE authfort_subscriptions (
    name          text COLLATE "C" NOT NULL PRIMARY KEY,
    created_at    timestamptz NOT NULL,
    last_error    text,
    last_error_at timestamptz,
    -- Tells it from an earlier one of its name.
    generation    bigint NOT NULL
);

-- The processes that work for a subscription, and until when each is taken for alive. All such times are milliseconds since 1970
-- by the clock of the database, since the processes' clocks may differ.
CREATE TABLE authfort_subscription_members (
    subscription text COLLATE "C" NOT NULL REFERENCES authfort_subscriptions (name) ON DELETE CASCADE,
    owner        uuid NOT NULL,
    alive_until  bigint NOT NULL,
    PRIMARY KEY (subscription, owner)
);

-- The work of a subscription is divided into lanes, so that several processes can share it. A user is always in the same lane.
CREATE TABLE authfort_subscription_lanes (
    subscription text COLLATE "C" NOT NULL REFERENCES authfort_subscriptions (name) ON DELETE CASCADE,
    lane         bigint NOT NULL,
    -- All events of the lane up to this one are delivered, or are in authfort_deliveries.
    position     bigint NOT NULL,
    owner        uuid,
    -- Counts the owners: one that has lost the lane without knowing writes nothing any more.
    fence        bigint NOT NULL,
    leased_until bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (subscription, lane)
);

-- Events that were passed without being delivered: what failed or takes long, and what waits behind it.
CREATE TABLE authfort_deliveries (
    subscription text COLLATE "C" NOT NULL REFERENCES authfort_subscriptions (name) ON DELETE CASCADE,
    position     bigint NOT NULL,
    lane         bigint NOT NULL,
    -- 16 zero bytes if the event concerns nobody.
    user_id      uuid NOT NULL,
    attempts     bigint NOT NULL,
    -- When it is to be delivered. None if it is dead, or waits for an earlier event of the user.
    next_at      bigint,
    dead         boolean NOT NULL,
    error        text,
    failed_at    timestamptz,
    PRIMARY KEY (subscription, position)
);
CREATE INDEX authfort_deliveries_user ON authfort_deliveries (subscription, user_id, position);
CREATE INDEX authfort_deliveries_due ON authfort_deliveries (subscription, lane, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX authfort_deliveries_alive ON authfort_deliveries (subscription, lane, position) WHERE NOT dead;
CREATE INDEX authfort_deliveries_dead ON authfort_deliveries (subscription, position) WHERE dead;

SELECT set_config('search_path', current_setting('authfort.search_path'), TRUE);
