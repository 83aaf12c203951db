create or replace function pgq.event_retry_raw(
    x_queue text, x_consumer text, x_retry_after timestamptz, x_ev_id bigint, x_ev_time timestamptz, x_ev_retry integer,
    x_ev_type text, x_ev_data text, x_ev_extra1 text, x_ev_extra2 text, x_ev_extra3 text, x_ev_extra4 text)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq.event_retry_raw(12)
--
--      Puts any event where events wait for retry.
--
-- Parameters:  x_queue, x_consumer - who is to see the event
--              x_retry_after       - not before this
--              x_ev_id             - null: a new number
--              x_ev_time, x_ev_retry, x_ev_type, x_ev_data, x_ev_extra1..4 - the event
-- Returns:     number of the event
-- Raises:      consumer not registered
-- Locks taken: -
-- Called by:   pgq_admin
-- ----------------------------------------------------------------------
declare
    _queue  integer;
    _owner  integer;
    _seq    text;
    _id     bigint := x_ev_id;
begin
    select s.sub_queue, s.sub_id, q.queue_event_seq
      into _queue, _owner, _seq
      from pgq.subscription s
      join pgq.queue q on q.queue_id = s.sub_queue
      join pgq.consumer c on c.co_id = s.sub_consumer
     where q.queue_name = x_queue and c.co_name = x_consumer;
    if not found then
        raise exception 'consumer not registered';
    end if;
    if _id is null then
        _id := nextval(_seq::regclass);
    end if;
    insert into pgq.retry_queue (ev_retry_after, ev_queue, ev_id, ev_time, ev_owner, ev_retry,
                                 ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)
    values (x_retry_after, _queue, _id, x_ev_time, _owner, x_ev_retry,
            x_ev_type, x_ev_data, x_ev_extra1, x_ev_extra2, x_ev_extra3, x_ev_extra4);
    return _id;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
