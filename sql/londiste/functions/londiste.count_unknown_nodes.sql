create or replace function londiste.count_unknown_nodes(i_queue_name text)
returns int4 as $$
-- ----------------------------------------------------------------------
-- Function: londiste.count_unknown_nodes(1)
--
--      Adds what londiste.find_unknown_nodes finds since the last time to londiste.unknown_node, before rotation throws
--      the events away.
--
-- Parameters:  i_queue_name - the queue
-- Returns:     how many pairs of table and node were counted
-- Raises:      nothing
-- Locks taken: the queue's row in londiste.unknown_node_counted
-- Called by:   the ticker's maintenance
-- ----------------------------------------------------------------------
declare
    _since      text;
    _till       text;
    _counted    int4;
begin
    if not exists (select from londiste.provider_table t
                    where t.queue_name = i_queue_name and (t.node_column is not null or t.node_rule is not null)) then
        return 0;
    end if;
    select c.snapshot into _since from londiste.unknown_node_counted c where c.queue_name = i_queue_name for update;
    _till := txid_current_snapshot()::text;
    insert into londiste.unknown_node as u (queue_name, table_name, node_name, events, last_seen)
    select i_queue_name, f.table_name, f.node_name, f.events, f.last_seen
      from londiste.find_unknown_nodes(i_queue_name, _since, _till) f
        on conflict (queue_name, table_name, node_name) do update
       set events = u.events + excluded.events, last_seen = excluded.last_seen;
    get diagnostics _counted = row_count;
    insert into londiste.unknown_node_counted as c (queue_name, snapshot)
    values (i_queue_name, _till)
        on conflict (queue_name) do update set snapshot = excluded.snapshot;
    return _counted;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
