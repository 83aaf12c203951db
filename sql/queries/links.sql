-- Statements of londiste_lite/links.py and of the modules beside it: flows of events between queues and functions.

-- name: last_tick
select pgq_ext.get_last_tick(%(consumer)s)

-- name: set_last_tick
select pgq_ext.set_last_tick(%(consumer)s, %(tick)s)

-- name: has_schema
select pg_catalog.to_regprocedure(%(function)s) is not null

-- name: writable_table
select pgq.current_event_table(%(queue)s)
