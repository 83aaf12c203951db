create or replace function londiste.capture_begin(i_op text, i_id text, i_rows boolean, i_plain boolean)
returns text[] as $$
-- ----------------------------------------------------------------------
-- Function: londiste.capture_begin(4)
--
--      What a capture function does first when anything is out of the ordinary: ends the mark of
--      the statement, finds out whether the statement's own image of its rows can be trusted, and sets
--      what the text of values depends on.
--
--      `londiste.open` holds a mark per statement under way, and `*<id>,` while a table has rows in the queue that were
--      logged by a statement inside another one on that table. The outer one then logs the rows as they are now.
--
--      Names and operators are qualified instead of a SET clause: it runs for every nested statement, and must
--      hand changed settings to its caller.
--
-- Parameters:  i_op    - operation letter
--              i_id    - queue and published table, for example `3.16384`
--              i_rows  - whether the statement touched any row
--              i_plain - see londiste.plain_text
-- Returns:     null: nothing is to be logged. Else element 1 is `image` or `current`, the others are the former values
--              of DateStyle, IntervalStyle, extra_float_digits, lc_monetary, search_path, null where left alone
-- Raises:      nothing
-- Locks taken: none
-- Called by:   capture functions
-- ----------------------------------------------------------------------
declare
    note    pg_catalog.text := coalesce(pg_catalog.current_setting('londiste.open', true), '');
    mark    pg_catalog.text := pg_catalog.concat(i_op, i_id, ',');
    logged  pg_catalog.text := pg_catalog.concat('*', i_id, ',');
    place   pg_catalog.int4 := pg_catalog.strpos(note, mark);
    saved   pg_catalog.text[] := array['image', null, null, null, null, null];
    value   pg_catalog.text;
begin
    if place OPERATOR(pg_catalog.>) 0 then
        note := pg_catalog.overlay(note, '', place, pg_catalog.length(mark));
    end if;
    if pg_catalog.strpos(note, logged) OPERATOR(pg_catalog.>) 0 then
        saved[1] := 'current';
    end if;
    if pg_catalog.strpos(pg_catalog.translate(note, 'IUD', '###'), pg_catalog.concat('#', i_id, ','))
            OPERATOR(pg_catalog.=) 0 then
        note := pg_catalog.replace(note, logged, '');
    elsif i_rows and saved[1] OPERATOR(pg_catalog.=) 'image' then
        note := pg_catalog.concat(note, logged);
    end if;
    value := pg_catalog.set_config('londiste.open', note, true);

    if not i_rows or pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.=) 'local' then
        return null;
    end if;

    value := pg_catalog.current_setting('DateStyle');
    if pg_catalog.left(value, 3) OPERATOR(pg_catalog.<>) 'ISO' then
        saved[2] := value;
        value := pg_catalog.set_config('DateStyle', 'ISO', true);
    end if;
    value := pg_catalog.current_setting('IntervalStyle');
    if value OPERATOR(pg_catalog.<>) 'postgres' then
        saved[3] := value;
        value := pg_catalog.set_config('IntervalStyle', 'postgres', true);
    end if;
    value := pg_catalog.current_setting('extra_float_digits');
    if value::pg_catalog.int4 OPERATOR(pg_catalog.<) 1 then
        saved[4] := value;
        value := pg_catalog.set_config('extra_float_digits', '1', true);
    end if;
    if not i_plain then
        value := pg_catalog.current_setting('lc_monetary');
        if value OPERATOR(pg_catalog.<>) 'C' then
            saved[5] := value;
            value := pg_catalog.set_config('lc_monetary', 'C', true);
        end if;
        value := pg_catalog.current_setting('search_path');
        if value OPERATOR(pg_catalog.<>) 'pg_catalog' then
            saved[6] := value;
            value := pg_catalog.set_config('search_path', 'pg_catalog', true);
        end if;
    end if;
    return saved;
end;
$$ language plpgsql;
