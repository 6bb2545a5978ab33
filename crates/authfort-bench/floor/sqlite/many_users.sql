-- Users are made and deleted.
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < CAST(:many AS integer))
INSERT INTO authfort_users (id, email, email_key, name, name_key, search_key, created_at, updated_at)
    SELECT unhex(printf('%032x', n)), 'bulk.' || n || '@example.com', 'bulk.' || n || '@example.com', 'Jane Doe', 'jane doe',
        'bulk.' || n || '@example.com' || char(10) || 'jane doe', strftime('%Y-%m-%dT%H:%M:%f+00:00'), strftime('%Y-%m-%dT%H:%M:%f+00:00')
    FROM numbers;
-- then
DELETE FROM authfort_users WHERE email_key >= 'bulk.' AND email_key < 'bulk/';
