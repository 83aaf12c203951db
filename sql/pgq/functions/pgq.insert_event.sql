create or replace function pgq.insert_event(
    queue_name text, ev_type text, ev_data text, ev_extra1 text, ev_extra2 text, ev_extra3 text, ev_extra4 text)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq.insert_event(7)
--
--      Puts an event into a queue; it becomes visible to consumers with the transaction that calls this.
--
-- Parameters:  queue_name - name of the queue
--              ev_type, ev_data, ev_extra1..4 - the event, any text or null
-- Returns:     ev_id
-- Raises:      as pgq.insert_event_raw
-- Locks taken: ROW EXCLUSIVE on the current event table
-- Called by:   users, pgq_writer; pgq.insert_event(3), the trigger functions
-- ----------------------------------------------------------------------
begin
    return pgq.insert_event_raw(queue_name, null, pg_catalog.now(), null, null, ev_type, ev_data,
                                ev_extra1, ev_extra2, ev_extra3, ev_extra4);
end;
$$ language plpgsql security definer;

create or replace function pgq.insert_event(queue_name text, ev_type text, ev_data text)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq.insert_event(3)
--
--      Puts an event without extra fields into a queue.
--
-- Parameters:  queue_name       - name of the queue
--              ev_type, ev_data - the event, any text or null
-- Returns:     ev_id
-- Raises:      as pgq.insert_event_raw
-- Locks taken: ROW EXCLUSIVE on the current event table
-- Called by:   users, pgq_writer
-- ----------------------------------------------------------------------
begin
    return pgq.insert_event(queue_name, ev_type, ev_data, null, null, null, null);
end;
$$ language plpgsql;
