SELECT email FROM authfort_users WHERE id = unhex(:id);
DELETE FROM authfort_user_roles WHERE user_id = unhex(:id);
DELETE FROM authfort_refresh_tokens WHERE user_id = unhex(:id);
DELETE FROM authfort_sessions WHERE user_id = unhex(:id);
DELETE FROM authfort_oauth_accounts WHERE user_id = unhex(:id);
DELETE FROM authfort_verification_tokens WHERE user_id = unhex(:id);
DELETE FROM authfort_users WHERE id = unhex(:id);
INSERT INTO authfort_events (id, type, timestamp, user_id, data)
    VALUES (unhex(:event), 'user_deleted', strftime('%Y-%m-%dT%H:%M:%f+00:00'), unhex(:id), '{"email":"somebody@example.com","mode":"delete"}');
