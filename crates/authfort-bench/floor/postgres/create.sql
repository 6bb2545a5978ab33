INSERT INTO authfort_users (id, email, email_key, email_verified, name, name_key, search_key, created_at, updated_at)
    VALUES (:id::uuid, :email, :email, FALSE, :name, :name_key, :search_key, now(), now());
INSERT INTO authfort_user_roles (user_id, role, created_at) VALUES (:id::uuid, 'member', now());
INSERT INTO authfort_events (id, type, timestamp, user_id, actor_id, ip_address, data)
    VALUES (:event::uuid, 'user_created', now(), :id::uuid, :id::uuid, '127.0.0.1', '{"email":"somebody@example.com","name":"Jane Doe","provider":"email"}'),
           (:second::uuid, 'role_added', now(), :id::uuid, :id::uuid, '127.0.0.1', '{"role":"member"}');
