create or replace function pgq.maint_rotate_tables_step1(i_queue_name text)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.maint_rotate_tables_step1(1)
--
--      Makes the next event table the current one, after emptying it, when the rotation period has passed, the last
--      rotation is complete, and every consumer is past it. Does nothing otherwise.
--
--      Two proofs are wanted before the table is emptied. Every consumer's position is past step 2 of the last
--      rotation: then nobody who properly looked up the current table can have left unread events there. And the table
--      holds no event that a consumer could still need: that also covers a writer that kept the table's name for long.
--
-- Parameters:  i_queue_name - name of the queue
-- Returns:     0
-- Raises:      rotation needs a READ COMMITTED transaction
-- Locks taken: the queue's row; ACCESS EXCLUSIVE on the table that is emptied, not waited for
-- Called by:   the ticker, pgq_admin; listed by pgq.maint_operations
-- ----------------------------------------------------------------------
declare
    _q          record;
    _next       integer;
    _table      text;
    _needed     bigint;
    _unread     boolean;
begin
    select q.queue_id, q.queue_cur_table, q.queue_ntables, q.queue_data_pfx, q.queue_switch_step2
      into _q
      from pgq.queue q
     where q.queue_name = i_queue_name
       -- A time in the future was written before the clock was set back; waiting for it could take for ever.
       and q.queue_switch_time not between now() - q.queue_rotation_period and now() + q.queue_rotation_period
       and q.queue_switch_step2 is not null
       for no key update;
    if not found then
        return 0;
    end if;
    if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
        raise exception 'rotation needs a READ COMMITTED transaction'
            using detail = 'A fixed snapshot may not show the last events and positions.',
                  hint = 'Set default_transaction_isolation of the role that does the maintenance.';
    end if;

    -- Transactions before this one have ended for every consumer: what they wrote is read. An idle subconsumer has no
    -- position; its main consumer's counts.
    select min(txid_snapshot_xmin(t.tick_snapshot))
      into _needed
      from pgq.subscription s
      join pgq.tick t on t.tick_queue = s.sub_queue and t.tick_id = s.sub_last_tick
     where s.sub_queue = _q.queue_id;
    if _needed <= _q.queue_switch_step2 then
        return 0;
    end if;

    _next := (_q.queue_cur_table + 1) % _q.queue_ntables;
    _table := _q.queue_data_pfx || '_' || _next;
    begin
        execute format('lock table %s in access exclusive mode nowait', _table);
    exception
        when lock_not_available then
            return 0;
    end;
    if _needed is not null then
        execute format('select exists (select 1 from %s where ev_txid >= $1)', _table) into _unread using _needed;
        if _unread then
            return 0;
        end if;
    end if;
    execute format('truncate table %s', _table);

    update pgq.queue q
       set queue_cur_table = _next, queue_switch_time = now(), queue_switch_step1 = txid_current(),
           queue_switch_step2 = null
     where q.queue_id = _q.queue_id;

    -- Ticks of the time before the last rotation: their events are gone. The newest one stays in any case.
    delete from pgq.tick t
     where t.tick_queue = _q.queue_id
       and txid_snapshot_xmin(t.tick_snapshot) < _q.queue_switch_step2
       and t.tick_id < (select max(n.tick_id) from pgq.tick n where n.tick_queue = _q.queue_id);
    return 0;
end;
$$ language plpgsql set search_path = pg_catalog, pg_temp;
