UPDATE authfort_users SET banned = TRUE, banned_at = now(), ban_reason = 'bulk' WHERE created_at >= :from::timestamptz AND created_at < :to::timestamptz AND deleted_at IS NULL AND NOT banned;
-- then
UPDATE authfort_users SET banned = FALSE, banned_at = NULL, ban_reason = NULL WHERE created_at >= :from::timestamptz AND created_at < :to::timestamptz AND deleted_at IS NULL AND ban_reason = 'bulk';
