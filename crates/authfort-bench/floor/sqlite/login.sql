-- Without the hash of the password, which costs more than all of it.
SELECT id, password_hash FROM authfort_users WHERE id = unhex(:id);
UPDATE authfort_users SET last_login_at = strftime('%Y-%m-%dT%H:%M:%f+00:00') WHERE id = unhex(:id);
INSERT INTO authfort_sessions (id, user_id, created_at, last_seen_at, expires_at, final_expires_at)
    VALUES (unhex(:session), unhex(:id), strftime('%Y-%m-%dT%H:%M:%f+00:00'), strftime('%Y-%m-%dT%H:%M:%f+00:00'), strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', '+30 days'), strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', '+30 days'));
INSERT INTO authfort_refresh_tokens (token_hash, session_id, user_id, created_at, expires_at)
    VALUES (unhex(:hash), unhex(:session), unhex(:id), strftime('%Y-%m-%dT%H:%M:%f+00:00'), strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', '+30 days'));
INSERT INTO authfort_events (id, type, timestamp, user_id, actor_id, ip_address, data)
    VALUES (unhex(:event), 'login', strftime('%Y-%m-%dT%H:%M:%f+00:00'), unhex(:id), unhex(:id), '127.0.0.1', '{"email":"somebody@example.com","provider":"email"}');
