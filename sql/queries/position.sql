-- Statements of londiste_lite/replay/position.py: the last applied tick, on the subscriber.

-- name: stored
select last_tick_id
from londiste.completed
where consumer_id = %(consumer)s

-- name: lock
select last_tick_id
from londiste.completed
where consumer_id = %(consumer)s
for update

-- name: store
insert into londiste.completed as c (consumer_id, last_tick_id, queue_name, applied, tick_time)
values (%(consumer)s, %(tick)s, %(queue)s, pg_catalog.clock_timestamp(), %(tick_time)s)
on conflict (consumer_id) do update
    set last_tick_id = excluded.last_tick_id,
        queue_name = excluded.queue_name,
        applied = excluded.applied,
        tick_time = excluded.tick_time,
        last_error = null,
        last_error_time = null

-- name: forget
delete from londiste.completed
where consumer_id = %(consumer)s
returning last_tick_id

-- name: set_error
update londiste.completed
set last_error = %(error)s,
    last_error_time = pg_catalog.clock_timestamp()
where consumer_id = %(consumer)s

-- name: status
select last_tick_id, applied, tick_time, last_error, last_error_time
from londiste.completed
where consumer_id = %(consumer)s
