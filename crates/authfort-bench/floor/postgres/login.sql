-- Without the hash of the password, which costs more than all of it.
SELECT id, password_hash FROM authfort_users WHERE id = :id::uuid;
UPDATE authfort_users SET last_login_at = now() WHERE id = :id::uuid;
INSERT INTO authfort_sessions (id, user_id, created_at, last_seen_at, expires_at, final_expires_at)
    VALUES (:session::uuid, :id::uuid, now(), now(), now() + interval '30 days', now() + interval '30 days');
INSERT INTO authfort_refresh_tokens (token_hash, session_id, user_id, created_at, expires_at)
    VALUES (decode(:hash, 'hex'), :session::uuid, :id::uuid, now(), now() + interval '30 days');
INSERT INTO authfort_events (id, type, timestamp, user_id, actor_id, ip_address, data)
    VALUES (:event::uuid, 'login', now(), :id::uuid, :id::uuid, '127.0.0.1', '{"email":"somebody@example.com","provider":"email"}');
