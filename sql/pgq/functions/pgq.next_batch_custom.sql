create or replace function pgq.next_batch_custom(
    i_queue_name text, i_consumer_name text, i_min_lag interval, i_min_count integer, i_min_interval interval,
    out batch_id bigint, out cur_tick_id bigint, out prev_tick_id bigint,
    out cur_tick_time timestamptz, out prev_tick_time timestamptz,
    out cur_tick_event_seq bigint, out prev_tick_event_seq bigint)
returns record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.next_batch_custom(5)
--
--      Opens the next batch of a consumer, or names the one that is open. A batch is everything between two ticks.
--
--      Runs with the definer's rights and is polled often: qualified throughout instead of a SET clause. A poll that
--      finds nothing writes nothing.
--
-- Parameters:  i_queue_name, i_consumer_name - who asks
--              i_min_lag      - the batch must end at least so long ago, null: no matter
--              i_min_count    - it must hold so many events ..
--              i_min_interval - .. or span so much time; null: no matter; both null: it ends at the next tick
-- Returns:     the batch with its two ticks; all null when there is none yet
-- Raises:      Not subscriber to queue: QUEUE/CONSUMER
--              PgQ corruption: Consumer C on queue Q does not see tick N
-- Locks taken: the subscription's row when it opens a batch
-- Called by:   users, pgq_reader; pgq.next_batch_info
-- ----------------------------------------------------------------------
declare
    _queue      pg_catalog.int4;
    _consumer   pg_catalog.int4;
    _last       pg_catalog.int8;
    _next       pg_catalog.int8;
    _seen       pg_catalog.int8;
begin
    loop
        select s.sub_queue, s.sub_consumer, s.sub_last_tick, s.sub_next_tick, s.sub_batch
          into _queue, _consumer, _last, _next, batch_id
          from pgq.queue q, pgq.consumer c, pgq.subscription s
         where q.queue_name operator(pg_catalog.=) i_queue_name
           and c.co_name operator(pg_catalog.=) i_consumer_name
           and s.sub_queue operator(pg_catalog.=) q.queue_id
           and s.sub_consumer operator(pg_catalog.=) c.co_id;
        if not found then
            raise exception 'Not subscriber to queue: %/%',
                coalesce(i_queue_name, 'NULL'), coalesce(i_consumer_name, 'NULL');
        end if;

        select t.tick_id, t.tick_time, t.tick_event_seq
          into _seen, prev_tick_time, prev_tick_event_seq
          from pgq.tick t
         where t.tick_queue operator(pg_catalog.=) _queue and t.tick_id operator(pg_catalog.=) _last;
        prev_tick_id := _seen;

        if batch_id is not null then
            select t.tick_id, t.tick_time, t.tick_event_seq
              into cur_tick_id, cur_tick_time, cur_tick_event_seq
              from pgq.tick t
             where t.tick_queue operator(pg_catalog.=) _queue and t.tick_id operator(pg_catalog.=) _next;
            return;
        end if;
        if _seen is null then
            raise exception 'PgQ corruption: Consumer % on queue % does not see tick %',
                i_consumer_name, i_queue_name, _last;
        end if;

        if i_min_count is null and i_min_interval is null then
            select t.tick_id, t.tick_time, t.tick_event_seq
              into cur_tick_id, cur_tick_time, cur_tick_event_seq
              from pgq.tick t
             where t.tick_queue operator(pg_catalog.=) _queue and t.tick_id operator(pg_catalog.>) _last
             order by t.tick_id
             limit 1;
        else
            select f.next_tick_id, f.next_tick_time, f.next_tick_seq
              into cur_tick_id, cur_tick_time, cur_tick_event_seq
              from pgq.find_tick_helper(_queue, _last, prev_tick_time, prev_tick_event_seq,
                                        i_min_count::pg_catalog.int8, i_min_interval) f;
        end if;

        if cur_tick_id is null
           or (pg_catalog.now() operator(pg_catalog.-) cur_tick_time) operator(pg_catalog.<) i_min_lag
        then
            cur_tick_id := null;
            cur_tick_time := null;
            cur_tick_event_seq := null;
            prev_tick_id := null;
            prev_tick_time := null;
            prev_tick_event_seq := null;
            return;
        end if;

        update pgq.subscription s
           set sub_batch = pg_catalog.nextval('pgq.batch_id_seq'::pg_catalog.regclass),
               sub_next_tick = cur_tick_id,
               sub_active = pg_catalog.now()
         where s.sub_queue operator(pg_catalog.=) _queue
           and s.sub_consumer operator(pg_catalog.=) _consumer
           and s.sub_batch is null
           and s.sub_last_tick operator(pg_catalog.=) _last
        returning s.sub_batch into batch_id;
        exit when found;
        -- Another session of this consumer was faster: look again.
    end loop;
end;
$$ language plpgsql security definer;
