INSERT INTO authfort_user_roles (user_id, role, created_at)
    SELECT id, 'bulk', strftime('%Y-%m-%dT%H:%M:%f+00:00') FROM authfort_users WHERE created_at >= :from AND created_at < :to AND deleted_at IS NULL;
-- then
DELETE FROM authfort_user_roles WHERE role = 'bulk';
