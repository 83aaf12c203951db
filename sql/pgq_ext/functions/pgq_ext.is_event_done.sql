create or replace function pgq_ext.is_event_done(
    a_consumer text, a_subconsumer text, a_batch_id bigint, a_event_id bigint)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.is_event_done(4)
--
--      Tells whether the consumer has applied an event of the batch it is working on.
--
-- Parameters:  a_consumer - name of the consumer
--              a_subconsumer - name of the cooperative subconsumer, '' for a consumer that works alone
--              a_batch_id - number of the batch
--              a_event_id - number of the event
-- Returns:     true or false
-- Raises:      -
-- Locks taken: -
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    return exists (
        select 1
          from pgq_ext.completed_event e
         where e.consumer_id = a_consumer and e.subconsumer_id = a_subconsumer
           and e.batch_id = a_batch_id and e.event_id = a_event_id);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq_ext.is_event_done(a_consumer text, a_batch_id bigint, a_event_id bigint)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.is_event_done(3)
--
--      Tells whether the consumer has applied an event of the batch it is working on, for a consumer that works
--      alone.
--
-- Parameters:  a_consumer - name of the consumer
--              a_batch_id - number of the batch
--              a_event_id - number of the event
-- Returns:     true or false
-- Raises:      -
-- Locks taken: -
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    return pgq_ext.is_event_done(a_consumer, '', a_batch_id, a_event_id);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
