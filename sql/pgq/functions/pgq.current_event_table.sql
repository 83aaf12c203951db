create or replace function pgq.current_event_table(x_queue_name text)
returns text as $$
-- ----------------------------------------------------------------------
-- Function: pgq.current_event_table(1)
--
--      Names the table that events go into now, for COPY. Valid until the end of the transaction.
--
--      Qualified throughout, not pinned: it is called once per bulk insert, often of a few rows.
--
-- Parameters:  x_queue_name - name of the queue
-- Returns:     pgq.event_N_M
-- Raises:      Event queue not found
--              Writing to queue disabled
-- Locks taken: -
-- Called by:   producers, pgq_writer
-- ----------------------------------------------------------------------
declare
    _table      pg_catalog.text;
    _disabled   pg_catalog.bool;
begin
    select pg_catalog.concat(q.queue_data_pfx, '_', q.queue_cur_table), q.queue_disable_insert
      into _table, _disabled
      from pgq.queue q
     where q.queue_name operator(pg_catalog.=) x_queue_name;
    if not found then
        raise exception 'Event queue not found';
    end if;
    if _disabled and pg_catalog.current_setting('session_replication_role') operator(pg_catalog.<>) 'replica' then
        raise exception 'Writing to queue disabled';
    end if;
    return _table;
end;
$$ language plpgsql;
