create or replace function pgq_ext.version()
returns text as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.version(0)
--
--      Tells which version of the API this is. Clients compare the first number.
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
