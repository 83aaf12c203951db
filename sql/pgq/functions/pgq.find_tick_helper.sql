create or replace function pgq.find_tick_helper(
    i_queue_id integer, i_prev_tick_id bigint, i_prev_tick_time timestamptz, i_prev_tick_seq bigint,
    i_min_count bigint, i_min_interval interval,
    out next_tick_id bigint, out next_tick_time timestamptz, out next_tick_seq bigint)
returns record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.find_tick_helper(6)
--
--      Finds the first tick at which a batch that starts at the previous tick is large enough.
--
--      Qualified throughout: pgq.next_batch_custom calls it with the definer's rights and without a SET clause.
--
-- Parameters:  i_queue_id       - the queue
--              i_prev_tick_id, i_prev_tick_time, i_prev_tick_seq - where the batch starts
--              i_min_count      - so many events are enough, null: not a criterion
--              i_min_interval   - so much time is enough, null: not a criterion; with both, either is enough
-- Returns:     the tick, nulls when there is none yet
-- Raises:      -
-- Locks taken: -
-- Called by:   pgq.next_batch_custom
-- ----------------------------------------------------------------------
begin
    select t.tick_id, t.tick_time, t.tick_event_seq
      into next_tick_id, next_tick_time, next_tick_seq
      from pgq.tick t
     where t.tick_queue operator(pg_catalog.=) i_queue_id
       and t.tick_id operator(pg_catalog.>) i_prev_tick_id
       and ((t.tick_event_seq operator(pg_catalog.-) i_prev_tick_seq) operator(pg_catalog.>=) i_min_count
            or (t.tick_time operator(pg_catalog.-) i_prev_tick_time) operator(pg_catalog.>=) i_min_interval)
     order by t.tick_id
     limit 1;
end;
$$ language plpgsql stable;
