create or replace function londiste.live_unique_index(i_rel oid, i_attnums int2[])
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: londiste.live_unique_index(2)
--
--      Whether the table has, at this moment, a full unique index over some of the columns that is checked at once.
--
--      VOLATILE on purpose, see londiste.live_columns. Under REPEATABLE READ and SERIALIZABLE the snapshot may show an
--      index that is gone, whose definition the server no longer finds.
--
-- Parameters:  i_rel     - the table
--              i_attnums - numbers of columns
-- Returns:     true when there is such an index
-- Raises:      nothing
-- Locks taken: none; the caller holds one on the table
-- Called by:   londiste.key_is_unique
-- ----------------------------------------------------------------------
begin
    return exists (
        select from pg_index i
         where i.indrelid = i_rel
           and i.indisunique
           and i.indimmediate
           and i.indisvalid
           and i.indpred is null
           and i.indexprs is null
           and (i.indkey::int2[])[0:i.indnkeyatts - 1] <@ i_attnums
           and pg_get_indexdef(i.indexrelid) is not null);
end;
$$ language plpgsql volatile set search_path = pg_catalog, pg_temp;
