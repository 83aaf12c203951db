create or replace function pgq_coop.unregister_subconsumer(
    i_queue_name text, i_consumer_name text, i_subconsumer_name text, i_batch_handling integer)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq_coop.unregister_subconsumer(4)
--
--      Removes a subconsumer; the main consumer and the other subconsumers stay.
--
-- Parameters:  i_queue_name       - name of the queue
--              i_consumer_name    - name of the main consumer
--              i_subconsumer_name - name of the subconsumer
--              i_batch_handling   - when it has an open batch: 0 - refuse, 1 - drop the batch, whose events nobody
--                                   will see then
-- Returns:     1 - removed, 0 - was not registered
-- Raises:      subconsumer has active batch
-- Locks taken: the main consumer's subscription and its own
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
declare
    _main   record;
    _sub    record;
begin
    select s.sub_id, s.sub_queue, s.sub_consumer
      into _main
      from pgq.subscription s
      join pgq.queue q on q.queue_id = s.sub_queue
      join pgq.consumer c on c.co_id = s.sub_consumer
     where q.queue_name = i_queue_name and c.co_name = i_consumer_name
       for update of s;
    if not found then
        return 0;
    end if;
    select s.sub_consumer, s.sub_batch
      into _sub
      from pgq.subscription s
      join pgq.consumer c on c.co_id = s.sub_consumer
     where s.sub_queue = _main.sub_queue and s.sub_id = _main.sub_id and s.sub_consumer <> _main.sub_consumer
       and c.co_name = i_consumer_name || '.' || i_subconsumer_name
       for update of s;
    if not found then
        return 0;
    end if;

    if _sub.sub_batch is not null and i_batch_handling is distinct from 1 then
        raise exception 'subconsumer has active batch';
    end if;
    return pgq.unregister_consumer(i_queue_name, i_consumer_name || '.' || i_subconsumer_name);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
