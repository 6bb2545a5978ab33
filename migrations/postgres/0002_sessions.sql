-- One row for each sign-in; its refresh tokens hang on it.
CREATE TABLE authfort_sessions (
    id               uuid NOT NULL PRIMARY KEY,
    user_id          uuid NOT NULL REFERENCES authfort_users (id) ON DELETE CASCADE,
    user_agent       text,
    ip_address       text,
    created_at       timestamptz NOT NULL,
    last_seen_at     timestamptz NOT NULL,
    -- Where the newest refresh token runs out, and where no rotation goes past.
    expires_at       timestamptz NOT NULL,
    final_expires_at timestamptz NOT NULL,
    revoked_at       timestamptz
);
CREATE INDEX authfort_sessions_user ON authfort_sessions (user_id, id);
-- A sign-in ends the oldest of too many live ones.
CREATE INDEX authfort_sessions_live ON authfort_sessions (user_id, id) WHERE revoked_at IS NULL;

-- Only the SHA-256 of a token's 256-bit secret is kept. The child of a token is derived from the token itself and
-- child_salt, so that the same child can be given twice without being stored.
CREATE TABLE authfort_refresh_tokens (
    token_hash bytea NOT NULL PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES authfort_sessions (id) ON DELETE CASCADE,
    user_id    uuid NOT NULL REFERENCES authfort_users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    child_salt bytea
);
CREATE INDEX authfort_refresh_tokens_session ON authfort_refresh_tokens (session_id);
CREATE INDEX authfort_refresh_tokens_user ON authfort_refresh_tokens (user_id);

CREATE TABLE authfort_oauth_accounts (
    provider            text COLLATE "C" NOT NULL,
    provider_account_id text COLLATE "C" NOT NULL,
    user_id             uuid NOT NULL REFERENCES authfort_users (id) ON DELETE CASCADE,
    created_at          timestamptz NOT NULL,
    CONSTRAINT authfort_oauth_accounts_pkey PRIMARY KEY (provider, provider_account_id),
    CONSTRAINT authfort_oauth_accounts_user_key UNIQUE (user_id, provider)
);

-- Single-use tokens: email verification, password reset. Bound to the address they were made for.
CREATE TABLE authfort_verification_tokens (
    token_hash bytea NOT NULL PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES authfort_users (id) ON DELETE CASCADE,
    purpose    text COLLATE "C" NOT NULL,
    email      text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE INDEX authfort_verification_tokens_user ON authfort_verification_tokens (user_id, purpose);

-- A line of keys: each signs from its signs_from until that of the next one, and verifies from its creation until its
-- expires_at. private_key is PKCS #8: sealed with the configured secret ('v1.…'), or base64 where none is configured;
-- empty once the next key signs.
CREATE TABLE authfort_signing_keys (
    kid         text COLLATE "C" NOT NULL PRIMARY KEY,
    algorithm   text NOT NULL,
    public_jwk  text NOT NULL,
    private_key text NOT NULL,
    created_at  timestamptz NOT NULL,
    signs_from  timestamptz NOT NULL,
    -- Set when another key is put behind it: until then its tokens are good.
    expires_at  timestamptz
);
-- However many nodes start or rotate at once, the line has one end.
CREATE UNIQUE INDEX authfort_signing_keys_end ON authfort_signing_keys ((expires_at IS NULL)) WHERE expires_at IS NULL;
