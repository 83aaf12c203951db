create or replace function pgq._row_urlencoded(i_names text[], i_values text[], i_ignore text[])
returns text as $$
-- ----------------------------------------------------------------------
-- Function: pgq._row_urlencoded(3)
--
--      Writes a row as name=value&name=value; a null is the name alone.
--
-- Parameters:  i_names  - names of the columns
--              i_values - their texts
--              i_ignore - columns to leave out, null: none
-- Returns:     the text
-- Raises:      -
-- Locks taken: -
-- Called by:   pgq._trigger_event
-- ----------------------------------------------------------------------
declare
    _unsafe constant text := '[^a-zA-Z0-9_.-]';     -- most names and many values need no encoding
begin
    return coalesce((
        select pg_catalog.string_agg(
                   case when c.name ~ _unsafe then pgq._urlencode(c.name) else c.name end
                   || case when c.val is null then ''
                           when c.val ~ _unsafe then '=' || pgq._urlencode(c.val)
                           else '=' || c.val end,
                   '&' order by c.nr)
          from rows from (pg_catalog.unnest(i_names), pg_catalog.unnest(i_values)) with ordinality as c (name, val, nr)
         where not coalesce(c.name = any (i_ignore), false) and not pg_catalog.starts_with(c.name, '_pgq_ev_')), '');
end;
$$ language plpgsql immutable;
