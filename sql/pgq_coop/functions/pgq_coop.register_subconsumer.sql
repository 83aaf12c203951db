create or replace function pgq_coop.register_subconsumer(
    i_queue_name text, i_consumer_name text, i_subconsumer_name text)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq_coop.register_subconsumer(3)
--
--      Registers a subconsumer, and its main consumer when there is none yet. It becomes the consumer main.sub, which
--      shares the main consumer's sub_id and has a position only while it has a batch.
--
-- Parameters:  i_queue_name       - name of the queue
--              i_consumer_name    - name of the main consumer
--              i_subconsumer_name - name of the subconsumer
-- Returns:     1 - registered, 0 - was registered
-- Raises:      Event queue not created yet
--              consumer "MAIN.SUB" is registered, but is not a subconsumer
-- Locks taken: the main consumer's subscription; as pgq.register_consumer
-- Called by:   users, pgq_reader; pgq_coop.next_batch_custom
-- ----------------------------------------------------------------------
declare
    _name       text := i_consumer_name || '.' || i_subconsumer_name;
    _main       record;
    _consumer   integer;
begin
    if _name is null then
        raise exception 'consumer name must not be NULL';
    end if;
    loop
        select s.sub_id, s.sub_queue
          into _main
          from pgq.subscription s
          join pgq.queue q on q.queue_id = s.sub_queue
          join pgq.consumer c on c.co_id = s.sub_consumer
         where q.queue_name = i_queue_name and c.co_name = i_consumer_name
           for update of s;
        exit when found;
        perform pgq.register_consumer(i_queue_name, i_consumer_name);
    end loop;

    loop
        select c.co_id into _consumer from pgq.consumer c where c.co_name = _name for key share;
        exit when found;
        insert into pgq.consumer (co_name) values (_name) on conflict (co_name) do nothing;
    end loop;
    insert into pgq.subscription (sub_id, sub_queue, sub_consumer, sub_last_tick)
    values (_main.sub_id, _main.sub_queue, _consumer, null)
    on conflict (sub_queue, sub_consumer) do nothing;
    if found then
        return 1;
    end if;

    perform 1
       from pgq.subscription s
      where s.sub_queue = _main.sub_queue and s.sub_consumer = _consumer and s.sub_id = _main.sub_id;
    if not found then
        raise exception 'consumer "%" is registered, but is not a subconsumer', _name;
    end if;
    return 0;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
