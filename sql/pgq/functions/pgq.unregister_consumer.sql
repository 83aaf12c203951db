create or replace function pgq.unregister_consumer(x_queue_name text, x_consumer_name text)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.unregister_consumer(2)
--
--      Removes a consumer from a queue, with its retry events and its cooperative subconsumers. The consumer's name is
--      forgotten with its last queue.
--
-- Parameters:  x_queue_name    - name of the queue
--              x_consumer_name - name of the consumer, or main.sub for one subconsumer
-- Returns:     number of removed subscriptions, 0 - was not registered
-- Raises:      -
-- Locks taken: the subscription's row; the consumer's row when it goes
-- Called by:   users, pgq_reader; pgq.drop_queue
-- ----------------------------------------------------------------------
declare
    _sub        record;
    _gone       integer[];
    _consumer   integer;
begin
    select s.sub_id, s.sub_queue, s.sub_consumer
      into _sub
      from pgq.subscription s
      join pgq.consumer c on c.co_id = s.sub_consumer
      join pgq.queue q on q.queue_id = s.sub_queue
     where q.queue_name = x_queue_name and c.co_name = x_consumer_name
       for update of s;
    if not found then
        return 0;
    end if;

    -- A subconsumer is named main.sub and shares the sub_id of main, to whom the events waiting for retry belong.
    if exists (
        select 1
          from pgq.subscription s
          join pgq.consumer c on c.co_id = s.sub_consumer
         where s.sub_queue = _sub.sub_queue and s.sub_id = _sub.sub_id and s.sub_consumer <> _sub.sub_consumer
           and starts_with(x_consumer_name, c.co_name || '.')
    ) then
        delete from pgq.subscription s where s.sub_queue = _sub.sub_queue and s.sub_consumer = _sub.sub_consumer;
        _gone := array[_sub.sub_consumer];
    else
        delete from pgq.retry_queue r where r.ev_owner = _sub.sub_id;
        with d as (
            delete from pgq.subscription s
             where s.sub_queue = _sub.sub_queue and s.sub_id = _sub.sub_id
            returning s.sub_consumer
        )
        select array_agg(d.sub_consumer order by d.sub_consumer) into _gone from d;
    end if;

    foreach _consumer in array _gone loop
        if not exists (select 1 from pgq.subscription s where s.sub_consumer = _consumer) then
            -- Waits for a registration under way, and then looks again.
            perform 1 from pgq.consumer c where c.co_id = _consumer for update;
            delete from pgq.consumer c
             where c.co_id = _consumer
               and not exists (select 1 from pgq.subscription s where s.sub_consumer = _consumer);
        end if;
    end loop;
    return cardinality(_gone);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
