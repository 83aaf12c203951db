create or replace function pgq_coop.next_batch_custom(
    i_queue_name text, i_consumer_name text, i_subconsumer_name text,
    i_min_lag interval, i_min_count integer, i_min_interval interval, i_dead_interval interval,
    out batch_id bigint, out cur_tick_id bigint, out prev_tick_id bigint,
    out cur_tick_time timestamptz, out prev_tick_time timestamptz,
    out cur_tick_event_seq bigint, out prev_tick_event_seq bigint)
returns record as $$
-- ----------------------------------------------------------------------
-- Function: pgq_coop.next_batch_custom(7)
--
--      Opens the main consumer's next batch for a subconsumer, or names the one that is open; takes over the batch of
--      a subconsumer that has been silent for too long, under its number, and removes that one. Registers who is not
--      registered yet.
--
-- Parameters:  i_queue_name       - name of the queue
--              i_consumer_name    - name of the main consumer
--              i_subconsumer_name - name of the subconsumer
--              i_min_lag, i_min_count, i_min_interval - as in pgq.next_batch_custom
--              i_dead_interval    - a batch that was opened before so long may be taken over; null: never
-- Returns:     the batch with its two ticks; all null when there is none yet
-- Raises:      Event queue not created yet
--              consumer "MAIN" has an open batch of its own
-- Locks taken: the main consumer's subscription, so that a batch goes to one subconsumer only
-- Called by:   users, pgq_reader; pgq_coop.next_batch
-- ----------------------------------------------------------------------
declare
    _main       record;
    _sub        record;
    _dead       record;
    _name       text := i_consumer_name || '.' || i_subconsumer_name;
begin
    loop
        select s.sub_id, s.sub_queue, s.sub_consumer, s.sub_batch
          into _main
          from pgq.subscription s
          join pgq.queue q on q.queue_id = s.sub_queue
          join pgq.consumer c on c.co_id = s.sub_consumer
         where q.queue_name = i_queue_name and c.co_name = i_consumer_name
           for update of s;
        if found then
            select s.sub_consumer, s.sub_batch
              into _sub
              from pgq.subscription s
              join pgq.consumer c on c.co_id = s.sub_consumer
             where s.sub_queue = _main.sub_queue and s.sub_id = _main.sub_id and c.co_name = _name;
            exit when found;
        end if;
        perform pgq_coop.register_subconsumer(i_queue_name, i_consumer_name, i_subconsumer_name);
    end loop;

    if _sub.sub_batch is not null then
        -- Asking again is a sign of life, but not worth a row version every time.
        update pgq.subscription s
           set sub_active = now()
         where s.sub_queue = _main.sub_queue and s.sub_consumer = _sub.sub_consumer
           and s.sub_active < now() - interval '5 seconds';
    else
        select c.co_name, s.sub_batch, s.sub_last_tick, s.sub_next_tick
          into _dead
          from pgq.subscription s
          join pgq.consumer c on c.co_id = s.sub_consumer
         where s.sub_queue = _main.sub_queue and s.sub_id = _main.sub_id and s.sub_consumer <> _main.sub_consumer
           and s.sub_batch is not null and s.sub_active < now() - i_dead_interval
         order by s.sub_active
         limit 1
           for update of s;
        if found then
            -- First away, then here: a batch must not belong to two at any time. Should the silent one come back, it is
            -- registered again.
            perform pgq.unregister_consumer(i_queue_name, _dead.co_name);
        else
            if _main.sub_batch is not null then
                raise exception 'consumer "%" has an open batch of its own', i_consumer_name;
            end if;
            select f.batch_id as sub_batch, f.prev_tick_id as sub_last_tick, f.cur_tick_id as sub_next_tick
              into _dead
              from pgq.next_batch_custom(i_queue_name, i_consumer_name, i_min_lag, i_min_count, i_min_interval) f;
            if _dead.sub_batch is null then
                return;
            end if;
            update pgq.subscription s
               set sub_batch = null, sub_last_tick = s.sub_next_tick, sub_next_tick = null
             where s.sub_queue = _main.sub_queue and s.sub_consumer = _main.sub_consumer;
        end if;
        update pgq.subscription s
           set sub_batch = _dead.sub_batch, sub_last_tick = _dead.sub_last_tick, sub_next_tick = _dead.sub_next_tick,
               sub_active = now()
         where s.sub_queue = _main.sub_queue and s.sub_consumer = _sub.sub_consumer;
    end if;

    select f.batch_id, f.cur_tick_id, f.prev_tick_id, f.cur_tick_time, f.prev_tick_time,
           f.cur_tick_event_seq, f.prev_tick_event_seq
      into batch_id, cur_tick_id, prev_tick_id, cur_tick_time, prev_tick_time, cur_tick_event_seq, prev_tick_event_seq
      from pgq.next_batch_custom(i_queue_name, _name, null, null, null) f;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq_coop.next_batch_custom(
    i_queue_name text, i_consumer_name text, i_subconsumer_name text,
    i_min_lag interval, i_min_count integer, i_min_interval interval,
    out batch_id bigint, out cur_tick_id bigint, out prev_tick_id bigint,
    out cur_tick_time timestamptz, out prev_tick_time timestamptz,
    out cur_tick_event_seq bigint, out prev_tick_event_seq bigint)
returns record as $$
-- ----------------------------------------------------------------------
-- Function: pgq_coop.next_batch_custom(6)
--
--      Opens the main consumer's next batch for a subconsumer, or names the one that is open.
--
-- Parameters:  as pgq_coop.next_batch_custom(7)
-- Returns:     the batch with its two ticks; all null when there is none yet
-- Raises:      as pgq_coop.next_batch_custom(7)
-- Locks taken: as pgq_coop.next_batch_custom(7)
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    select f.batch_id, f.cur_tick_id, f.prev_tick_id, f.cur_tick_time, f.prev_tick_time,
           f.cur_tick_event_seq, f.prev_tick_event_seq
      into batch_id, cur_tick_id, prev_tick_id, cur_tick_time, prev_tick_time, cur_tick_event_seq, prev_tick_event_seq
      from pgq_coop.next_batch_custom(i_queue_name, i_consumer_name, i_subconsumer_name,
                                      i_min_lag, i_min_count, i_min_interval, null) f;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
