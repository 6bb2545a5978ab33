-- What the planner finds best for a term that a tenth of the users have.
SELECT count(*) FROM authfort_users u WHERE u.deleted_at IS NULL AND u.search_key LIKE '%bigmail%';
