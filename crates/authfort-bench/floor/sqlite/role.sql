-- A role is given and taken, a transaction each.
INSERT INTO authfort_user_roles (user_id, role, created_at) VALUES (unhex(:id), 'auditor', strftime('%Y-%m-%dT%H:%M:%f+00:00'));
UPDATE authfort_users SET updated_at = strftime('%Y-%m-%dT%H:%M:%f+00:00'), version = version + 1 WHERE id = unhex(:id);
INSERT INTO authfort_events (id, type, timestamp, user_id, actor_id, ip_address, data)
    VALUES (unhex(:event), 'role_added', strftime('%Y-%m-%dT%H:%M:%f+00:00'), unhex(:id), unhex(:id), '127.0.0.1', '{"role":"auditor"}');
COMMIT;
BEGIN IMMEDIATE;
DELETE FROM authfort_user_roles WHERE user_id = unhex(:id) AND role = 'auditor';
UPDATE authfort_users SET updated_at = strftime('%Y-%m-%dT%H:%M:%f+00:00'), version = version + 1 WHERE id = unhex(:id);
INSERT INTO authfort_events (id, type, timestamp, user_id, actor_id, ip_address, data)
    VALUES (unhex(:second), 'role_removed', strftime('%Y-%m-%dT%H:%M:%f+00:00'), unhex(:id), unhex(:id), '127.0.0.1', '{"role":"auditor"}');
