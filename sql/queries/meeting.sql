-- Statements of londiste_lite/meeting.py.

-- name: call
insert into londiste.meeting as m (consumer_id, tick_id)
values (%(consumer)s, %(tick)s)
on conflict (consumer_id) do update
    set tick_id = excluded.tick_id

-- name: dismiss
delete from londiste.meeting
where consumer_id = %(consumer)s

-- name: tick
select m.tick_id
from londiste.meeting m
where m.consumer_id = %(consumer)s
  and exists (select from pg_catalog.pg_locks l
               where l.locktype = 'advisory'
                 and l.database = (select d.oid from pg_catalog.pg_database d
                                    where d.datname = pg_catalog.current_database())
                 and l.classid = %(class)s::int8::oid
                 and l.objid = (%(number)s::int8 & 4294967295)::oid
                 and l.objsubid = 2
                 and l.granted)
