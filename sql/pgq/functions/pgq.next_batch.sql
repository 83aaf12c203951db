create or replace function pgq.next_batch(i_queue_name text, i_consumer_name text)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq.next_batch(2)
--
--      Opens the next batch of a consumer, up to the next tick, or names the one that is open.
--
-- Parameters:  i_queue_name, i_consumer_name - who asks
-- Returns:     number of the batch, null when there is none yet
-- Raises:      as pgq.next_batch_custom
-- Locks taken: as pgq.next_batch_custom
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    return (select f.batch_id from pgq.next_batch_custom(i_queue_name, i_consumer_name, null, null, null) f);
end;
$$ language plpgsql;
