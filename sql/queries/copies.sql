-- Statements of londiste_lite/copies.py: copies of tables under way, on the subscriber.

-- name: begin
insert into londiste.copy_job (queue_name, table_name, staging, files, total_rows, total_bytes)
values (%(queue)s, %(table)s, %(staging)s, %(files)s, %(rows)s, %(bytes)s)
on conflict (queue_name, table_name) do update
set staging = excluded.staging,
    files = excluded.files,
    total_rows = excluded.total_rows,
    total_bytes = excluded.total_bytes,
    copied_rows = 0,
    copied_bytes = 0,
    phase = 'copy',
    started = pg_catalog.now(),
    noted = pg_catalog.now()

-- name: add_ranges
insert into londiste.copy_range (queue_name, table_name, nr, source, condition, bytes)
select %(queue)s, %(table)s, r.nr, r.source, r.condition, r.bytes
from rows from (pg_catalog.unnest(%(sources)s::text[]), pg_catalog.unnest(%(conditions)s::text[]),
                pg_catalog.unnest(%(bytes)s::int8[])) with ordinality r (source, condition, bytes, nr)

-- name: job
select staging, files, total_rows, total_bytes
from londiste.copy_job
where queue_name = %(queue)s
  and table_name = %(table)s

-- name: under_way
select table_name, phase, copied_rows, copied_bytes, total_rows, total_bytes,
       extract(epoch from noted - started)::float8
from londiste.copy_job
where queue_name = %(queue)s

-- name: ranges
select nr, source, condition, bytes, done, copied_rows
from londiste.copy_range
where queue_name = %(queue)s
  and table_name = %(table)s
order by nr

-- name: range_done
update londiste.copy_range
set done = true,
    copied_rows = %(rows)s
where queue_name = %(queue)s
  and table_name = %(table)s
  and nr = %(nr)s
  and not done
returning nr

-- name: note
update londiste.copy_job
set copied_rows = %(rows)s,
    copied_bytes = %(bytes)s,
    phase = %(phase)s,
    noted = pg_catalog.clock_timestamp()
where queue_name = %(queue)s
  and table_name = %(table)s

-- name: ask
insert into londiste.copy_request (queue_name, table_name, truncate, condition)
values (%(queue)s, %(table)s, %(truncate)s, %(condition)s)
on conflict (queue_name, table_name) do update
set truncate = excluded.truncate,
    condition = case when copy_request.condition is not null and excluded.condition is not null
                     then pg_catalog.format('(%%s) or (%%s)', copy_request.condition, excluded.condition) end

-- name: requests
select table_name, truncate, condition
from londiste.copy_request
where queue_name = %(queue)s

-- name: end
with ranges as (
    delete from londiste.copy_range
    where queue_name = %(queue)s
      and table_name = any (%(tables)s)
), request as (
    -- One that was asked for while a part was copied stays.
    delete from londiste.copy_request
    where queue_name = %(queue)s
      and table_name = any (%(tables)s)
      and (%(part)s::text is null or condition = %(part)s)
)
delete from londiste.copy_job
where queue_name = %(queue)s
  and table_name = any (%(tables)s)
returning staging

-- name: leftovers
select c.oid::int8, n.nspname::text, c.relname::text
from pg_catalog.pg_class c
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'londiste'
  and c.relkind = 'r'
  and c.relname like 'copy\_of\_%%'
  and not exists (select from londiste.copy_job j where j.staging = c.relname)

-- name: rows_under_way
select p.pid, p.tuples_processed
from pg_catalog.pg_stat_progress_copy p
where p.pid = any (%(pids)s::int4[])
