-- A ban and its end, a transaction each, without their events.
UPDATE authfort_users SET banned = TRUE, banned_at = now(), ban_reason = 'spam', updated_at = now(), version = version + 1
    WHERE id = :id::uuid;
UPDATE authfort_sessions SET revoked_at = now() WHERE user_id = :id::uuid AND revoked_at IS NULL AND expires_at > now();
COMMIT;
BEGIN;
UPDATE authfort_users SET banned = FALSE, banned_at = NULL, ban_reason = NULL, updated_at = now(), version = version + 1
    WHERE id = :id::uuid;
