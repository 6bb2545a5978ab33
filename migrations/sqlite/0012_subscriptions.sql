-- Durable subscribers: where each of them is in the log, who works for it, and what it could not deliver yet.

CREATE TABLE authfort_subscriptions (
    name          text NOT NULL PRIMARY KEY,
    created_at    TEXT NOT NULL,
    last_error    text,
    last_error_at TEXT,
    -- Tells it from an earlier one of its name.
    generation    INTEGER NOT NULL
);

-- The processes that work for a subscription, and until when each is taken for alive. All such times are milliseconds since 1970
-- by the clock of the database.
CREATE TABLE authfort_subscription_members (
    subscription text NOT NULL REFERENCES authfort_subscriptions (name) ON DELETE CASCADE,
    owner        BLOB NOT NULL,
    alive_until  INTEGER NOT NULL,
    PRIMARY KEY (subscription, owner)
);

-- The work of a subscription is divided into lanes, so that several processes can share it. A user is always in the same lane.
CREATE TABLE authfort_subscription_lanes (
    subscription text NOT NULL REFERENCES authfort_subscriptions (name) ON DELETE CASCADE,
    lane         INTEGER NOT NULL,
    -- All events of the lane up to this one are delivered, or are in authfort_deliveries.
    position     INTEGER NOT NULL,
    owner        BLOB,
    -- Counts the owners: one that has lost the lane without knowing writes nothing any more.
    fence        INTEGER NOT NULL,
    leased_until INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (subscription, lane)
);

-- Events that were passed without being delivered: what failed or takes long, and what waits behind it.
CREATE TABLE authfort_deliveries (
    subscription text NOT NULL REFERENCES authfort_subscriptions (name) ON DELETE CASCADE,
    position     INTEGER NOT NULL,
    lane         INTEGER NOT NULL,
    -- 16 zero bytes if the event concerns nobody.
    user_id      BLOB NOT NULL,
    attempts     INTEGER NOT NULL,
    -- When it is to be delivered. None if it is dead, or waits for an earlier event of the user.
    next_at      INTEGER,
    dead         BOOLEAN NOT NULL,
    error        text,
    failed_at    TEXT,
    PRIMARY KEY (subscription, position)
);
CREATE INDEX authfort_deliveries_user ON authfort_deliveries (subscription, user_id, position);
CREATE INDEX authfort_deliveries_due ON authfort_deliveries (subscription, lane, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX authfort_deliveries_alive ON authfort_deliveries (subscription, lane, position) WHERE NOT dead;
CREATE INDEX authfort_deliveries_dead ON authfort_deliveries (subscription, position) WHERE dead;
