-- Users are made and deleted.
INSERT INTO authfort_users (id, email, email_key, name, name_key, search_key, created_at, updated_at)
    SELECT md5('bulk' || n)::uuid, 'bulk.' || n || '@example.com', 'bulk.' || n || '@example.com', 'Jane Doe', 'jane doe',
        'bulk.' || n || '@example.com' || chr(10) || 'jane doe', now(), now()
    FROM generate_series(1, :many::bigint) n;
-- then
DELETE FROM authfort_users WHERE email_key >= 'bulk.' AND email_key < 'bulk/';
