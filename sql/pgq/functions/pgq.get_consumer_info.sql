create or replace function pgq.get_consumer_info(
    i_queue_name text, i_consumer_name text,
    out queue_name text, out consumer_name text, out lag interval, out last_seen interval, out last_tick bigint,
    out current_batch bigint, out next_tick bigint, out pending_events bigint)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.get_consumer_info(2)
--
--      Shows how far consumers are.
--
-- Parameters:  i_queue_name    - name of the queue, null: all
--              i_consumer_name - name of the consumer, null: all
-- Returns:     one row per consumer and queue, in the order of the names.
--              lag - age of the last finished tick; last_seen - time since it opened or finished a batch;
--              pending_events - distance of the event sequence. Null for an idle subconsumer
-- Raises:      -
-- Locks taken: -
-- Called by:   users
-- ----------------------------------------------------------------------
begin
    return query
    select q.queue_name, c.co_name, now() - done.tick_time, now() - s.sub_active, s.sub_last_tick, s.sub_batch,
           s.sub_next_tick, last.tick_event_seq - done.tick_event_seq
      from pgq.subscription s
      join pgq.queue q on q.queue_id = s.sub_queue
      join pgq.consumer c on c.co_id = s.sub_consumer
      left join pgq.tick done on done.tick_queue = s.sub_queue and done.tick_id = s.sub_last_tick
      left join lateral (
          select t.tick_event_seq
            from pgq.tick t
           where t.tick_queue = s.sub_queue
           order by t.tick_id desc
           limit 1) last on true
     where (q.queue_name = i_queue_name or i_queue_name is null)
       and (c.co_name = i_consumer_name or i_consumer_name is null)
     order by q.queue_name, c.co_name;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq.get_consumer_info(
    i_queue_name text,
    out queue_name text, out consumer_name text, out lag interval, out last_seen interval, out last_tick bigint,
    out current_batch bigint, out next_tick bigint, out pending_events bigint)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.get_consumer_info(1)
--
--      Shows how far the consumers of one queue are.
--
-- Parameters:  i_queue_name - name of the queue, null: all
-- Returns:     as pgq.get_consumer_info(2)
-- Raises:      -
-- Locks taken: -
-- Called by:   users
-- ----------------------------------------------------------------------
begin
    return query select * from pgq.get_consumer_info(i_queue_name, null);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq.get_consumer_info(
    out queue_name text, out consumer_name text, out lag interval, out last_seen interval, out last_tick bigint,
    out current_batch bigint, out next_tick bigint, out pending_events bigint)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.get_consumer_info(0)
--
--      Shows how far all consumers are.
--
-- Parameters:  -
-- Returns:     as pgq.get_consumer_info(2)
-- Raises:      -
-- Locks taken: -
-- Called by:   users
-- ----------------------------------------------------------------------
begin
    return query select * from pgq.get_consumer_info(null, null);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
