create or replace function londiste.columns_of(i_rel regclass)
returns text as $$
-- ----------------------------------------------------------------------
-- Function: londiste.columns_of(1)
--
--      The column list of an event: what each field of a row's text is called.
--
--      Marked IMMUTABLE, which is not true, and on purpose: called with a literal it becomes a constant of the cached
--      plan of the capture function, so it costs nothing per statement. It is right nevertheless, because a plan that
--      holds the transition table or a regclass literal of the table is thrown away when the table is altered.
--      Never call it with anything but a literal, and not in an index.
--
-- Parameters:  i_rel - the table
-- Returns:     text form of an array, `{id,item}`; a generated column keeps its place as NULL
-- Raises:      40001, see londiste.live_columns
-- Locks taken: none
-- Called by:   capture functions, londiste.current_rows_sql
-- ----------------------------------------------------------------------
begin
    return (select array_agg(case when not c.o_generated then c.o_name end order by c.o_attnum)::text
              from londiste.live_columns(i_rel) c);
end;
$$ language plpgsql immutable set search_path = pg_catalog, pg_temp;
