create or replace function londiste.capture_open()
returns trigger as $$
-- ----------------------------------------------------------------------
-- Function: londiste.capture_open(0)
--
--      BEFORE statement trigger of captured tables: notes in a transaction-local setting that a statement of this kind
--      is under way on this table. The capture function that ends it can then tell whether it was alone, or whether
--      another statement (of a user's trigger, of a function called in the statement, of the same MERGE or WITH)
--      logged rows of the table meanwhile. A setting, because it goes back with savepoints and costs 1 us.
--
--      For TRUNCATE, and for triggers that an earlier version made; each table has functions of its own for statements
--      on rows, which have the mark as a literal.
--
-- Parameters:  TG_ARGV[0] - the mark: operation letter, queue, table, for example `U3.16384,`
-- Returns:     null
-- Raises:      nothing
-- Locks taken: none
-- Called by:   trigger _londiste_<queue>_truncate_open
-- ----------------------------------------------------------------------
declare
    unused  pg_catalog.text;
begin
    unused := pg_catalog.set_config('londiste.open', coalesce(pg_catalog.current_setting('londiste.open', true), '')
        OPERATOR(pg_catalog.||) TG_ARGV[0], true);
    return null;
end;
$$ language plpgsql;
