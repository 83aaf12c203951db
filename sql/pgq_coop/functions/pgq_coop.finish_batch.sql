create or replace function pgq_coop.finish_batch(i_batch_id bigint)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq_coop.finish_batch(1)
--
--      Closes a subconsumer's batch. Its position goes with it: only the main consumer keeps one.
--
-- Parameters:  i_batch_id - number of the open batch
-- Returns:     1 - closed, 0 - there is no such open batch of a subconsumer, with a warning
-- Raises:      -
-- Locks taken: the subscription's row
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    update pgq.subscription s
       set sub_active = now(), sub_last_tick = null, sub_next_tick = null, sub_batch = null
      from pgq.consumer c
     where s.sub_batch = i_batch_id
       and c.co_id = s.sub_consumer
       and exists (
            select 1
              from pgq.subscription m
              join pgq.consumer mc on mc.co_id = m.sub_consumer
             where m.sub_queue = s.sub_queue and m.sub_id = s.sub_id and m.sub_consumer <> s.sub_consumer
               and starts_with(c.co_name, mc.co_name || '.'));
    if not found then
        raise warning 'coop_finish_batch: batch % not found', i_batch_id;
        return 0;
    end if;
    return 1;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
