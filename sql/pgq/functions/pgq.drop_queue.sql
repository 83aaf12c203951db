create or replace function pgq.drop_queue(x_queue_name text, x_force boolean)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.drop_queue(2)
--
--      Drops a queue with all its events and ticks.
--
-- Parameters:  x_queue_name - name of the queue
--              x_force      - true: unregister its consumers, false: refuse while there are any
-- Returns:     1
-- Raises:      No such event queue
--              cannot drop queue, consumers still attached
-- Locks taken: the queue's row; ACCESS EXCLUSIVE on its tables and sequences
-- Called by:   users, pgq_admin; `drop` of the queue commands
-- ----------------------------------------------------------------------
declare
    _q      record;
    _name   text;
begin
    select q.queue_id, q.queue_data_pfx, q.queue_event_seq, q.queue_tick_seq, q.queue_ntables
      into _q
      from pgq.queue q
     where q.queue_name = x_queue_name
       for update;
    if not found then
        raise exception 'No such event queue';
    end if;

    if x_force then
        -- Subconsumers go with their main consumer, so a name of this list may be gone when its turn comes.
        for _name in
            select c.co_name
              from pgq.subscription s
              join pgq.consumer c on c.co_id = s.sub_consumer
             where s.sub_queue = _q.queue_id
             order by c.co_name
        loop
            perform pgq.unregister_consumer(x_queue_name, _name);
        end loop;
    elsif exists (select 1 from pgq.subscription s where s.sub_queue = _q.queue_id) then
        raise exception 'cannot drop queue, consumers still attached';
    end if;

    for _i in 0 .. _q.queue_ntables - 1 loop
        execute format('drop table %s_%s', _q.queue_data_pfx, _i);
    end loop;
    execute format('drop table %s', _q.queue_data_pfx);
    execute format('drop sequence %s', _q.queue_event_seq);
    execute format('drop sequence %s', _q.queue_tick_seq);
    delete from pgq.retry_queue r where r.ev_queue = _q.queue_id;
    delete from pgq.tick t where t.tick_queue = _q.queue_id;
    delete from pgq.queue q where q.queue_id = _q.queue_id;
    return 1;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq.drop_queue(x_queue_name text)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.drop_queue(1)
--
--      Drops a queue that no consumer reads any more.
--
-- Parameters:  x_queue_name - name of the queue
-- Returns:     1
-- Raises:      No such event queue
--              cannot drop queue, consumers still attached
-- Locks taken: as pgq.drop_queue(2)
-- Called by:   users, pgq_admin
-- ----------------------------------------------------------------------
begin
    return pgq.drop_queue(x_queue_name, false);
end;
$$ language plpgsql strict set search_path = pg_catalog, pg_temp;
