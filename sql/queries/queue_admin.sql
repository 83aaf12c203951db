-- Statements of londiste_lite/queue_admin.py: what the queue commands show and change. Times are seconds.

-- name: versions
select pg_catalog.current_setting('server_version'), pgq.version()

-- name: queues
select queue_name, queue_ntables, queue_cur_table,
       extract(epoch from queue_rotation_period)::float8,
       queue_ticker_max_count,
       extract(epoch from queue_ticker_max_lag)::float8,
       extract(epoch from queue_ticker_idle_period)::float8,
       queue_external_ticker, queue_ticker_paused,
       extract(epoch from ticker_lag)::float8,
       ev_per_sec, ev_new, last_tick_id
from pgq.get_queue_info()
order by queue_name

-- name: consumers
select queue_name, consumer_name,
       extract(epoch from lag)::float8,
       extract(epoch from last_seen)::float8,
       last_tick, pending_events
from pgq.get_consumer_info()
order by queue_name, consumer_name

-- name: capturing
select pg_catalog.format('%%I.%%I', n.nspname, c.relname)
from pg_catalog.pg_trigger t
     join pg_catalog.pg_class c on c.oid = t.tgrelid
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     join pgq.queue q on q.queue_name = %(queue)s
where not t.tgisinternal
  and not c.relispartition
  and t.tgname = pg_catalog.format('_londiste_%%s_insert', q.queue_id)
order by 1

-- name: drop_queue
select pgq.drop_queue(%(queue)s, %(force)s)

-- name: set_config
select pgq.set_queue_config(%(queue)s, %(parameter)s, %(value)s)

-- name: seconds
select extract(epoch from %(value)s::interval)::float8
