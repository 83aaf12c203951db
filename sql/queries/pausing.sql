-- Statements of londiste_lite/pausing.py.

-- name: pause
insert into londiste.paused (consumer_id, paused_by)
values (%(consumer)s, session_user)
on conflict (consumer_id) do nothing
returning consumer_id

-- name: resume
delete from londiste.paused
where consumer_id = %(consumer)s
returning consumer_id

-- name: paused
select paused_since, paused_by
from londiste.paused
where consumer_id = %(consumer)s
