create or replace function pgq.batch_event_sql(x_batch_id bigint)
returns text as $$
-- ----------------------------------------------------------------------
-- Function: pgq.batch_event_sql(1)
--
--      Builds the query that returns the events of a batch: those of transactions that had ended at the batch's later
--      tick and had not at the earlier one.
--
--      Nearly all of them lie between the upper ends of the two snapshots. The others were in progress at the earlier
--      tick: those near the lower end of the range extend it, the rest is looked up one by one, so that a transaction
--      that was open for hours does not make the scan start hours back. All event tables of the queue are looked at,
--      by the index on ev_txid: also a writer that took the name of the current table before a rotation and used it
--      after it is read.
--
-- Parameters:  x_batch_id - number of the open batch
-- Returns:     text of the query
-- Raises:      batch not found
-- Locks taken: -
-- Called by:   pgq.get_batch_events, pgq.get_batch_cursor, pgq.event_retry, pgq.batch_retry
-- ----------------------------------------------------------------------
declare
    _near   constant integer := 100;    -- transactions; reading past so many others is cheaper than one more lookup
    _b      record;
    _from   bigint;
    _txid   bigint;
    _single bigint[] := '{}';
    _select text;
    _sql    text;
begin
    select s.sub_id, q.queue_data_pfx as pfx, prev.tick_snapshot as since, till.tick_snapshot as till
      into _b
      from pgq.subscription s
      join pgq.queue q on q.queue_id = s.sub_queue
      join pgq.tick prev on prev.tick_queue = s.sub_queue and prev.tick_id = s.sub_last_tick
      join pgq.tick till on till.tick_queue = s.sub_queue and till.tick_id = s.sub_next_tick
     where s.sub_batch = x_batch_id;
    if not found then
        raise exception 'batch not found';
    end if;

    _from := txid_snapshot_xmax(_b.since);
    for _txid in
        select x.txid
          from txid_snapshot_xip(_b.since) as x (txid)
         where txid_visible_in_snapshot(x.txid, _b.till)
         order by x.txid desc
    loop
        if _txid >= _from - _near and cardinality(_single) = 0 then
            _from := _txid;
        else
            _single := _txid || _single;
        end if;
    end loop;

    _select := format(
        'select ev_id, ev_time, ev_txid, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4'
        ' from %s where (ev_owner is null or ev_owner = %s)', _b.pfx, _b.sub_id);
    _sql := format(
        '%s and ev_txid >= %s and ev_txid < %s'
        ' and pg_catalog.txid_visible_in_snapshot(ev_txid, %L::pg_catalog.txid_snapshot)'
        ' and not pg_catalog.txid_visible_in_snapshot(ev_txid, %L::pg_catalog.txid_snapshot)',
        _select, _from, txid_snapshot_xmax(_b.till), _b.till, _b.since);
    if cardinality(_single) > 0 then
        _sql := format('%s union all %s and ev_txid = any (%L::pg_catalog.int8[])', _sql, _select, _single);
    end if;
    return _sql || ' order by 1';
end;
$$ language plpgsql set search_path = pg_catalog, pg_temp;
