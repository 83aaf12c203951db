create or replace function londiste.wait_for_events(
    i_queue_ids int4[],
    i_values int8[],
    i_pace float8,
    i_seconds float8)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: londiste.wait_for_events(4)
--
--      Waits until somebody takes a number from the event sequence of one of these queues. Looking from inside costs
--      a hundredth of what a look over the connection costs, so it can be done far more often.
--
-- Parameters:  i_queue_ids - the queues
--              i_values - the value of each one's event sequence that is known already
--              i_pace - seconds between two looks
--              i_seconds - the longest wait
-- Returns:     true when a sequence has another value, or a queue is not there; false after the longest wait
-- Raises:      nothing
-- Locks taken: none
-- Called by:   ticker
-- ----------------------------------------------------------------------
declare
    _sequences oid[];
begin
    select array_agg(to_regclass(q.queue_event_seq)::oid order by k.place)
      into _sequences
      from unnest(i_queue_ids) with ordinality k (id, place)
           left join pgq.queue q on q.queue_id = k.id;
    -- Looks are counted: a clock may be set back meanwhile.
    for _look in 0 .. ceil(i_seconds / i_pace)::int4 loop
        for n in 1 .. cardinality(i_queue_ids) loop
            -- A sequence that was never used has no last value.
            if coalesce(pg_sequence_last_value(_sequences[n]), 0) <> i_values[n] or _sequences[n] is null then
                return true;
            end if;
        end loop;
        perform pg_sleep(i_pace);
    end loop;
    return false;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
