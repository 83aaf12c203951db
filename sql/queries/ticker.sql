-- Statements of londiste_lite/ticker.py.

-- name: queues
select q.queue_id, q.queue_name, q.queue_event_seq, q.queue_ticker_max_count,
       extract(epoch from q.queue_ticker_max_lag)::float8,
       extract(epoch from q.queue_ticker_idle_period)::float8
from pgq.queue q
where not q.queue_external_ticker
  and not q.queue_ticker_paused
order by q.queue_id

-- name: last_tick
select t.tick_event_seq, t.tick_snapshot::text
from pgq.tick t
where t.tick_queue = %(queue_id)s
order by t.tick_id desc
limit 1

-- name: may_wait
select coalesce(pg_catalog.has_function_privilege(
    pg_catalog.to_regprocedure('londiste.wait_for_events(int4[], int8[], float8, float8)'), 'execute'), false)

-- name: wait_for_events
select londiste.wait_for_events(%(queues)s, %(values)s, %(pace)s, %(seconds)s)

-- name: operations
select func_name, func_arg
from pgq.maint_operations()

-- name: retry_events
select pgq.maint_retry_events()

-- name: try_lock
select pg_catalog.pg_try_advisory_lock(%(class)s, %(number)s)

-- name: wait_lock
select pg_catalog.pg_advisory_xact_lock(%(class)s, %(number)s)

-- name: unlock
select pg_catalog.pg_advisory_unlock(%(class)s, %(number)s)

-- name: lock_holder
select a.pid, a.application_name, a.usename::text, a.client_addr::text, a.backend_start
from pg_catalog.pg_locks l
     join pg_catalog.pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory'
  and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
  and l.classid = %(class)s::int8::oid
  and l.objid = (%(number)s::int8 & 4294967295)::oid
  and l.objsubid = 2
  and l.granted
