create or replace function pgq.register_consumer(x_queue_name text, x_consumer_id text)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.register_consumer(2)
--
--      Registers a consumer at the last tick of a queue.
--
-- Parameters:  x_queue_name  - name of the queue
--              x_consumer_id - name of the consumer, any text
-- Returns:     1 - registered, 0 - was registered
-- Raises:      Event queue not created yet
--              No ticks for this queue.  Please run ticker on database.
-- Locks taken: as pgq.register_consumer_at
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    return pgq.register_consumer_at(x_queue_name, x_consumer_id, null);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
