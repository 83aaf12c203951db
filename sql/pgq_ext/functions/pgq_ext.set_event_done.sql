create or replace function pgq_ext.set_event_done(
    a_consumer text, a_subconsumer text, a_batch_id bigint, a_event_id bigint)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.set_event_done(4)
--
--      Stores that the consumer has applied an event; forgets the events of its other batches.
--
-- Parameters:  a_consumer - name of the consumer
--              a_subconsumer - name of the cooperative subconsumer, '' for a consumer that works alone
--              a_batch_id - number of the batch
--              a_event_id - number of the event
-- Returns:     true - stored, false - it was stored already
-- Raises:      -
-- Locks taken: the consumer's row when the batch changes
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    -- The first event of another batch: the events of the batch before it are not asked for any more.
    insert into pgq_ext.partial_batch as p (consumer_id, subconsumer_id, cur_batch_id)
    values (a_consumer, a_subconsumer, a_batch_id)
    on conflict (consumer_id, subconsumer_id) do update
       set cur_batch_id = excluded.cur_batch_id
     where p.cur_batch_id <> excluded.cur_batch_id;
    if found then
        delete from pgq_ext.completed_event e
         where e.consumer_id = a_consumer and e.subconsumer_id = a_subconsumer and e.batch_id <> a_batch_id;
    end if;

    insert into pgq_ext.completed_event (consumer_id, subconsumer_id, batch_id, event_id)
    values (a_consumer, a_subconsumer, a_batch_id, a_event_id)
    on conflict do nothing;
    return found;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq_ext.set_event_done(a_consumer text, a_batch_id bigint, a_event_id bigint)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.set_event_done(3)
--
--      Stores that the consumer has applied an event; forgets the events of its other batches, for a consumer that
--      works alone.
--
-- Parameters:  a_consumer - name of the consumer
--              a_batch_id - number of the batch
--              a_event_id - number of the event
-- Returns:     true - stored, false - it was stored already
-- Raises:      -
-- Locks taken: the consumer's row when the batch changes
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    return pgq_ext.set_event_done(a_consumer, '', a_batch_id, a_event_id);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
