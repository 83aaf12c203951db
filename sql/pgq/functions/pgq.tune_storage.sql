create or replace function pgq.tune_storage(i_queue_name text)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.tune_storage(1)
--
--      Sets the storage parameters of a queue's event tables: rows are only added, and TRUNCATE frees them, so they
--      need neither free space nor vacuum.
--
-- Parameters:  i_queue_name - name of the queue
-- Returns:     1 - done, 0 - no such queue
-- Raises:      -
-- Locks taken: SHARE UPDATE EXCLUSIVE on the event tables
-- Called by:   pgq.create_queue
-- ----------------------------------------------------------------------
declare
    _q      record;
begin
    select q.queue_data_pfx, q.queue_ntables into _q from pgq.queue q where q.queue_name = i_queue_name;
    if not found then
        return 0;
    end if;
    for _i in 0 .. _q.queue_ntables - 1 loop
        execute format(
            'alter table %s_%s set (fillfactor = 100, autovacuum_enabled = off, toast.autovacuum_enabled = off)',
            _q.queue_data_pfx, _i);
    end loop;
    return 1;
end;
$$ language plpgsql strict set search_path = pg_catalog, pg_temp;
