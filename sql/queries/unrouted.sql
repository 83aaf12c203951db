-- Statements of londiste_lite/unrouted.py: rows that cannot be routed, on the provider.

-- name: listed
select t.table_name, t.total, t.row_key, t.error, t.noted
from (select u.table_name, u.row_key, u.error, u.noted,
             pg_catalog.count(*) over (partition by u.table_name) as total,
             pg_catalog.row_number() over (partition by u.table_name order by u.noted desc, u.row_key) as nr
      from londiste.unrouted_row u
      where u.queue_name = %(queue)s) t
where t.nr <= %(most)s
order by t.table_name, t.nr

-- name: there_are
select exists (select from londiste.unrouted_row where queue_name = %(queue)s and table_name = %(table)s)

-- name: forget
delete from londiste.unrouted_row
where queue_name = %(queue)s
  and table_name = %(table)s
