create or replace function pgq.get_batch_events(
    x_batch_id bigint,
    out ev_id bigint, out ev_time timestamptz, out ev_txid bigint, out ev_retry integer, out ev_type text,
    out ev_data text, out ev_extra1 text, out ev_extra2 text, out ev_extra3 text, out ev_extra4 text)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.get_batch_events(1)
--
--      Returns the events of a batch in the order of their numbers. A large batch is better read with
--      pgq.get_batch_cursor.
--
-- Parameters:  x_batch_id - number of the open batch
-- Returns:     the events
-- Raises:      batch not found
-- Locks taken: ACCESS SHARE on the event tables
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    return query execute pgq.batch_event_sql(x_batch_id);
end;
$$ language plpgsql;
