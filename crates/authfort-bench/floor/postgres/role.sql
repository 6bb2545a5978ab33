-- A role is given and taken, a transaction each.
INSERT INTO authfort_user_roles (user_id, role, created_at) VALUES (:id::uuid, 'auditor', now());
UPDATE authfort_users SET updated_at = now(), version = version + 1 WHERE id = :id::uuid;
INSERT INTO authfort_events (id, type, timestamp, user_id, actor_id, ip_address, data)
    VALUES (:event::uuid, 'role_added', now(), :id::uuid, :id::uuid, '127.0.0.1', '{"role":"auditor"}');
COMMIT;
BEGIN;
DELETE FROM authfort_user_roles WHERE user_id = :id::uuid AND role = 'auditor';
UPDATE authfort_users SET updated_at = now(), version = version + 1 WHERE id = :id::uuid;
INSERT INTO authfort_events (id, type, timestamp, user_id, actor_id, ip_address, data)
    VALUES (:second::uuid, 'role_removed', now(), :id::uuid, :id::uuid, '127.0.0.1', '{"role":"auditor"}');
