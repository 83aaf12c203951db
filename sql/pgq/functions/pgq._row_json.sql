create or replace function pgq._row_json(i_names text[], i_types oid[], i_values text[], i_json json, i_ignore text[])
returns text as $$
-- ----------------------------------------------------------------------
-- Function: pgq._row_json(5)
--
--      Writes a row as a JSON object: booleans and integers as such, dates and timestamps in ISO form whatever the
--      session's DateStyle, all else as strings.
--
-- Parameters:  i_names  - names of the columns
--              i_types  - their types
--              i_values - their texts
--              i_json   - what row_to_json makes of the row
--              i_ignore - columns to leave out, null: none
-- Returns:     the text
-- Raises:      -
-- Locks taken: -
-- Called by:   pgq._trigger_event
-- ----------------------------------------------------------------------
begin
    return '{' || coalesce((
        select pg_catalog.string_agg(
                   pg_catalog.to_json(c.name)::text || ':' || case
                       when c.val is null then 'null'
                       when c.typ in (21, 23, 20) then c.val           -- int2, int4, int8
                       when c.typ = 16 then case c.val when 't' then 'true' else 'false' end
                       when c.typ in (1082, 1114, 1184) then (i_json -> c.name)::text  -- date, timestamp, timestamptz
                       else pg_catalog.to_json(c.val)::text end,
                   ',' order by c.nr)
          from rows from (pg_catalog.unnest(i_names), pg_catalog.unnest(i_types), pg_catalog.unnest(i_values))
               with ordinality as c (name, typ, val, nr)
         where not coalesce(c.name = any (i_ignore), false)
           and not pg_catalog.starts_with(c.name, '_pgq_ev_')), '') || '}';
end;
$$ language plpgsql stable;
