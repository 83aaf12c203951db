create or replace function pgq.batch_retry(i_batch_id bigint, i_retry_seconds integer)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.batch_retry(2)
--
--      Lets all events of the open batch come back to this consumer after some seconds.
--
-- Parameters:  i_batch_id      - number of the open batch
--              i_retry_seconds - not before so many seconds have passed
-- Returns:     number of events that will come back and did not before this call
-- Raises:      batch_retry: batch N not found
-- Locks taken: -
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
declare
    _queue  integer;
    _owner  integer;
    _count  integer;
begin
    select s.sub_queue, s.sub_id into _queue, _owner from pgq.subscription s where s.sub_batch = i_batch_id;
    if not found then
        raise exception 'batch_retry: batch % not found', i_batch_id;
    end if;
    execute format(
        'insert into pgq.retry_queue (ev_retry_after, ev_queue, ev_id, ev_time, ev_txid, ev_owner, ev_retry,'
        ' ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)'
        ' select $1, $2, ev_id, ev_time, null, $3, coalesce(ev_retry, 0) + 1,'
        ' ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4 from (%s) ev'
        ' on conflict (ev_owner, ev_id) do nothing', pgq.batch_event_sql(i_batch_id))
      using now() + make_interval(secs => i_retry_seconds), _queue, _owner;
    get diagnostics _count = row_count;
    return _count;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
