-- Statements of londiste_lite/parked.py: events that could not be applied, and those of their keys that wait behind.

-- name: events
select table_name, key_text, left(ev_type, 1), event_id, sqlstate, message, parked
from londiste.parked_event
where queue_name = %(queue)s
  and (%(tables)s::text[] is null or table_name = any (%(tables)s::text[]))
  and (%(keys)s::text[] is null or key_text = any (%(keys)s::text[]))
order by table_name, event_id

-- name: keys
select distinct key_values
from londiste.parked_event
where queue_name = %(queue)s
  and table_name = %(table)s

-- name: lock
-- Who applies or discards parked events, and who lets events wait behind them, takes these rows first.
select t.table_name
from londiste.subscriber_table t
where t.queue_name = %(queue)s
  and t.table_name = any (%(tables)s::text[])
order by t.table_name
for no key update

-- name: drop
delete from londiste.parked_event
where queue_name = %(queue)s
  and table_name = %(table)s
  and (%(keys)s::text[] is null or key_text = any (%(keys)s::text[]))
returning key_text, event_id, left(ev_type, 1)

-- name: truncated
delete from londiste.parked_event
where queue_name = %(queue)s
  and table_name = %(table)s
  and event_id < %(event)s
