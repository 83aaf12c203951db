create or replace function pgq.get_queue_info(
    i_queue_name text,
    out queue_name text, out queue_ntables integer, out queue_cur_table integer, out queue_rotation_period interval,
    out queue_switch_time timestamptz, out queue_external_ticker boolean, out queue_ticker_paused boolean,
    out queue_ticker_max_count integer, out queue_ticker_max_lag interval, out queue_ticker_idle_period interval,
    out ticker_lag interval, out ev_per_sec double precision, out ev_new bigint, out last_tick_id bigint)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.get_queue_info(1)
--
--      Shows the settings and the state of one queue.
--
-- Parameters:  i_queue_name - name of the queue, null: all queues
-- Returns:     one row per queue, in the order of the names; none for a queue that does not exist.
--              ticker_lag - time since the last tick; ev_per_sec - over the last 20 ticks, null when they span no time;
--              ev_new - events since the last tick, as far as the sequence knows
-- Raises:      -
-- Locks taken: -
-- Called by:   users
-- ----------------------------------------------------------------------
begin
    return query
    select q.queue_name, q.queue_ntables, q.queue_cur_table, q.queue_rotation_period, q.queue_switch_time,
           q.queue_external_ticker, q.queue_ticker_paused, q.queue_ticker_max_count, q.queue_ticker_max_lag,
           q.queue_ticker_idle_period,
           now() - last.tick_time,
           (last.tick_event_seq - first.tick_event_seq)
               / nullif(extract(epoch from last.tick_time - first.tick_time)::float8, 0),
           pgq.seq_getval(q.queue_event_seq) - last.tick_event_seq,
           last.tick_id
      from pgq.queue q
      left join lateral (
          select t.tick_id, t.tick_time, t.tick_event_seq
            from pgq.tick t
           where t.tick_queue = q.queue_id
           order by t.tick_id desc
           limit 1) last on true
      left join lateral (
          select t.tick_id, t.tick_time, t.tick_event_seq
            from pgq.tick t
           where t.tick_queue = q.queue_id and t.tick_id >= last.tick_id - 20
           order by t.tick_id
           limit 1) first on true
     where q.queue_name = i_queue_name or i_queue_name is null
     order by q.queue_name;
end;
$$ language plpgsql set search_path = pg_catalog, pg_temp;

create or replace function pgq.get_queue_info(
    out queue_name text, out queue_ntables integer, out queue_cur_table integer, out queue_rotation_period interval,
    out queue_switch_time timestamptz, out queue_external_ticker boolean, out queue_ticker_paused boolean,
    out queue_ticker_max_count integer, out queue_ticker_max_lag interval, out queue_ticker_idle_period interval,
    out ticker_lag interval, out ev_per_sec double precision, out ev_new bigint, out last_tick_id bigint)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.get_queue_info(0)
--
--      Shows the settings and the state of all queues.
--
-- Parameters:  -
-- Returns:     as pgq.get_queue_info(1)
-- Raises:      -
-- Locks taken: -
-- Called by:   users
-- ----------------------------------------------------------------------
begin
    return query select * from pgq.get_queue_info(null);
end;
$$ language plpgsql set search_path = pg_catalog, pg_temp;
