UPDATE authfort_users SET banned = TRUE, banned_at = strftime('%Y-%m-%dT%H:%M:%f+00:00'), ban_reason = 'bulk' WHERE created_at >= :from AND created_at < :to AND deleted_at IS NULL AND NOT banned;
-- then
UPDATE authfort_users SET banned = FALSE, banned_at = NULL, ban_reason = NULL WHERE created_at >= :from AND created_at < :to AND deleted_at IS NULL AND ban_reason = 'bulk';
