create or replace function londiste.park_behind(
    out queue_name text, out consumer_name text, out reason text)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: londiste.park_behind(0)
--
--      Parks the subscribers that are further behind than they said they may be: their claims on the queue are
--      released, so that rotation goes on without them, and noted in londiste.provider_subscriber. When such a
--      subscriber comes back it copies its tables anew, unless the queue still has all that it missed.
--
-- Parameters:  -
-- Returns:     whom it parked, and why
-- Raises:      nothing
-- Locks taken: the subscriptions' rows; one that somebody else holds is passed over
-- Called by:   the ticker
-- ----------------------------------------------------------------------
declare
    _one    record;
begin
    for _one in
        select q.queue_name, c.co_name, w.tick_event_seq - a.tick_event_seq as events, p.park_events,
               g.age, p.park_seconds
          from londiste.provider_subscriber p
          join pgq.queue q on q.queue_name = p.queue_name
          join pgq.consumer c on c.co_name = p.consumer_name
          join pgq.subscription s on s.sub_queue = q.queue_id and s.sub_consumer = c.co_id
          join pgq.tick a on a.tick_queue = s.sub_queue and a.tick_id = s.sub_last_tick
         cross join lateral (
                select t.tick_event_seq from pgq.tick t
                 where t.tick_queue = s.sub_queue order by t.tick_id desc limit 1) w
         cross join lateral (
                select t.tick_time from pgq.tick t
                 where t.tick_queue = s.sub_queue and t.tick_id > s.sub_last_tick order by t.tick_id limit 1) n
         -- A clock that jumps must park nobody: what lies between two ticks counts as no more than an idle ticker takes.
         cross join lateral (
                select case when extract(epoch from clock_timestamp() - n.tick_time) > p.park_seconds then (
                       select sum(least(greatest(extract(epoch from l.gap), 0),
                                        greatest(300, 2 * extract(epoch from q.queue_ticker_idle_period))))
                         from (select coalesce(lead(t.tick_time) over (order by t.tick_id), clock_timestamp())
                                      - t.tick_time as gap
                                 from pgq.tick t
                                where t.tick_queue = s.sub_queue and t.tick_id > s.sub_last_tick) l)
                       end as age) g
         where w.tick_event_seq - a.tick_event_seq > p.park_events
            or g.age > p.park_seconds
           for update of s skip locked
    loop
        queue_name := _one.queue_name;
        consumer_name := _one.co_name;
        reason := case when _one.events > _one.park_events
            then format('%s events behind, more than %s', _one.events, _one.park_events)
            else format('%s seconds behind, more than %s', floor(_one.age), floor(_one.park_seconds)) end;
        perform pgq.unregister_consumer(queue_name, consumer_name);
        perform pgq.unregister_consumer(queue_name, consumer_name || '_copy');
        update londiste.provider_subscriber p
           set parked = now(), parked_reason = park_behind.reason
         where p.queue_name = park_behind.queue_name and p.consumer_name = park_behind.consumer_name;
        return next;
    end loop;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
