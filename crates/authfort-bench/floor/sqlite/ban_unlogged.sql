-- A ban and its end, a transaction each, without their events.
UPDATE authfort_users SET banned = TRUE, banned_at = strftime('%Y-%m-%dT%H:%M:%f+00:00'), ban_reason = 'spam', updated_at = strftime('%Y-%m-%dT%H:%M:%f+00:00'), version = version + 1
    WHERE id = unhex(:id);
UPDATE authfort_sessions SET revoked_at = strftime('%Y-%m-%dT%H:%M:%f+00:00') WHERE user_id = unhex(:id) AND revoked_at IS NULL AND expires_at > strftime('%Y-%m-%dT%H:%M:%f+00:00');
COMMIT;
BEGIN IMMEDIATE;
UPDATE authfort_users SET banned = FALSE, banned_at = NULL, ban_reason = NULL, updated_at = strftime('%Y-%m-%dT%H:%M:%f+00:00'), version = version + 1
    WHERE id = unhex(:id);
