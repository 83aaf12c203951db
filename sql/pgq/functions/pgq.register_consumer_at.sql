create or replace function pgq.register_consumer_at(x_queue_name text, x_consumer_name text, x_tick_pos bigint)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.register_consumer_at(3)
--
--      Registers a consumer at a given tick, or moves a registered one there. Moving drops its open batch.
--
-- Parameters:  x_queue_name    - name of the queue
--              x_consumer_name - name of the consumer, any text
--              x_tick_pos      - events after this tick are read; null: a new consumer starts at the last tick, a
--                                registered one stays where it is
-- Returns:     1 - registered, 0 - was registered
-- Raises:      Event queue not created yet
--              cannot reposition, tick not found: N
--              No ticks for this queue.  Please run ticker on database.
-- Locks taken: the queue's row in share mode, which keeps rotation from deleting the tick; the consumer's row against
--              being deleted; the subscription's row
-- Called by:   users, pgq_reader; pgq.register_consumer
-- ----------------------------------------------------------------------
declare
    _queue      integer;
    _consumer   integer;
    _pos        bigint;
begin
    select q.queue_id into _queue from pgq.queue q where q.queue_name = x_queue_name for share;
    if not found then
        raise exception 'Event queue not created yet';
    end if;

    if x_tick_pos is not null then
        if not exists (select 1 from pgq.tick t where t.tick_queue = _queue and t.tick_id = x_tick_pos) then
            raise exception 'cannot reposition, tick not found: %', x_tick_pos;
        end if;
        _pos := x_tick_pos;
    end if;

    loop
        select c.co_id into _consumer from pgq.consumer c where c.co_name = x_consumer_name for key share;
        exit when found;
        insert into pgq.consumer (co_name) values (x_consumer_name) on conflict (co_name) do nothing;
    end loop;

    if _pos is not null then
        update pgq.subscription s
           set sub_last_tick = _pos, sub_batch = null, sub_next_tick = null, sub_active = now()
         where s.sub_queue = _queue and s.sub_consumer = _consumer;
    else
        update pgq.subscription s
           set sub_active = now()
         where s.sub_queue = _queue and s.sub_consumer = _consumer;
    end if;
    if found then
        return 0;
    end if;

    if _pos is null then
        select t.tick_id into _pos from pgq.tick t where t.tick_queue = _queue order by t.tick_id desc limit 1;
        if not found then
            raise exception 'No ticks for this queue.  Please run ticker on database.';
        end if;
    end if;
    insert into pgq.subscription (sub_queue, sub_consumer, sub_last_tick)
    values (_queue, _consumer, _pos)
    on conflict (sub_queue, sub_consumer) do nothing;
    if not found then
        -- Another session registered it since the update above.
        return pgq.register_consumer_at(x_queue_name, x_consumer_name, x_tick_pos);
    end if;
    return 1;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
