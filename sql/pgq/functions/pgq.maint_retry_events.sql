create or replace function pgq.maint_retry_events()
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.maint_retry_events(0)
--
--      Moves events whose time has come back into their queues, up to ten at a call: call it until it returns 0.
--
-- Parameters:  -
-- Returns:     number of moved events
-- Raises:      -
-- Locks taken: SHARE UPDATE EXCLUSIVE on pgq.retry_queue, so that two calls do not move an event twice
-- Called by:   the ticker, pgq_admin
-- ----------------------------------------------------------------------
declare
    _ev     record;
    _count  integer := 0;
begin
    lock table pgq.retry_queue in share update exclusive mode;
    -- Events of a queue that takes no inserts stay, and must not hold up those of other queues.
    for _ev in
        select q.queue_name, r.*
          from pgq.retry_queue r
          join pgq.queue q on q.queue_id = r.ev_queue
         where r.ev_retry_after <= now()
           and (not q.queue_disable_insert or current_setting('session_replication_role') = 'replica')
         order by r.ev_retry_after
         limit 10
    loop
        perform pgq.insert_event_raw(_ev.queue_name, _ev.ev_id, _ev.ev_time, _ev.ev_owner, _ev.ev_retry, _ev.ev_type,
                                     _ev.ev_data, _ev.ev_extra1, _ev.ev_extra2, _ev.ev_extra3, _ev.ev_extra4);
        delete from pgq.retry_queue r where r.ev_owner = _ev.ev_owner and r.ev_id = _ev.ev_id;
        _count := _count + 1;
    end loop;
    return _count;
end;
$$ language plpgsql set search_path = pg_catalog, pg_temp;
