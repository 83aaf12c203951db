create or replace function pgq.force_tick(i_queue_name text)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq.force_tick(1)
--
--      Makes a tick due: moves the event sequence so far that the ticker takes it for a burst of events.
--
-- Parameters:  i_queue_name - name of the queue
-- Returns:     number of the last tick there is; call it until that grows. Null when there is none, and for a queue
--              that does not exist
-- Raises:      -
-- Locks taken: -
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
declare
    _q      record;
begin
    select q.queue_id, q.queue_event_seq, q.queue_ticker_max_count,
           q.queue_external_ticker or q.queue_ticker_paused as idle
      into _q
      from pgq.queue q
     where q.queue_name = i_queue_name;
    if not found then
        return null;
    end if;
    if not _q.idle then
        perform setval(_q.queue_event_seq::regclass,
                       nextval(_q.queue_event_seq::regclass) + _q.queue_ticker_max_count * 2 + 1000);
    end if;
    return (select max(t.tick_id) from pgq.tick t where t.tick_queue = _q.queue_id);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
