-- Statements of londiste_lite/structure.py: what the catalogue says of tables and sequences.

-- name: tables
select w.place::int4,
       c.oid::int8,
       c.relkind::text,
       c.relpersistence::text,
       (select pg_catalog.array_agg(a.attname::text order by k.place)
          from pg_catalog.pg_index i
               cross join lateral pg_catalog.unnest(i.indkey::int2[]) with ordinality k (attnum, place)
               join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
         where i.indrelid = c.oid
           and i.indisprimary),
       exists (select 1 from pg_catalog.pg_constraint f where f.confrelid = c.oid and f.contype = 'f'),
       exists (select 1 from pg_catalog.pg_inherits h where h.inhparent = c.oid),
       c.relispartition,
       c.reltuples::float8
from rows from (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[]))
         with ordinality w (schema, name, place)
     join pg_catalog.pg_namespace n on n.nspname = w.schema
     join pg_catalog.pg_class c on c.relname = w.name and c.relnamespace = n.oid
where c.relkind in ('r', 'p', 'v', 'm', 'f')

-- name: size
select coalesce((select pg_catalog.sum(pg_catalog.pg_relation_size(p.relid))
                   from pg_catalog.pg_partition_tree(%(oid)s::oid) p),
                pg_catalog.pg_relation_size(%(oid)s::oid), 0)::int8

-- name: columns
select a.attrelid::int8,
       a.attnum::int4,
       a.attname::text,
       pg_catalog.format_type(a.atttypid, a.atttypmod),
       pg_catalog.format_type(a.atttypid, -1),
       tn.nspname = 'pg_catalog',
       a.attnotnull,
       a.attidentity::text,
       a.attgenerated::text
from pg_catalog.pg_attribute a
     join pg_catalog.pg_type t on t.oid = a.atttypid
     join pg_catalog.pg_namespace tn on tn.oid = t.typnamespace
where a.attrelid = any (%(oids)s::oid[])
  and a.attnum > 0
  and not a.attisdropped
order by a.attrelid, a.attnum

-- name: dropped_columns
select a.attnum::int4
from pg_catalog.pg_attribute a
where a.attrelid = %(oid)s::oid
  and a.attnum > 0
  and a.attisdropped

-- name: user_tables
select n.nspname::text, c.relname::text
from pg_catalog.pg_class c
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p')
  and c.relpersistence <> 't'
  and not c.relispartition
  and n.nspname not in ('pg_catalog', 'information_schema', 'pgq', 'pgq_ext', 'pgq_coop', 'pgq_node', 'londiste')
  and n.nspname not like 'pg\_%%'
order by 1, 2

-- name: user_sequences
select n.nspname::text, c.relname::text
from pg_catalog.pg_class c
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'S'
  and c.relpersistence <> 't'
  and n.nspname not in ('pg_catalog', 'information_schema', 'pgq', 'pgq_ext', 'pgq_coop', 'pgq_node', 'londiste')
  and n.nspname not like 'pg\_%%'
order by 1, 2

-- name: unique_index
select exists (
    select 1
    from pg_catalog.pg_index i
    where i.indrelid = %(oid)s::oid
      and i.indisunique
      and i.indpred is null
      and i.indexprs is null
      and (select pg_catalog.array_agg(a.attname::text order by a.attname::text)
             from pg_catalog.pg_attribute a
            where a.attrelid = i.indrelid
              and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
          = (select pg_catalog.array_agg(k order by k) from pg_catalog.unnest(%(key)s::text[]) k)
)

-- name: unique_keys
select array(select a.attname::text
               from pg_catalog.unnest(i.indkey::int2[]) with ordinality k (attnum, place)
                    join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
              where k.place <= i.indnkeyatts
              order by k.place)
from pg_catalog.pg_index i
where i.indrelid = %(oid)s::oid
  and i.indisunique
  and i.indisvalid
  and i.indpred is null
  and i.indexprs is null
  and not exists (select from pg_catalog.pg_attribute a
                   where a.attrelid = i.indrelid
                     and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                     and not a.attnotnull)
order by i.indexrelid

-- name: foreign_key_pairs
select fn.nspname::text, f.relname::text, tn.nspname::text, t.relname::text
from pg_catalog.pg_constraint k
     join pg_catalog.pg_class f on f.oid = k.conrelid
     join pg_catalog.pg_namespace fn on fn.oid = f.relnamespace
     join pg_catalog.pg_class t on t.oid = k.confrelid
     join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
where k.contype = 'f'

-- name: key_operators
-- Equality is exact when the operator class says that equal values are the same bytes.
select a.attname::text,
       'operator(' || pg_catalog.quote_ident(n.nspname) || '.' || o.oprname || ')',
       coalesce(l.collisdeterministic, true)
           and exists (select from pg_catalog.pg_amproc e
                        where e.amprocfamily = c.opcfamily
                          and e.amproclefttype = c.opcintype
                          and e.amprocrighttype = c.opcintype
                          and e.amprocnum = 4),
       case when l.collname <> 'default'
            then pg_catalog.quote_ident(ln.nspname) || '.' || pg_catalog.quote_ident(l.collname) end
from (select i.indrelid, i.indkey, i.indclass, i.indcollation, i.indnkeyatts
        from pg_catalog.pg_index i
       where i.indrelid = %(oid)s::oid
         and i.indisunique
         and i.indpred is null
         and i.indexprs is null
         and (select pg_catalog.array_agg(a.attname::text order by a.attname::text)
                from pg_catalog.pg_attribute a
               where a.attrelid = i.indrelid
                 and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
             = (select pg_catalog.array_agg(k order by k) from pg_catalog.unnest(%(key)s::text[]) k)
       order by i.indisprimary desc, i.indexrelid
       limit 1) i
     cross join lateral pg_catalog.generate_series(0, i.indnkeyatts - 1) p (place)
     join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[p.place]
     join pg_catalog.pg_opclass c on c.oid = i.indclass[p.place]
     join pg_catalog.pg_amop m on m.amopfamily = c.opcfamily
                              and m.amoplefttype = c.opcintype
                              and m.amoprighttype = c.opcintype
                              and m.amopstrategy = 3
                              and m.amoppurpose = 's'
     join pg_catalog.pg_operator o on o.oid = m.amopopr
     join pg_catalog.pg_namespace n on n.oid = o.oprnamespace
     left join pg_catalog.pg_collation l on l.oid = i.indcollation[p.place]
     left join pg_catalog.pg_namespace ln on ln.oid = l.collnamespace
