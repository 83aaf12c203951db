create or replace function londiste.event_tables(
    in i_queue_name text, out event_table regclass, out name text, out indexed boolean)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: londiste.event_tables(1)
--
--      Lists the event tables of a queue, and which have the index by which a node finds its events.
--
-- Parameters:  i_queue_name - the queue
-- Returns:     table, its name, whether there is a usable index on (coalesce(ev_extra3, ''), ev_txid)
-- Raises:      nothing
-- Locks taken: none
-- Called by:   replay, londiste.index_targets, londiste.find_unknown_nodes
-- ----------------------------------------------------------------------
    select c.oid::regclass, c.relname::text,
           exists (select from pg_index x
                    where x.indrelid = c.oid and x.indisvalid and x.indpred is null
                      and pg_get_indexdef(x.indexrelid) like '%(COALESCE(ev_extra3, ''''::text), ev_txid)')
      from pgq.queue q
      join pg_inherits i on i.inhparent = to_regclass(q.queue_data_pfx)
      join pg_class c on c.oid = i.inhrelid
     where q.queue_name = i_queue_name
     order by c.relname;
$$ language sql stable set search_path = pg_catalog, pg_temp;
