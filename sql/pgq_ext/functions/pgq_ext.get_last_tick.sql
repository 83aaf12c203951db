create or replace function pgq_ext.get_last_tick(a_consumer text, a_subconsumer text)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.get_last_tick(2)
--
--      Returns the last tick that the consumer has applied.
--
-- Parameters:  a_consumer - name of the consumer
--              a_subconsumer - name of the cooperative subconsumer, '' for a consumer that works alone
-- Returns:     number of the tick, null when none is stored
-- Raises:      -
-- Locks taken: -
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    return (
        select t.last_tick_id
          from pgq_ext.completed_tick t
         where t.consumer_id = a_consumer and t.subconsumer_id = a_subconsumer);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq_ext.get_last_tick(a_consumer text)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.get_last_tick(1)
--
--      Returns the last tick that the consumer has applied, for a consumer that works alone.
--
-- Parameters:  a_consumer - name of the consumer
-- Returns:     number of the tick, null when none is stored
-- Raises:      -
-- Locks taken: -
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    return pgq_ext.get_last_tick(a_consumer, '');
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
