create or replace function londiste.capture_end(i_saved text[])
returns void as $$
-- ----------------------------------------------------------------------
-- Function: londiste.capture_end(1)
--
--      Gives the writer's session back the settings that londiste.capture_begin changed.
--
-- Parameters:  i_saved - what londiste.capture_begin returned
-- Returns:     nothing
-- Raises:      nothing
-- Locks taken: none
-- Called by:   capture functions
-- ----------------------------------------------------------------------
declare
    names   pg_catalog.text[] := '{mode,DateStyle,IntervalStyle,extra_float_digits,lc_monetary,search_path}';
    unused  pg_catalog.text;
begin
    for i in 2 .. 6 loop
        if i_saved[i] is not null then
            unused := pg_catalog.set_config(names[i], i_saved[i], true);
        end if;
    end loop;
end;
$$ language plpgsql;
