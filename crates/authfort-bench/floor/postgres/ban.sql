-- A ban and its end, a transaction each.
UPDATE authfort_users SET banned = TRUE, banned_at = now(), ban_reason = 'spam', updated_at = now(), version = version + 1
    WHERE id = :id::uuid;
UPDATE authfort_sessions SET revoked_at = now() WHERE user_id = :id::uuid AND revoked_at IS NULL AND expires_at > now();
INSERT INTO authfort_events (id, type, timestamp, user_id, actor_id, ip_address, data)
    VALUES (:event::uuid, 'user_banned', now(), :id::uuid, :id::uuid, '127.0.0.1', '{"reason":"spam","expires_at":null}');
COMMIT;
BEGIN;
UPDATE authfort_users SET banned = FALSE, banned_at = NULL, ban_reason = NULL, updated_at = now(), version = version + 1
    WHERE id = :id::uuid;
INSERT INTO authfort_events (id, type, timestamp, user_id, actor_id, ip_address, data)
    VALUES (:second::uuid, 'user_unbanned', now(), :id::uuid, :id::uuid, '127.0.0.1', '{}');
