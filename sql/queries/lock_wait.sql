-- Statements of londiste_lite/lock_wait.py.

-- name: blockers
-- Of other roles' sessions the server may hide everything but number, application and role.
select a.pid, a.application_name, a.usename::text, a.client_addr::text, coalesce(a.xact_start, a.backend_start)
from pg_catalog.unnest(pg_catalog.pg_blocking_pids(%(pid)s)) b (pid)
     join pg_catalog.pg_stat_activity a on a.pid = b.pid
order by 5, 1
