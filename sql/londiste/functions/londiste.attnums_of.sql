create or replace function londiste.attnums_of(i_rel regclass, i_root regclass, i_names text[] default null)
returns text as $$
-- ----------------------------------------------------------------------
-- Function: londiste.attnums_of(3)
--
--      Where the listed columns stand in the published table, for events whose columns are not simply 1, 2, 3...
--      With it replay recognises a column that was renamed, and one that was dropped and made anew.
--
--      Marked IMMUTABLE for the reason given in londiste.columns_of.
--
-- Parameters:  i_rel   - the table that the event's row comes from
--              i_root  - the published table; differs from i_rel for a partition
--              i_names - the listed columns, null: all columns of i_rel in its order
-- Returns:     text form of an array, `{1,3,4}`; null when it would be {1,2,...,n}
-- Raises:      40001, see londiste.live_columns
-- Locks taken: none
-- Called by:   capture functions, londiste.current_rows_sql
-- ----------------------------------------------------------------------
declare
    nums    int2[];
begin
    select array_agg(r.o_attnum order by coalesce(array_position(i_names, c.o_name), c.o_attnum))
      into nums
      from londiste.live_columns(i_rel) c
      join londiste.live_columns(i_root) r on r.o_name = c.o_name
     where i_names is null or c.o_name = any (i_names);
    if nums = array(select n::int2 from generate_series(1, cardinality(nums)) n) then
        return null;
    end if;
    return nums::text;
end;
$$ language plpgsql immutable set search_path = pg_catalog, pg_temp;
