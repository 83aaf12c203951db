create or replace function pgq.batch_event_tables(x_batch_id bigint)
returns setof text as $$
-- ----------------------------------------------------------------------
-- Function: pgq.batch_event_tables(1)
--
--      Names the event tables that a batch's events were written to, one or two. The last rotation decides: older ones
--      are behind every consumer.
--
-- Parameters:  x_batch_id - number of the open batch
-- Returns:     pgq.event_N_M, the older table first
-- Raises:      Cannot find data for batch N
-- Locks taken: -
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
declare
    _b      record;
begin
    select q.queue_data_pfx as pfx, q.queue_cur_table as cur, q.queue_ntables as n,
           q.queue_switch_step1 as step1, q.queue_switch_step2 as step2,
           prev.tick_snapshot as since, till.tick_snapshot as till
      into _b
      from pgq.subscription s
      join pgq.queue q on q.queue_id = s.sub_queue
      join pgq.tick prev on prev.tick_queue = s.sub_queue and prev.tick_id = s.sub_last_tick
      join pgq.tick till on till.tick_queue = s.sub_queue and till.tick_id = s.sub_next_tick
     where s.sub_batch = x_batch_id;
    if not found then
        raise exception 'Cannot find data for batch %', x_batch_id;
    end if;

    -- Who wrote to the old table has a lower number than step 2. If all those had ended when the batch began, it has
    -- nothing there. A writer that ended before the rotation committed cannot have seen the new table.
    if _b.step2 is null or _b.step2 >= txid_snapshot_xmin(_b.since) then
        return next _b.pfx || '_' || ((_b.cur - 1 + _b.n) % _b.n);
    end if;
    if txid_visible_in_snapshot(_b.step1, _b.till) then
        return next _b.pfx || '_' || _b.cur;
    end if;
end;
$$ language plpgsql set search_path = pg_catalog, pg_temp;
