create or replace function pgq._urlencode(val text)
returns text as $$
-- ----------------------------------------------------------------------
-- Function: pgq._urlencode(1)
--
--      Encodes a text as in the query part of a URL: a blank is +, letters, digits and _ . - stay, every other byte of
--      the database's encoding is % and two hexadecimal digits.
--
-- Parameters:  val - the text
-- Returns:     the encoded text
-- Raises:      -
-- Locks taken: -
-- Called by:   pgq._trigger_event
-- ----------------------------------------------------------------------
begin
    if val !~ '[^a-zA-Z0-9_.-]' then
        return val;
    end if;
    -- Runs of safe characters stay; of the others the bytes are written, and the blanks among them replaced.
    return (
        select pg_catalog.string_agg(
                   run[1] || pg_catalog.replace(
                       pg_catalog.regexp_replace(
                           pg_catalog.encode(pg_catalog.convert_to(run[2], pg_catalog.getdatabaseencoding()), 'hex'),
                           '(..)', '%\1', 'g'),
                       '%20', '+'),
                   '')
          from pg_catalog.regexp_matches(val, '([a-zA-Z0-9_.-]*)([^a-zA-Z0-9_.-]*)', 'g') as run);
end;
$$ language plpgsql strict immutable;
