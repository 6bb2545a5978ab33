INSERT INTO authfort_user_roles (user_id, role, created_at)
    SELECT id, 'bulk', now() FROM authfort_users WHERE created_at >= :from::timestamptz AND created_at < :to::timestamptz AND deleted_at IS NULL;
-- then
DELETE FROM authfort_user_roles WHERE role = 'bulk';
