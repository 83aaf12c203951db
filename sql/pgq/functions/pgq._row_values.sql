create or replace function pgq._row_values(i_row text)
returns text[] as $$
-- ----------------------------------------------------------------------
-- Function: pgq._row_values(1)
--
--      Splits the text form of a row into the text forms of its columns.
--
-- Parameters:  i_row - text of a row, as (1,"a ""b""",)
-- Returns:     one element per column that is not dropped; null for null
-- Raises:      -
-- Locks taken: -
-- Called by:   pgq._trigger_event
-- ----------------------------------------------------------------------
begin
    -- Each column ends with a comma once the closing bracket is one. Quotes and backslashes are doubled inside quotes.
    return array(
        select case when field[1] is not null
                    then pg_catalog.replace(pg_catalog.replace(field[1], '""', '"'), '\\', '\')
                    else nullif(field[2], '') end
          from pg_catalog.regexp_matches(
                   pg_catalog.substr(i_row, 2, pg_catalog.length(i_row) - 2) || ',',
                   '(?:"((?:[^"\\]|""|\\\\)*)"|([^,]*)),', 'g') as field);
end;
$$ language plpgsql immutable;
