create or replace function pgq.finish_batch(x_batch_id bigint)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.finish_batch(1)
--
--      Closes a batch: the consumer's position moves to the batch's end.
--
-- Parameters:  x_batch_id - number of the open batch
-- Returns:     1 - closed, 0 - there is no such open batch, with a warning
-- Raises:      -
-- Locks taken: the subscription's row
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    update pgq.subscription s
       set sub_active = now(), sub_last_tick = s.sub_next_tick, sub_next_tick = null, sub_batch = null
     where s.sub_batch = x_batch_id;
    if not found then
        raise warning 'finish_batch: batch % not found', x_batch_id;
        return 0;
    end if;
    return 1;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
