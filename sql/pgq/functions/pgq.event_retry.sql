create or replace function pgq.event_retry(x_batch_id bigint, x_event_id bigint, x_retry_time timestamptz)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.event_retry(3)
--
--      Lets one event of the open batch come back to this consumer later.
--
-- Parameters:  x_batch_id   - number of the open batch
--              x_event_id   - the event
--              x_retry_time - not before this
-- Returns:     1 - will come back, 0 - that was already so
-- Raises:      event not found
-- Locks taken: -
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
declare
    _queue  integer;
    _owner  integer;
    _ev     record;
begin
    select s.sub_queue, s.sub_id into _queue, _owner from pgq.subscription s where s.sub_batch = x_batch_id;
    if not found then
        raise exception 'event not found';
    end if;
    execute format('select * from (%s) ev where ev.ev_id = $1 limit 1', pgq.batch_event_sql(x_batch_id))
       into _ev
      using x_event_id;
    if _ev.ev_id is null then
        raise exception 'event not found';
    end if;

    insert into pgq.retry_queue (ev_retry_after, ev_queue, ev_id, ev_time, ev_txid, ev_owner, ev_retry,
                                 ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)
    values (x_retry_time, _queue, _ev.ev_id, _ev.ev_time, null, _owner, coalesce(_ev.ev_retry, 0) + 1,
            _ev.ev_type, _ev.ev_data, _ev.ev_extra1, _ev.ev_extra2, _ev.ev_extra3, _ev.ev_extra4)
    on conflict (ev_owner, ev_id) do nothing;
    return case when found then 1 else 0 end;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq.event_retry(x_batch_id bigint, x_event_id bigint, x_retry_seconds integer)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.event_retry(3)
--
--      Lets one event of the open batch come back to this consumer after some seconds.
--
-- Parameters:  x_batch_id      - number of the open batch
--              x_event_id      - the event
--              x_retry_seconds - not before so many seconds have passed
-- Returns:     1 - will come back, 0 - that was already so
-- Raises:      event not found
-- Locks taken: -
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    return pgq.event_retry(x_batch_id, x_event_id, now() + make_interval(secs => x_retry_seconds));
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
