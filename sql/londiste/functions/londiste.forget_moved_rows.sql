create or replace function londiste.forget_moved_rows(i_mark text)
returns void as $$
-- ----------------------------------------------------------------------
-- Function: londiste.forget_moved_rows(1)
--
--      Forgets the rows that londiste.note_moved_row has kept, once they are logged.
--
-- Parameters:  i_mark - as there
-- Returns:     nothing
-- Raises:      nothing
-- Locks taken: none
-- Called by:   capture functions of partitioned tables
-- ----------------------------------------------------------------------
begin
    delete from londiste.moved_row m where m.txid = txid_current() and m.mark = i_mark;
    perform set_config('londiste.moved', replace(current_setting('londiste.moved', true), i_mark, ''), true);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
