create or replace function londiste.forget_copy(i_queue_name text, i_table_name text)
returns void as $$
-- ----------------------------------------------------------------------
-- Function: londiste.forget_copy(2)
--
--      Forgets what belongs to a table's past when it is to be copied anew, or no more: its copy under way, what a
--      resync asked for, and the events that wait aside.
--
-- Parameters:  i_queue_name - queue
--              i_table_name - name on the provider
-- Returns:     nothing
-- Raises:      nothing
-- Locks taken: the deleted rows
-- Called by:   subscribed.py: resync, remove, a lost position
-- ----------------------------------------------------------------------
begin
    delete from londiste.copy_range r where r.queue_name = i_queue_name and r.table_name = i_table_name;
    delete from londiste.copy_request r where r.queue_name = i_queue_name and r.table_name = i_table_name;
    delete from londiste.copy_job j where j.queue_name = i_queue_name and j.table_name = i_table_name;
    delete from londiste.parked_event p where p.queue_name = i_queue_name and p.table_name = i_table_name;
end;
$$ language plpgsql;
