INSERT INTO authfort_users (id, email, email_key, email_verified, name, name_key, search_key, created_at, updated_at)
    VALUES (unhex(:id), :email, :email, FALSE, :name, :name_key, :search_key, strftime('%Y-%m-%dT%H:%M:%f+00:00'), strftime('%Y-%m-%dT%H:%M:%f+00:00'));
INSERT INTO authfort_user_roles (user_id, role, created_at) VALUES (unhex(:id), 'member', strftime('%Y-%m-%dT%H:%M:%f+00:00'));
INSERT INTO authfort_events (id, type, timestamp, user_id, actor_id, ip_address, data)
    VALUES (unhex(:event), 'user_created', strftime('%Y-%m-%dT%H:%M:%f+00:00'), unhex(:id), unhex(:id), '127.0.0.1', '{"email":"somebody@example.com","name":"Jane Doe","provider":"email"}'),
           (unhex(:second), 'role_added', strftime('%Y-%m-%dT%H:%M:%f+00:00'), unhex(:id), unhex(:id), '127.0.0.1', '{"role":"member"}');
