create or replace function pgq.quote_fqname(i_name text)
returns text as $$
-- ----------------------------------------------------------------------
-- Function: pgq.quote_fqname(1)
--
--      Quotes a name of the form schema.name, split at the first dot, for SQL; without a dot the schema is public.
--
-- Parameters:  i_name - the name, unquoted
-- Returns:     the name as it stands in SQL
-- Raises:      -
-- Locks taken: -
-- Called by:   users; pgq.seq_getval, pgq.seq_setval
-- ----------------------------------------------------------------------
declare
    _dot    integer := strpos(i_name, '.');
begin
    if _dot = 0 then
        return 'public.' || quote_ident(i_name);
    end if;
    return quote_ident(left(i_name, _dot - 1)) || '.' || quote_ident(substr(i_name, _dot + 1));
end;
$$ language plpgsql strict immutable set search_path = pg_catalog, pg_temp;
