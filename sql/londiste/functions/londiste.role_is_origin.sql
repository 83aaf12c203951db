create or replace function londiste.role_is_origin()
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: londiste.role_is_origin(0)
--
--      Whether statements are to be captured: not where session_replication_role is `local`.
--
--      Marked IMMUTABLE, which is not true, and on purpose: it becomes a constant of the cached plan of the capture
--      function and costs nothing per statement. It is right nevertheless, because the server throws all cached plans
--      away whenever this setting changes, be it by SET, by RESET or because a savepoint is rolled back: the rules of
--      a query depend on it too.
--
-- Parameters:  -
-- Returns:     true for `origin`
-- Raises:      nothing
-- Locks taken: none
-- Called by:   capture functions
-- ----------------------------------------------------------------------
begin
    return pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.=) 'origin';
end;
$$ language plpgsql immutable;
