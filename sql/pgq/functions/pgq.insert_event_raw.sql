create or replace function pgq.insert_event_raw(
    queue_name text, ev_id bigint, ev_time timestamptz, ev_owner integer, ev_retry integer, ev_type text, ev_data text,
    ev_extra1 text, ev_extra2 text, ev_extra3 text, ev_extra4 text)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq.insert_event_raw(11)
--
--      Puts an event with all its fields into the queue's current table.
--
--      Runs with the definer's rights under the caller's search_path when pgq.insert_event calls it, and must not pay
--      for a SET clause: so every function, operator and type is qualified.
--
-- Parameters:  queue_name - name of the queue
--              ev_id      - null: a new number. The sequence moves in any case, because ticks count by it
--              ev_time    - null: now
--              ev_owner   - sub_id of the only consumer that is to see it, null: all
--              ev_retry   - how often it was retried, null: never
--              ev_type, ev_data, ev_extra1..4 - the event
-- Returns:     ev_id
-- Raises:      Queue name must not be NULL
--              No such queue
--              Insert into queue disallowed
--              Queue '...' allows max N events from one TX
-- Locks taken: ROW EXCLUSIVE on the current event table
-- Called by:   pgq.insert_event, pgq.maint_retry_events, pgq_admin
-- ----------------------------------------------------------------------
declare
    _queue      pg_catalog.int4;
    _table      pg_catalog.text;
    _seq        pg_catalog.text;
    _disabled   pg_catalog.bool;
    _limit      pg_catalog.int4;
    _id         pg_catalog.int8;
    _setting    pg_catalog.text;
    _seen       pg_catalog.text;
    _count      pg_catalog.int4;
begin
    if queue_name is null then
        raise exception 'Queue name must not be NULL';
    end if;
    select q.queue_id, pg_catalog.concat(q.queue_data_pfx, '_', q.queue_cur_table), q.queue_event_seq,
           q.queue_disable_insert, q.queue_per_tx_limit
      into _queue, _table, _seq, _disabled, _limit
      from pgq.queue q
     where q.queue_name operator(pg_catalog.=) insert_event_raw.queue_name;
    if not found then
        raise exception 'No such queue';
    end if;

    _id := pg_catalog.nextval(_seq::pg_catalog.regclass);
    if ev_id is not null then
        _id := ev_id;
    end if;

    if _disabled and pg_catalog.current_setting('session_replication_role') operator(pg_catalog.<>) 'replica' then
        raise exception 'Insert into queue disallowed';
    end if;

    if _limit operator(pg_catalog.>=) 0 and ev_owner is null then
        -- The limit is for producers, not for events that come back. A setting is the one memory that follows
        -- transactions and savepoints by itself.
        _setting := pg_catalog.concat('pgq.tx_events_', _queue);
        _seen := pg_catalog.current_setting(_setting, true);
        _count := 1;
        if pg_catalog.split_part(_seen, ':', 1) operator(pg_catalog.=) pg_catalog.txid_current()::pg_catalog.text then
            _count := pg_catalog.split_part(_seen, ':', 2)::pg_catalog.int4 operator(pg_catalog.+) 1;
        end if;
        if _count operator(pg_catalog.>) _limit then
            raise exception 'Queue ''%'' allows max % events from one TX', queue_name, _limit;
        end if;
        perform pg_catalog.set_config(_setting, pg_catalog.concat(pg_catalog.txid_current(), ':', _count), true);
    end if;

    execute pg_catalog.concat('insert into ', _table, ' (ev_id, ev_time, ev_owner, ev_retry, ev_type, ev_data,'
                              ' ev_extra1, ev_extra2, ev_extra3, ev_extra4)'
                              ' values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)')
      using _id, coalesce(ev_time, pg_catalog.now()), ev_owner, ev_retry, ev_type, ev_data,
            ev_extra1, ev_extra2, ev_extra3, ev_extra4;
    return _id;
end;
$$ language plpgsql;
