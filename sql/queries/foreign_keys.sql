-- Statements of londiste_lite/foreign_keys.py.

-- name: of_table
select fn.nspname::text, f.relname::text, tn.nspname::text, t.relname::text, k.conname::text,
       pg_catalog.pg_get_constraintdef(k.oid), k.convalidated
from pg_catalog.pg_constraint k
     join pg_catalog.pg_class f on f.oid = k.conrelid
     join pg_catalog.pg_namespace fn on fn.oid = f.relnamespace
     join pg_catalog.pg_class t on t.oid = k.confrelid
     join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
where k.contype = 'f'
  and k.conparentid = 0
  and ((fn.nspname = %(schema)s and f.relname = %(name)s) or (tn.nspname = %(schema)s and t.relname = %(name)s))
order by 1, 2, 5

-- name: remember
insert into londiste.subscriber_pending_fkeys (from_table, to_table, fkey_name, fkey_def)
values (%(from_table)s, %(to_table)s, %(fkey)s, %(definition)s)
on conflict (from_table, fkey_name) do nothing

-- name: pending
select from_table, to_table, fkey_name, fkey_def
from londiste.subscriber_pending_fkeys
order by from_table, fkey_name

-- name: forget
delete from londiste.subscriber_pending_fkeys
where from_table = %(from_table)s
  and fkey_name = %(fkey)s

-- name: exists
select k.convalidated
from pg_catalog.pg_constraint k
     join pg_catalog.pg_class f on f.oid = k.conrelid
     join pg_catalog.pg_namespace n on n.oid = f.relnamespace
where k.contype = 'f'
  and n.nspname = %(schema)s
  and f.relname = %(name)s
  and k.conname = %(fkey)s

-- name: active
with wanted as (
    select c.oid
      from rows from (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[])) k (schema, name)
      join pg_catalog.pg_namespace n on n.nspname = k.schema
      join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = k.name
)
select fn.nspname::text, f.relname::text, tn.nspname::text, t.relname::text, k.conname::text,
       pg_catalog.pg_get_constraintdef(k.oid)
from pg_catalog.pg_constraint k
     join pg_catalog.pg_class f on f.oid = k.conrelid
     join pg_catalog.pg_namespace fn on fn.oid = f.relnamespace
     join pg_catalog.pg_class t on t.oid = k.confrelid
     join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
where k.contype = 'f'
  and k.conparentid = 0
  and (k.conrelid in (select oid from wanted) or k.confrelid in (select oid from wanted))
order by 1, 2, 5

-- name: is_partitioned
select 1
from pg_catalog.pg_class c
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s
  and c.relname = %(name)s
  and c.relkind = 'p'

-- name: partitions
-- Those that hold rows and can have a foreign key of their own.
select pn.nspname::text, p.relname::text
from pg_catalog.pg_class c
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     cross join lateral pg_catalog.pg_partition_tree(c.oid) t
     join pg_catalog.pg_class p on p.oid = t.relid
     join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace
where n.nspname = %(schema)s
  and c.relname = %(name)s
  and p.relkind = 'r'
order by 1, 2
