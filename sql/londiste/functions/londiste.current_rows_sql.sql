create or replace function londiste.current_rows_sql(
    i_op text, i_rel regclass, i_root regclass, i_table text, i_keys text[], i_attnums int2[],
    i_route text, i_route_attnum int2, i_route_many boolean)
returns text[] as $$
-- ----------------------------------------------------------------------
-- Function: londiste.current_rows_sql(9)
--
--      londiste.rows_now_sql for a route that is the same SQL over every row.
--
-- Parameters:  as there
-- Returns:     as there
-- Raises:      40001, see londiste.live_columns
-- Locks taken: none
-- Called by:   capture functions
-- ----------------------------------------------------------------------
begin
    return londiste.rows_now_sql(i_op, i_rel, i_root, i_table, i_keys, i_attnums, i_route, i_route_attnum, i_route_many,
                                 null);
end;
$$ language plpgsql immutable set search_path = pg_catalog, pg_temp;
