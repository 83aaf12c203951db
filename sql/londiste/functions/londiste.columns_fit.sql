create or replace function londiste.columns_fit(i_rel regclass, i_names text[], i_attnums int2[], i_types oid[])
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: londiste.columns_fit(4)
--
--      Whether the columns that a capture function names are still the ones it was generated for, see
--      londiste.columns_hold, and still have the types whose values it compares and writes in a way of their own.
--
--      Marked IMMUTABLE for the reason given in londiste.columns_of.
--
-- Parameters:  i_rel     - the table
--              i_names   - names of columns
--              i_attnums - where each of them stood
--              i_types   - the type of each, 0: it does not matter
-- Returns:     true when each name still stands at its attnum and has its type
-- Raises:      40001, see londiste.live_columns
-- Locks taken: none
-- Called by:   capture functions
-- ----------------------------------------------------------------------
begin
    return not exists (
        select from unnest(i_names, i_attnums, i_types) k (name, attnum, typid)
         where not exists (select from londiste.live_columns(i_rel) c
                            where c.o_name = k.name and c.o_attnum = k.attnum and k.typid in (0, c.o_type)));
end;
$$ language plpgsql immutable set search_path = pg_catalog, pg_temp;
