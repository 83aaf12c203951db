-- Statements of londiste_lite/conflicts.py: row states that replay did not expect.

-- name: store
-- Nothing is stored for a table that was removed meanwhile.
insert into londiste.conflict as c (queue_name, table_name, kind, events, last_keys)
select t.queue_name, t.table_name, %(kind)s, %(count)s, %(keys)s::text[]
from londiste.subscriber_table t
where t.queue_name = %(queue)s
  and t.table_name = %(table)s
on conflict (queue_name, table_name, kind) do update
set events = c.events + excluded.events,
    last_keys = (excluded.last_keys || array(
        select k.key
        from pg_catalog.unnest(c.last_keys) with ordinality k (key, nr)
        where k.key <> all (excluded.last_keys)
        order by k.nr))[1:%(most)s],
    last_seen = excluded.last_seen

-- name: by_table
select table_name, kind, events, last_keys, last_seen
from londiste.conflict
where queue_name = %(queue)s
order by table_name, pg_catalog.array_position(array['insert', 'update', 'delete'], kind)
