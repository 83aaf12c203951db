-- Statements of londiste_lite/scripts.py: scripts that run at one place of the stream on both sides.

-- name: publish
with event as (
    select pgq.insert_event(%(queue)s, 'EXECUTE', %(script)s, %(name)s, pg_catalog.txid_current()::text, null, null) as id
)
insert into londiste.provider_script (queue_name, txid, event_id, script_name)
select %(queue)s, pg_catalog.txid_current(), event.id, %(name)s
from event
returning event_id

-- name: between
select s.txid
from londiste.provider_script s
where s.queue_name = %(queue)s
  and s.txid >= %(low)s
  and s.txid < %(high)s

-- name: restart_copies
update londiste.subscriber_table
set merge_state = null,
    snapshot = null,
    error = null,
    held_reason = null,
    held_oid = null
where queue_name = %(queue)s
  and ((merge_state is distinct from 'ok' and table_name <> all (%(kept)s::text[]))
       or (snapshot is not null
           and pg_catalog.txid_visible_in_snapshot(%(txid)s, snapshot::pg_catalog.txid_snapshot)))
  and merge_state is not null
returning table_name

-- name: rows_changed
select pg_catalog.current_setting('track_counts') <> 'on'
       or exists (
           select 1
           from pg_catalog.pg_class c
                join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                cross join lateral (select c.oid
                                    union
                                    select relid::pg_catalog.oid from pg_catalog.pg_partition_tree(c.oid)) r (part)
           where n.nspname = %(schema)s
             and c.relname = %(name)s
             and pg_catalog.pg_stat_get_xact_tuples_inserted(r.part)
                 + pg_catalog.pg_stat_get_xact_tuples_updated(r.part)
                 + pg_catalog.pg_stat_get_xact_tuples_deleted(r.part) > 0)
