-- Statements of londiste_lite/pull.py: calling a function for each event of a node.

-- name: functions
select n.nspname, p.proname, pg_catalog.format_type(p.proargtypes[0], null),
       pg_catalog.format_type(p.proargtypes[1], null)
from pg_catalog.pg_proc p
     join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where p.proname = %(name)s
  and p.pronargs = 2
  and p.prokind = 'f'
  and (n.nspname = %(schema)s or (%(schema)s::text is null and pg_catalog.pg_function_is_visible(p.oid)))
order by p.proargtypes[0] = 'text'::pg_catalog.regtype and p.proargtypes[1] = 'text'::pg_catalog.regtype desc, p.oid

-- name: parked
select event_id, ev_type, tries
from londiste.parked_pull
where consumer_id = %(consumer)s
  and next_try <= pg_catalog.clock_timestamp()
order by event_id
limit 100

-- name: tried_in_vain
update londiste.parked_pull
set tries = tries + 1,
    error = %(error)s,
    next_try = pg_catalog.clock_timestamp() + least(10 * 2 ^ least(tries, 20), 3600) * interval '1 second'
where consumer_id = %(consumer)s
  and event_id = %(event)s

-- name: settled
delete from londiste.parked_pull
where consumer_id = %(consumer)s
  and event_id = %(event)s
