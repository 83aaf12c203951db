create or replace function londiste.key_is_unique(i_rel regclass, i_attnums int2[])
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: londiste.key_is_unique(2)
--
--      Whether the server lets no two rows have one key, not even within a transaction. Capture counts on it where it
--      takes a key for a row: a key that became deferrable, or lost its index, may be there twice for a while.
--
--      Marked IMMUTABLE for the reason given in londiste.columns_of; an index that comes or goes is a change of its
--      table too.
--
-- Parameters:  i_rel     - the table
--              i_attnums - the columns of the key
-- Returns:     true when a unique index that is not deferrable covers them, or some of them
-- Raises:      nothing
-- Locks taken: none
-- Called by:   capture functions
-- ----------------------------------------------------------------------
begin
    return londiste.live_unique_index(i_rel, i_attnums);
end;
$$ language plpgsql immutable set search_path = pg_catalog, pg_temp;
