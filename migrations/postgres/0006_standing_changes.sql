-- A record of what changes somebody's standing: whether their access tokens are valid, and for what. The nodes follow it, and
-- forget what they remember of these users. Triggers write it, so plain SQL counts too.

SELECT set_config('authfort.search_path', current_setting('search_path'), TRUE),
       set_config('search_path', quote_ident(n.nspname) || ', pg_temp', TRUE)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = 'authfort_users'::regclass;

-- A transaction has one row for each user, however often it changes them.
CREATE TABLE authfort_standing_changes (
    -- A snapshot says whether this transaction was over.
    writer  xid8 NOT NULL DEFAULT pg_current_xact_id(),
    -- NULL stands for all users.
    user_id uuid,
    CONSTRAINT authfort_standing_changes_key UNIQUE (writer, user_id)
);

-- The notification only shortens the wait of who listens; the record is what counts.
CREATE FUNCTION authfort_standing_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_LEVEL = 'STATEMENT' THEN
        INSERT INTO authfort_standing_changes (user_id) VALUES (NULL);
    ELSIF TG_TABLE_NAME = 'authfort_users' THEN
        INSERT INTO authfort_standing_changes (user_id) VALUES (old.id) ON CONFLICT DO NOTHING;
    ELSE
        IF TG_OP <> 'INSERT' THEN
            INSERT INTO authfort_standing_changes (user_id) VALUES (old.user_id) ON CONFLICT DO NOTHING;
        END IF;
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO authfort_standing_changes (user_id) VALUES (new.user_id) ON CONFLICT DO NOTHING;
        END IF;
    END IF;
    PERFORM pg_notify('authfort_standing', '');
    RETURN NULL;
END
$$;

-- A sign-in and a refresh change nothing of this: they add a session, and extend it.
CREATE TRIGGER authfort_users_standing_updated AFTER UPDATE ON authfort_users FOR EACH ROW
    WHEN ((old.email, old.name, old.token_version, old.banned, old.ban_expires_at, old.deleted_at)
          IS DISTINCT FROM (new.email, new.name, new.token_version, new.banned, new.ban_expires_at, new.deleted_at))
    EXECUTE FUNCTION authfort_standing_changed();
CREATE TRIGGER authfort_users_standing_deleted AFTER DELETE ON authfort_users
    FOR EACH ROW EXECUTE FUNCTION authfort_standing_changed();
CREATE TRIGGER authfort_users_standing_emptied AFTER TRUNCATE ON authfort_users
    FOR EACH STATEMENT EXECUTE FUNCTION authfort_standing_changed();

CREATE TRIGGER authfort_user_roles_standing_updated AFTER UPDATE ON authfort_user_roles FOR EACH ROW
    WHEN ((old.user_id, old.role) IS DISTINCT FROM (new.user_id, new.role))
    EXECUTE FUNCTION authfort_standing_changed();
CREATE TRIGGER authfort_user_roles_standing_changed AFTER INSERT OR DELETE ON authfort_user_roles
    FOR EACH ROW EXECUTE FUNCTION authfort_standing_changed();
CREATE TRIGGER authfort_user_roles_standing_emptied AFTER TRUNCATE ON authfort_user_roles
    FOR EACH STATEMENT EXECUTE FUNCTION authfort_standing_changed();

CREATE TRIGGER authfort_sessions_standing_updated AFTER UPDATE ON authfort_sessions FOR EACH ROW
    WHEN ((old.id, old.user_id) <> (new.id, new.user_id) OR old.revoked_at IS DISTINCT FROM new.revoked_at OR old.expires_at > new.expires_at)
    EXECUTE FUNCTION authfort_standing_changed();
-- A session that has ended can be removed without telling anybody.
CREATE TRIGGER authfort_sessions_standing_deleted AFTER DELETE ON authfort_sessions FOR EACH ROW
    WHEN (old.revoked_at IS NULL) EXECUTE FUNCTION authfort_standing_changed();
CREATE TRIGGER authfort_sessions_standing_emptied AFTER TRUNCATE ON authfort_sessions
    FOR EACH STATEMENT EXECUTE FUNCTION authfort_standing_changed();

CREATE TRIGGER authfort_signing_keys_standing AFTER UPDATE OF kid, expires_at OR DELETE OR TRUNCATE ON authfort_signing_keys
    FOR EACH STATEMENT EXECUTE FUNCTION authfort_standing_changed();

SELECT set_config('search_path', current_setting('authfort.search_path'), TRUE);
