-- Statements of londiste_lite/claims.py: who reads a queue, on the provider.

-- name: find
select node_name, parked, parked_reason
from londiste.provider_subscriber
where queue_name = %(queue)s
  and consumer_name = %(consumer)s

-- name: announce
insert into londiste.provider_subscriber as p
       (queue_name, consumer_name, node_name, park_events, park_seconds)
values (%(queue)s, %(consumer)s, %(node)s, %(park_events)s, %(park_seconds)s)
on conflict (queue_name, consumer_name) do update
    set node_name = excluded.node_name,
        park_events = excluded.park_events,
        park_seconds = excluded.park_seconds,
        seen = pg_catalog.now(),
        parked = null,
        parked_reason = null

-- name: known_now
delete from londiste.unknown_node
where queue_name = %(queue)s
  and node_name = %(node)s

-- name: forget
delete from londiste.provider_subscriber
where queue_name = %(queue)s
  and consumer_name = %(consumer)s

-- name: unknown_nodes
select u.table_name, u.node_name, pg_catalog.sum(u.events)::int8, pg_catalog.max(u.last_seen)
from (select k.table_name, k.node_name, k.events, k.last_seen
      from londiste.unknown_node k
      where k.queue_name = %(queue)s
      union all
      select f.table_name, f.node_name, f.events, f.last_seen
      from londiste.find_unknown_nodes(
               %(queue)s,
               (select c.snapshot from londiste.unknown_node_counted c where c.queue_name = %(queue)s),
               pg_catalog.txid_current_snapshot()::text) f) u
group by u.table_name, u.node_name
order by u.table_name, u.node_name

-- name: has_routes
select exists (select from londiste.provider_table
               where queue_name = %(queue)s and (node_column is not null or node_rule is not null))

-- name: all_indexed
select pg_catalog.bool_and(t.indexed)
from londiste.event_tables(%(queue)s) t

-- name: installed
select pg_catalog.to_regprocedure('londiste.park_behind()') is not null

-- name: park_behind
select queue_name, consumer_name, reason
from londiste.park_behind()

-- name: count_unknown_nodes
select londiste.count_unknown_nodes(%(queue)s)

-- name: index_targets
select londiste.index_targets(%(queue)s)
