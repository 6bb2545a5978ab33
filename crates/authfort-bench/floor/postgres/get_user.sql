SELECT u.id, u.email, u.email_verified, u.name, u.avatar_url, u.phone, u.banned, u.ban_reason, u.ban_expires_at, u.metadata,
    u.created_at, u.updated_at, u.last_login_at, u.deleted_at,
    (SELECT string_agg(r.role, ',') FROM authfort_user_roles r WHERE r.user_id = u.id) AS roles
FROM authfort_users u WHERE u.id = :id::uuid;
