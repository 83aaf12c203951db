-- Statements of londiste_lite/sequences.py.

-- name: existing
select k.place::int4
from rows from (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[]))
         with ordinality k (schema, name, place)
     join pg_catalog.pg_namespace n on n.nspname = k.schema
     join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = k.name and c.relkind = 'S'
order by 1

-- name: limits
select k.place::int4, s.seqmin, s.seqmax
from rows from (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[]))
          with ordinality k (schema, name, place)
     join pg_catalog.pg_namespace n on n.nspname = k.schema
     join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = k.name and c.relkind = 'S'
     join pg_catalog.pg_sequence s on s.seqrelid = c.oid
order by 1

-- name: set
select pg_catalog.setval(%(sequence)s::regclass, %(value)s, %(called)s)
