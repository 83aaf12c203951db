-- Statements of londiste_lite/tablecopy/plan.py: how a table is stored on the provider, and what its columns hold.

-- name: pieces
-- The tables that hold the rows: a table itself, or what a partitioned one has at its leaves.
with leaf as (
    select coalesce(t.relid, %(oid)s::pg_catalog.oid)::pg_catalog.oid as oid
      from (select) one
           left join pg_catalog.pg_partition_tree(%(oid)s::pg_catalog.oid) t on t.isleaf
)
select n.nspname::text,
       c.relname::text,
       c.relkind::text,
       coalesce(am.amname = 'heap', false),
       case when c.relkind in ('r', 'm') then pg_catalog.pg_relation_size(c.oid) else 0 end::int8,
       pg_catalog.current_setting('block_size')::int4,
       c.reltuples::float8,
       case when c.relkind in ('r', 'm') then pg_catalog.pg_table_size(c.oid) else 0 end::int8,
       c.oid::text || '/' || coalesce(pg_catalog.pg_relation_filenode(c.oid), 0)::text
from leaf
     join pg_catalog.pg_class c on c.oid = leaf.oid
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     left join pg_catalog.pg_am am on am.oid = c.relam
order by 1, 2

-- name: sizes
-- What tables take with their partitions, without indexes, in bytes.
select r.oid::int8,
       coalesce((select pg_catalog.sum(pg_catalog.pg_table_size(p.relid))
                   from pg_catalog.pg_partition_tree(r.oid) p),
                pg_catalog.pg_table_size(r.oid), 0)::int8
from pg_catalog.unnest(%(oids)s::pg_catalog.oid[]) r (oid)

-- name: bounds
select s.histogram_bounds::text::text[]
from pg_catalog.pg_stats s
where s.schemaname = %(schema)s
  and s.tablename = %(name)s
  and s.attname = %(column)s

-- name: formats
-- What COPY in binary form would send of each column: the type behind domains and arrays, and whether it is one whose
-- binary form says nothing of the server it comes from. An array sends the number of its elements' type, which is not
-- `fixed` for a domain.
with recursive column_type as (
    select a.attrelid as relation, a.attname::text as name, a.atttypid as oid, a.atttypid as type, false as nested,
           true as fixed
      from pg_catalog.pg_attribute a
     where a.attrelid = any (%(oids)s::pg_catalog.oid[])
       and a.attnum > 0
       and not a.attisdropped
     union all
    select c.relation, c.name, c.oid, case when t.typtype = 'd' then t.typbasetype else t.typelem end,
           c.nested or t.typtype <> 'd',
           c.fixed and (t.typtype <> 'd' or not c.nested)
      from column_type c
           join pg_catalog.pg_type t on t.oid = c.type
     where t.typtype = 'd'
        or (t.typcategory = 'A' and t.typelem <> 0)
)
select c.relation::int8,
       c.name,
       pg_catalog.format_type(c.oid, null),
       t.typtype::text,
       t.typname::text,
       n.nspname = 'pg_catalog',
       c.nested,
       c.fixed
from column_type c
     join pg_catalog.pg_type t on t.oid = c.type
     join pg_catalog.pg_namespace n on n.oid = t.typnamespace
where t.typtype <> 'd'
  and (t.typcategory <> 'A' or t.typelem = 0)
order by 1, 2
