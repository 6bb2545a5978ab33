-- What the planner finds best for a term that a tenth of the users have.
SELECT count(*) FROM authfort_users u WHERE u.deleted_at IS NULL AND u.seq IN (SELECT rowid FROM authfort_users_search WHERE authfort_users_search MATCH '"bigmail"');
