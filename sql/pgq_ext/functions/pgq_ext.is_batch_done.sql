create or replace function pgq_ext.is_batch_done(a_consumer text, a_subconsumer text, a_batch_id bigint)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.is_batch_done(3)
--
--      Tells whether a batch is the last one that the consumer has applied.
--
-- Parameters:  a_consumer - name of the consumer
--              a_subconsumer - name of the cooperative subconsumer, '' for a consumer that works alone
--              a_batch_id - number of the batch
-- Returns:     true or false
-- Raises:      -
-- Locks taken: -
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    return exists (
        select 1
          from pgq_ext.completed_batch b
         where b.consumer_id = a_consumer and b.subconsumer_id = a_subconsumer and b.last_batch_id = a_batch_id);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq_ext.is_batch_done(a_consumer text, a_batch_id bigint)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.is_batch_done(2)
--
--      Tells whether a batch is the last one that the consumer has applied, for a consumer that works alone.
--
-- Parameters:  a_consumer - name of the consumer
--              a_batch_id - number of the batch
-- Returns:     true or false
-- Raises:      -
-- Locks taken: -
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    return pgq_ext.is_batch_done(a_consumer, '', a_batch_id);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
