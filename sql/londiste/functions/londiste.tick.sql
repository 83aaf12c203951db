create or replace function londiste.tick(
    in i_queue_name text,
    out tick_id int8,
    out tick_snapshot text,
    out event_seq int8,
    out tick_time timestamptz,
    out tick_txid int8)
as $$
-- ----------------------------------------------------------------------
-- Function: londiste.tick(1)
--
--      Makes a tick now, whatever the queue's thresholds say, and wakes the
--      consumers that listen on channel londiste_tick_<queue id>.
--
-- Parameters:  i_queue_name - the queue
-- Returns:     the new tick: number, snapshot in text form, event sequence, time, and the
--              transaction that makes it
-- Raises:      no such queue; a queue that is ticked from outside
-- Locks taken: the queue's tick lock (advisory), which pgq.ticker takes too, till the
--              end of the transaction: the snapshot is taken after it, so that the order of
--              tick numbers is the order of their snapshots
-- Called by:   ticker, wait, replay --once, copies
-- ----------------------------------------------------------------------
declare
    _queue_id int4;
    _tick_seq text;
    _event_seq text;
    _external bool;
begin
    select q.queue_id, q.queue_tick_seq, q.queue_event_seq, q.queue_external_ticker
      into _queue_id, _tick_seq, _event_seq, _external
      from pgq.queue q
     where q.queue_name = i_queue_name;
    if not found then
        raise exception 'no such queue' using errcode = 'undefined_object';
    end if;
    if _external then
        raise exception 'This queue has external tick source.';
    end if;

    perform pg_advisory_xact_lock(hashtext('pgq.ticker'), _queue_id);

    insert into pgq.tick as t (tick_queue, tick_id, tick_event_seq)
    values (_queue_id, nextval(_tick_seq::regclass), pgq.seq_getval(_event_seq))
    returning t.tick_id, t.tick_snapshot::text, t.tick_event_seq, t.tick_time, txid_current()
      into tick_id, tick_snapshot, event_seq, tick_time, tick_txid;

    perform pg_notify('londiste_tick_' || _queue_id::text, tick_id::text);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
