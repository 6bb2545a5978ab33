-- A ban and its end, a transaction each.
UPDATE authfort_users SET banned = TRUE, banned_at = strftime('%Y-%m-%dT%H:%M:%f+00:00'), ban_reason = 'spam', updated_at = strftime('%Y-%m-%dT%H:%M:%f+00:00'), version = version + 1
    WHERE id = unhex(:id);
UPDATE authfort_sessions SET revoked_at = strftime('%Y-%m-%dT%H:%M:%f+00:00') WHERE user_id = unhex(:id) AND revoked_at IS NULL AND expires_at > strftime('%Y-%m-%dT%H:%M:%f+00:00');
INSERT INTO authfort_events (id, type, timestamp, user_id, actor_id, ip_address, data)
    VALUES (unhex(:event), 'user_banned', strftime('%Y-%m-%dT%H:%M:%f+00:00'), unhex(:id), unhex(:id), '127.0.0.1', '{"reason":"spam","expires_at":null}');
COMMIT;
BEGIN IMMEDIATE;
UPDATE authfort_users SET banned = FALSE, banned_at = NULL, ban_reason = NULL, updated_at = strftime('%Y-%m-%dT%H:%M:%f+00:00'), version = version + 1
    WHERE id = unhex(:id);
INSERT INTO authfort_events (id, type, timestamp, user_id, actor_id, ip_address, data)
    VALUES (unhex(:second), 'user_unbanned', strftime('%Y-%m-%dT%H:%M:%f+00:00'), unhex(:id), unhex(:id), '127.0.0.1', '{}');
