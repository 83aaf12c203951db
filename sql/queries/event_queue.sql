-- Statements of londiste_lite/event_queue.py: the PgQ API as this program uses it, ours or the pgq extension's.

-- name: create_queue
select pgq.create_queue(%(queue)s)

-- name: configure_queue
select pgq.set_queue_config(%(queue)s, %(parameter)s, %(value)s)

-- name: queue
select queue_id, queue_data_pfx, queue_event_seq, queue_external_ticker
from pgq.queue
where queue_name = %(queue)s

-- name: queue_names
select queue_name from pgq.queue order by queue_id

-- name: register
select pgq.register_consumer(%(queue)s, %(consumer)s)

-- name: register_at
select pgq.register_consumer_at(%(queue)s, %(consumer)s, %(tick)s)

-- name: unregister
select pgq.unregister_consumer(%(queue)s, %(consumer)s)

-- name: position
select s.sub_last_tick
from pgq.subscription s
     join pgq.queue q on q.queue_id = s.sub_queue
     join pgq.consumer c on c.co_id = s.sub_consumer
where q.queue_name = %(queue)s
  and c.co_name = %(consumer)s

-- name: consumers
select c.co_name, s.sub_last_tick
from pgq.subscription s
     join pgq.queue q on q.queue_id = s.sub_queue
     join pgq.consumer c on c.co_id = s.sub_consumer
where q.queue_name = %(queue)s
order by c.co_name

-- name: tick
select tick_id, tick_snapshot::text, tick_event_seq, tick_time
from pgq.tick
where tick_queue = %(queue_id)s
  and tick_id = %(tick)s

-- name: last_tick
select tick_id, tick_snapshot::text, tick_event_seq, tick_time
from pgq.tick
where tick_queue = %(queue_id)s
order by tick_id desc
limit 1

-- name: tick_age
select extract(epoch from pg_catalog.clock_timestamp() - tick_time)::float8
from pgq.tick
where tick_queue = %(queue_id)s
order by tick_id desc
limit 1

-- name: size
select coalesce(sum(pg_catalog.pg_total_relation_size(i.inhrelid)), 0)::int8
from pgq.queue q
     join pg_catalog.pg_inherits i on i.inhparent = pg_catalog.to_regclass(q.queue_data_pfx)
where q.queue_id = %(queue_id)s

-- name: consumer_lags
-- A consumer that stands at the newest tick waits for nothing, however old that is.
select c.co_name,
       case when t.tick_id = newest.tick_id then 0
            else extract(epoch from pg_catalog.clock_timestamp() - t.tick_time) end::float8,
       newest.tick_event_seq - t.tick_event_seq
from pgq.subscription s
     join pgq.consumer c on c.co_id = s.sub_consumer
     join pgq.tick t on t.tick_queue = s.sub_queue and t.tick_id = s.sub_last_tick
     cross join lateral (
         select n.tick_id, n.tick_event_seq
           from pgq.tick n
          where n.tick_queue = s.sub_queue
          order by n.tick_id desc
          limit 1
     ) newest
where s.sub_queue = %(queue_id)s
order by c.co_name

-- name: ticks_after
select tick_id, tick_snapshot::text, tick_event_seq, tick_time
from pgq.tick
where tick_queue = %(queue_id)s
  and tick_id > %(tick)s
  and pg_catalog.txid_snapshot_xmax(tick_snapshot) >= %(xmax)s
order by tick_id
limit %(most)s

-- name: first_tick_with
select tick_id, tick_time
from pgq.tick
where tick_queue = %(queue_id)s
  and pg_catalog.txid_visible_in_snapshot(%(txid)s, tick_snapshot)
order by tick_id
limit 1

-- name: make_tick
select tick_id, tick_snapshot, event_seq, tick_time, tick_txid
from londiste.tick(%(queue)s)

-- name: event_sequence
select pgq.seq_getval(%(sequence)s)

-- name: has_tick_function
select pg_catalog.to_regprocedure('londiste.tick(text)') is not null

-- name: lock_ticks
select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('pgq.ticker'), q.queue_id)
from pgq.queue q
where q.queue_name = %(queue)s

-- name: keep_ticks
select pg_catalog.pg_advisory_lock(pg_catalog.hashtext('pgq.ticker'), %(queue_id)s)

-- name: free_ticks
select pg_catalog.pg_advisory_unlock(pg_catalog.hashtext('pgq.ticker'), %(queue_id)s)

-- name: make_plain_tick
with made as (
    insert into pgq.tick as t (tick_queue, tick_id, tick_event_seq)
    select q.queue_id, pg_catalog.nextval(q.queue_tick_seq::pg_catalog.regclass), pgq.seq_getval(q.queue_event_seq)
    from pgq.queue q
    where q.queue_name = %(queue)s
      and not q.queue_external_ticker
    returning t.tick_queue, t.tick_id, t.tick_snapshot, t.tick_event_seq, t.tick_time
)
select m.tick_id, m.tick_snapshot::text, m.tick_event_seq, m.tick_time, pg_catalog.txid_current(),
       pg_catalog.pg_notify(pg_catalog.concat('londiste_tick_', m.tick_queue), m.tick_id::text)
from made m

-- name: may_maintain
select pg_catalog.has_function_privilege('pgq.maint_rotate_tables_step1(text)', 'execute')
       and pg_catalog.has_any_column_privilege('pgq.queue', 'update')
       and pg_catalog.has_table_privilege('pgq.tick', 'delete')
       and coalesce(pg_catalog.has_function_privilege(pg_catalog.to_regprocedure('londiste.tick(text)'), 'execute'),
                    pg_catalog.has_table_privilege('pgq.tick', 'insert'))
