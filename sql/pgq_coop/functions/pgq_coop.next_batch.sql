create or replace function pgq_coop.next_batch(
    i_queue_name text, i_consumer_name text, i_subconsumer_name text, i_dead_interval interval)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq_coop.next_batch(4)
--
--      Opens the main consumer's next batch for a subconsumer, or names the one that is open; takes over the batch of
--      a subconsumer that has been silent for too long.
--
-- Parameters:  i_queue_name       - name of the queue
--              i_consumer_name    - name of the main consumer
--              i_subconsumer_name - name of the subconsumer
--              i_dead_interval    - a batch that was opened before so long may be taken over; null: never
-- Returns:     number of the batch, null when there is none yet
-- Raises:      as pgq_coop.next_batch_custom
-- Locks taken: as pgq_coop.next_batch_custom
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    return (
        select f.batch_id
          from pgq_coop.next_batch_custom(i_queue_name, i_consumer_name, i_subconsumer_name,
                                          null, null, null, i_dead_interval) f);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq_coop.next_batch(i_queue_name text, i_consumer_name text, i_subconsumer_name text)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq_coop.next_batch(3)
--
--      Opens the main consumer's next batch for a subconsumer, or names the one that is open.
--
-- Parameters:  i_queue_name       - name of the queue
--              i_consumer_name    - name of the main consumer
--              i_subconsumer_name - name of the subconsumer
-- Returns:     number of the batch, null when there is none yet
-- Raises:      as pgq_coop.next_batch_custom
-- Locks taken: as pgq_coop.next_batch_custom
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    return pgq_coop.next_batch(i_queue_name, i_consumer_name, i_subconsumer_name, null);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
