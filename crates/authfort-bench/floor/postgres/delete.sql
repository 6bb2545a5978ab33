SELECT email FROM authfort_users WHERE id = :id::uuid FOR UPDATE;
DELETE FROM authfort_user_roles WHERE user_id = :id::uuid;
DELETE FROM authfort_refresh_tokens WHERE user_id = :id::uuid;
DELETE FROM authfort_sessions WHERE user_id = :id::uuid;
DELETE FROM authfort_oauth_accounts WHERE user_id = :id::uuid;
DELETE FROM authfort_verification_tokens WHERE user_id = :id::uuid;
DELETE FROM authfort_users WHERE id = :id::uuid;
INSERT INTO authfort_events (id, type, timestamp, user_id, data)
    VALUES (:event::uuid, 'user_deleted', now(), :id::uuid, '{"email":"somebody@example.com","mode":"delete"}');
