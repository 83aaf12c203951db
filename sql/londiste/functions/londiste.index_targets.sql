create or replace function londiste.index_targets(i_queue_name text)
returns int4 as $$
-- ----------------------------------------------------------------------
-- Function: londiste.index_targets(1)
--
--      Gives the event tables of a queue with routed tables the index by which a node finds its events. An index costs
--      every captured row, so queues without routes have none.
--
--      A table that is large or in use is left for the next time: building the index keeps writers out, and rotation
--      empties each table soon.
--
-- Parameters:  i_queue_name - the queue
-- Returns:     how many event tables still lack the index
-- Raises:      nothing
-- Locks taken: SHARE on each event table that lacks the index, waited for no longer than half a second
-- Called by:   provider add, the ticker's maintenance
-- ----------------------------------------------------------------------
declare
    _table      record;
    _missing    int4 := 0;
begin
    if not exists (select from londiste.provider_table t
                    where t.queue_name = i_queue_name and (t.node_column is not null or t.node_rule is not null)) then
        return 0;
    end if;
    for _table in select t.event_table, t.name from londiste.event_tables(i_queue_name) t where not t.indexed loop
        if pg_relation_size(_table.event_table) > 64 * 1024 * 1024 then
            _missing := _missing + 1;
            continue;
        end if;
        begin
            execute format('create index %I on %s (coalesce(ev_extra3, ''''), ev_txid)', _table.name || '_node_idx', _table.event_table);
        exception
            when lock_not_available or insufficient_privilege then
                _missing := _missing + 1;
        end;
    end loop;
    return _missing;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '500ms';
