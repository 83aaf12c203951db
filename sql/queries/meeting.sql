-- Statements of londiste_lite/meeting.py.

-- name: call
insert into londiste.meeting as m (consumer_id, tick_id)
values (%(consumer)s, %(tick)s)
on conflict (consumer_id) do update
    set tick_id = excluded.tick_id

-- name: dismiss
delete from londiste.meeting
where consumer_id = %(consumer)s
