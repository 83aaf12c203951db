create or replace function pgq.next_batch_info(
    i_queue_name text, i_consumer_name text,
    out batch_id bigint, out cur_tick_id bigint, out prev_tick_id bigint,
    out cur_tick_time timestamptz, out prev_tick_time timestamptz,
    out cur_tick_event_seq bigint, out prev_tick_event_seq bigint)
returns record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.next_batch_info(2)
--
--      Opens the next batch of a consumer, up to the next tick, or names the one that is open.
--
-- Parameters:  i_queue_name, i_consumer_name - who asks
-- Returns:     the batch with its two ticks; all null when there is none yet
-- Raises:      as pgq.next_batch_custom
-- Locks taken: as pgq.next_batch_custom
-- Called by:   users, pgq_reader; pgq.next_batch
-- ----------------------------------------------------------------------
begin
    select f.batch_id, f.cur_tick_id, f.prev_tick_id, f.cur_tick_time, f.prev_tick_time,
           f.cur_tick_event_seq, f.prev_tick_event_seq
      into batch_id, cur_tick_id, prev_tick_id, cur_tick_time, prev_tick_time, cur_tick_event_seq, prev_tick_event_seq
      from pgq.next_batch_custom(i_queue_name, i_consumer_name, null, null, null) f;
end;
$$ language plpgsql;
