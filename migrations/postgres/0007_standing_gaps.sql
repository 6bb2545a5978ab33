-- Three gaps of the record of changes.

SELECT set_config('authfort.search_path', current_setting('search_path'), TRUE),
       set_config('search_path', quote_ident(n.nspname) || ', pg_temp', TRUE)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = 'authfort_users'::regclass;

-- The id of a user can be given to another row.
DROP TRIGGER authfort_users_standing_updated ON authfort_users;
CREATE TRIGGER authfort_users_standing_updated AFTER UPDATE ON authfort_users FOR EACH ROW
    WHEN ((old.id, old.email, old.name, old.token_version, old.banned, old.ban_expires_at, old.deleted_at)
          IS DISTINCT FROM (new.id, new.email, new.name, new.token_version, new.banned, new.ban_expires_at, new.deleted_at))
    EXECUTE FUNCTION authfort_standing_changed();

-- Whoever empties the record tells everybody.
CREATE TRIGGER authfort_standing_changes_emptied AFTER TRUNCATE ON authfort_standing_changes
    FOR EACH STATEMENT EXECUTE FUNCTION authfort_standing_changed();

-- These functions run with the rights of their owner. Nobody else puts them on a table of their own; a trigger that exists
-- needs no right.
REVOKE EXECUTE ON FUNCTION authfort_role_fill(), authfort_roles_changed(), authfort_users_changed(), authfort_standing_changed()
    FROM PUBLIC;

SELECT set_config('search_path', current_setting('authfort.search_path'), TRUE);
