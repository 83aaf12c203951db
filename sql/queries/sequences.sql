-- Statements of londiste_lite/sequences.py.

-- name: existing
select k.place::int4
from rows from (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[]))
         with ordinality k (schema, name, place)
     join pg_catalog.pg_namespace n on n.nspname = k.schema
     join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = k.name and c.relkind = 'S'
order by 1

-- name: hold
-- Who ends a subscription waits for the transaction that sets the sequence, and nothing is set afterwards.
select k.place::int4, s.seqmin, s.seqmax
from rows from (pg_catalog.unnest(%(subscribed)s::text[]), pg_catalog.unnest(%(schemas)s::text[]),
                pg_catalog.unnest(%(names)s::text[])) with ordinality k (subscribed, schema, name, place)
     join londiste.subscriber_seq q on q.queue_name = %(queue)s and q.seq_name = k.subscribed
     left join pg_catalog.pg_namespace n on n.nspname = k.schema
     left join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = k.name and c.relkind = 'S'
     left join pg_catalog.pg_sequence s on s.seqrelid = c.oid
order by 1
for key share of q

-- name: set
select pg_catalog.setval(%(sequence)s::regclass, %(value)s, %(called)s)
