create or replace function pgq.version()
returns text as $$
-- ----------------------------------------------------------------------
-- Function: pgq.version(0)
--
--      Tells which PgQ's API this is. Clients compare the first number.
--
-- Parameters:  -
-- Returns:     the version
-- Raises:      -
-- Locks taken: -
-- Called by:   users
-- ----------------------------------------------------------------------
begin
    return '3.5.2';
end;
$$ language plpgsql;
