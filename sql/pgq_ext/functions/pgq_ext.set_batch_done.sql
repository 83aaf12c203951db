create or replace function pgq_ext.set_batch_done(a_consumer text, a_subconsumer text, a_batch_id bigint)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.set_batch_done(3)
--
--      Stores that the consumer has applied a batch.
--
-- Parameters:  a_consumer - name of the consumer
--              a_subconsumer - name of the cooperative subconsumer, '' for a consumer that works alone
--              a_batch_id - number of the batch
-- Returns:     true - stored, false - it was the last one already
-- Raises:      -
-- Locks taken: the consumer's row
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    insert into pgq_ext.completed_batch as b (consumer_id, subconsumer_id, last_batch_id)
    values (a_consumer, a_subconsumer, a_batch_id)
    on conflict (consumer_id, subconsumer_id) do update
       set last_batch_id = excluded.last_batch_id
     where b.last_batch_id <> excluded.last_batch_id;
    return found;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq_ext.set_batch_done(a_consumer text, a_batch_id bigint)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.set_batch_done(2)
--
--      Stores that the consumer has applied a batch, for a consumer that works alone.
--
-- Parameters:  a_consumer - name of the consumer
--              a_batch_id - number of the batch
-- Returns:     true - stored, false - it was the last one already
-- Raises:      -
-- Locks taken: the consumer's row
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    return pgq_ext.set_batch_done(a_consumer, '', a_batch_id);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
