create or replace function londiste.find_unknown_nodes(
    in i_queue_name text, in i_since text, in i_till text,
    out table_name text, out node_name text, out events int8, out last_seen timestamptz)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: londiste.find_unknown_nodes(3)
--
--      Counts the events of a queue that name a node which no subscriber is called. Capture does not look; this reads
--      the targets from their index, one step per target, and then only the events of unknown ones.
--
-- Parameters:  i_queue_name - the queue
--              i_since      - snapshot (text form) from which on events are counted, null: all that are there
--              i_till       - snapshot that sees what is counted
-- Returns:     per table and target how many events, and when the last one was captured
-- Raises:      nothing
-- Locks taken: none
-- Called by:   status, londiste.count_unknown_nodes
-- ----------------------------------------------------------------------
declare
    _events     regclass;
    _targets    text[] := '{}';
    _unknown    text[];
    _target     text;
begin
    select to_regclass(q.queue_data_pfx) into _events from pgq.queue q where q.queue_name = i_queue_name;
    if _events is null then
        return;
    end if;
    if exists (select from londiste.event_tables(i_queue_name) t where not t.indexed) then
        execute format('select array_agg(distinct e.ev_extra3) from %s e where e.ev_extra3 is not null', _events)
           into _targets;
    else
        _target := '';
        while _target is not null loop
            _targets := _targets || _target;
            execute format(
                'select coalesce(e.ev_extra3, %1$L) from %2$s e where coalesce(e.ev_extra3, %1$L) > $1 order by 1 limit 1',
                '', _events)
               into _target using _target;
        end loop;
    end if;
    select coalesce(array_agg(t.name), '{}')
      into _unknown
      from unnest(_targets) t (name)
     where not exists (select from londiste.provider_subscriber p
                        where p.queue_name = i_queue_name and p.node_name = t.name)
       and t.name <> ' unrouted';  -- those are listed in londiste.unrouted_row
    if _unknown = '{}' then
        return;
    end if;
    return query execute format(
        'select e.ev_extra1, e.ev_extra3, count(*), max(e.ev_time)
           from %s e
          where coalesce(e.ev_extra3, %L) = any ($1) and e.ev_extra3 is not null and e.ev_owner is null and txid_visible_in_snapshot(e.ev_txid, $3)
            and ($2 is null or not txid_visible_in_snapshot(e.ev_txid, $2))
          group by e.ev_extra1, e.ev_extra3
          order by e.ev_extra1, e.ev_extra3', _events, '')
        using _unknown, i_since::txid_snapshot, i_till::txid_snapshot;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
