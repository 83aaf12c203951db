create or replace function pgq_ext.upgrade_schema()
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.upgrade_schema(0)
--
--      Part of the original's API. Installing brings the schema up to date by itself, so there is never anything left
--      to do.
--
-- Parameters:  -
-- Returns:     number of changed tables: 0
-- Raises:      -
-- Locks taken: -
-- Called by:   users, pgq_writer
-- ----------------------------------------------------------------------
begin
    return 0;
end;
$$ language plpgsql;
