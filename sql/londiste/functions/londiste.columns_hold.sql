create or replace function londiste.columns_hold(i_rel regclass, i_names text[], i_attnums int2[])
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: londiste.columns_hold(3)
--
--      Whether the columns that a capture function names are still the ones it was generated for. It asks before
--      it uses their names, so that a rename or a drop cannot make the users' statements fail.
--
--      Marked IMMUTABLE for the reason given in londiste.columns_of.
--
-- Parameters:  i_rel     - the table
--              i_names   - names of columns
--              i_attnums - where each of them stood
-- Returns:     true when each name still stands at its attnum
-- Raises:      40001, see londiste.live_columns
-- Locks taken: none
-- Called by:   capture functions
-- ----------------------------------------------------------------------
begin
    return not exists (
        select from unnest(i_names, i_attnums) k (name, attnum)
         where not exists (select from londiste.live_columns(i_rel) c where c.o_name = k.name and c.o_attnum = k.attnum));
end;
$$ language plpgsql immutable set search_path = pg_catalog, pg_temp;
