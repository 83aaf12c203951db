-- Statements of londiste_lite/structure_copy: everything that makes a table, as the catalogue has it.
-- to_jsonb of a catalogue row reads columns that older servers lack. All need search_path = pg_catalog, so that names
-- in generated text are qualified.

-- name: relations
with tree as (
    select t.relid::pg_catalog.oid as oid, t.parentrelid::pg_catalog.oid as parent, t.level
      from pg_catalog.pg_partition_tree(%(oid)s::pg_catalog.oid) t
     union
    select %(oid)s::pg_catalog.oid, null::pg_catalog.oid, 0
     where not exists (select from pg_catalog.pg_partition_tree(%(oid)s::pg_catalog.oid))
)
select c.oid::int8,
       n.nspname::text,
       c.relname::text,
       c.relkind::text,
       c.relpersistence::text,
       case when t.level > 0 then t.parent::int8 end,
       pg_catalog.pg_get_partkeydef(c.oid),
       pg_catalog.pg_get_expr(c.relpartbound, c.oid),
       pg_catalog.array_cat(coalesce(c.reloptions, '{}'),
           array(select 'toast.' || o from pg_catalog.unnest(s.reloptions) o)),
       pg_catalog.obj_description(c.oid, 'pg_class'),
       c.relreplident::text,
       c.relrowsecurity,
       coalesce(am.amname, 'heap')::text,
       exists (select from pg_catalog.pg_inherits i where i.inhrelid = c.oid and not c.relispartition)
           or exists (select from pg_catalog.pg_inherits i where i.inhparent = c.oid and c.relkind <> 'p')
  from tree t
  join pg_catalog.pg_class c on c.oid = t.oid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  left join pg_catalog.pg_class s on s.oid = c.reltoastrelid
  left join pg_catalog.pg_am am on am.oid = c.relam
 order by t.level, 2, 3

-- name: columns
select a.attrelid::int8,
       a.attname::text,
       pg_catalog.format_type(a.atttypid, a.atttypmod),
       case when a.attcollation <> t.typcollation
            then pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(co.collname) end,
       a.attnotnull and coalesce(nn.convalidated, true),
       nn.conname::text,
       a.attnotnull and not nn.convalidated,
       a.attidentity::text,
       a.attgenerated::text,
       pg_catalog.pg_get_expr(d.adbin, d.adrelid),
       case when a.attstorage <> t.typstorage then a.attstorage::text end,
       nullif((pg_catalog.to_jsonb(a) - 'attmissingval') ->> 'attcompression', ''),
       nullif(((pg_catalog.to_jsonb(a) - 'attmissingval') ->> 'attstattarget')::int4, -1),
       pg_catalog.col_description(a.attrelid, a.attnum)
  from pg_catalog.pg_attribute a
  join pg_catalog.pg_type t on t.oid = a.atttypid
  left join pg_catalog.pg_collation co on co.oid = a.attcollation
  left join pg_catalog.pg_namespace cn on cn.oid = co.collnamespace
  left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  left join pg_catalog.pg_constraint nn on nn.conrelid = a.attrelid and nn.contype = 'n'
                                       and nn.conkey = array[a.attnum]
 where a.attrelid = any (%(oids)s::pg_catalog.oid[])
   and a.attnum > 0
   and not a.attisdropped
 order by a.attrelid, a.attnum

-- name: constraints
select k.conrelid::int8,
       k.conname::text,
       k.contype::text,
       pg_catalog.pg_get_constraintdef(k.oid),
       nullif(k.conindid, 0)::int8,
       (select h.inhparent::int8 from pg_catalog.pg_inherits h where h.inhrelid = k.conindid),
       coalesce((pg_catalog.to_jsonb(k) ->> 'conenforced')::bool, true),
       coalesce((pg_catalog.to_jsonb(k) ->> 'conperiod')::bool, false),
       coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false),
       coalesce(i.indisreplident, false),
       coalesce(x.reloptions, '{}'),
       pg_catalog.obj_description(k.oid, 'pg_constraint')
  from pg_catalog.pg_constraint k
  left join pg_catalog.pg_index i on i.indexrelid = k.conindid
  left join pg_catalog.pg_class x on x.oid = k.conindid
 where k.conrelid = any (%(oids)s::pg_catalog.oid[])
   and k.contype in ('p', 'u', 'x', 'c')
 order by k.conrelid, k.contype = 'c', k.contype, k.conname

-- name: indexes
-- The text after the table's name, which pg_get_indexdef writes behind a head that is known.
select i.indrelid::int8,
       x.relname::text,
       i.indisunique,
       pg_catalog.substr(pg_catalog.pg_get_indexdef(x.oid), 1 + pg_catalog.length(
           'CREATE ' || case when i.indisunique then 'UNIQUE ' else '' end || 'INDEX '
           || pg_catalog.quote_ident(x.relname) || ' ON ' || case when x.relkind = 'I' then 'ONLY ' else '' end
           || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname))),
       x.oid::int8,
       (select h.inhparent::int8 from pg_catalog.pg_inherits h where h.inhrelid = x.oid),
       i.indisvalid,
       coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false),
       i.indisreplident,
       pg_catalog.obj_description(x.oid, 'pg_class')
  from pg_catalog.pg_index i
  join pg_catalog.pg_class x on x.oid = i.indexrelid
  join pg_catalog.pg_class c on c.oid = i.indrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where i.indrelid = any (%(oids)s::pg_catalog.oid[])
   and not exists (select from pg_catalog.pg_constraint k
                    where k.conindid = x.oid and k.conrelid = i.indrelid and k.contype in ('p', 'u', 'x'))
 order by i.indrelid, x.relname

-- name: sequences
-- Owned by a column (a), of an identity column (i), or used by a default only (n).
with used as (
    select d.objid as seq, d.refobjid as rel, d.refobjsubid as num, d.deptype::text as how
      from pg_catalog.pg_depend d
     where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
       and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
       and d.refobjid = any (%(oids)s::pg_catalog.oid[])
       and d.refobjsubid > 0
       and d.deptype in ('a', 'i')
     union all
    select d.refobjid, f.adrelid, f.adnum, 'n'
      from pg_catalog.pg_attrdef f
      join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass and d.objid = f.oid
                                 and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
     where f.adrelid = any (%(oids)s::pg_catalog.oid[])
)
select distinct on (s.oid)
       u.rel::int8,
       a.attname::text,
       u.how,
       n.nspname::text,
       s.relname::text,
       pg_catalog.format_type(q.seqtypid, null),
       q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, q.seqcycle,
       pg_catalog.obj_description(s.oid, 'pg_class')
  from used u
  join pg_catalog.pg_class s on s.oid = u.seq and s.relkind = 'S'
  join pg_catalog.pg_namespace n on n.oid = s.relnamespace
  join pg_catalog.pg_sequence q on q.seqrelid = s.oid
  join pg_catalog.pg_attribute a on a.attrelid = u.rel and a.attnum = u.num
 order by s.oid, u.how = 'n', u.rel, a.attname

-- name: foreign_keys
-- Both directions; the head of the definition up to the referenced table's name is cut off.
select c.oid::int8, cn.nspname::text, c.relname::text, rn.nspname::text, r.relname::text,
       pn.nspname::text, p.relname::text, qn.nspname::text, q.relname::text,
       k.conname::text,
       h.head,
       pg_catalog.substr(pg_catalog.pg_get_constraintdef(k.oid), 1 + pg_catalog.length(
           h.head || pg_catalog.quote_ident(pn.nspname) || '.' || pg_catalog.quote_ident(p.relname))),
       coalesce((pg_catalog.to_jsonb(k) ->> 'conenforced')::bool, true),
       coalesce((pg_catalog.to_jsonb(k) ->> 'conperiod')::bool, false),
       pg_catalog.to_jsonb(k) ->> 'confdelsetcols' is not null,
       pg_catalog.obj_description(k.oid, 'pg_constraint')
  from pg_catalog.pg_constraint k
  cross join lateral (
      select 'FOREIGN KEY ('
             || pg_catalog.string_agg(
                    case when coalesce((pg_catalog.to_jsonb(k) ->> 'conperiod')::bool, false)
                          and u.place = pg_catalog.cardinality(k.conkey) then 'PERIOD ' else '' end
                    || pg_catalog.quote_ident(a.attname), ', ' order by u.place)
             || ') REFERENCES ' as head
        from pg_catalog.unnest(k.conkey) with ordinality u (num, place)
        join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.num) h
  join pg_catalog.pg_class c on c.oid = k.conrelid
  join pg_catalog.pg_namespace cn on cn.oid = c.relnamespace
  join pg_catalog.pg_class r on r.oid = coalesce(pg_catalog.pg_partition_root(c.oid), c.oid)
  join pg_catalog.pg_namespace rn on rn.oid = r.relnamespace
  join pg_catalog.pg_class p on p.oid = k.confrelid
  join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace
  join pg_catalog.pg_class q on q.oid = coalesce(pg_catalog.pg_partition_root(p.oid), p.oid)
  join pg_catalog.pg_namespace qn on qn.oid = q.relnamespace
 where k.contype = 'f'
   and k.conparentid = 0
   and (k.conrelid = any (%(oids)s::pg_catalog.oid[]) or k.confrelid = any (%(oids)s::pg_catalog.oid[]))
 order by 2, 3, 10

-- name: types
-- Every type that the columns use, directly or inside another; arrays stand for their elements.
with recursive needed (oid) as (
    select a.atttypid
      from pg_catalog.pg_attribute a
     where a.attrelid = any (%(oids)s::pg_catalog.oid[])
       and a.attnum > 0
       and not a.attisdropped
     union
    select part.oid
      from needed
      join pg_catalog.pg_type t on t.oid = needed.oid
      cross join lateral (
          select t.typelem where t.typtype = 'b' and t.typcategory = 'A' and t.typelem <> 0
           union all
          select t.typbasetype where t.typtype = 'd'
           union all
          select a.atttypid from pg_catalog.pg_attribute a
           where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
           union all
          select r.rngsubtype from pg_catalog.pg_range r where t.typtype = 'r' and r.rngtypid = t.oid
      ) part (oid)
)
select t.oid::int8,
       n.nspname::text,
       t.typname::text,
       case when t.typtype = 'c' and c.relkind <> 'c' then 'row' else t.typtype::text end,
       (select e.extname::text
          from pg_catalog.pg_depend d
          join pg_catalog.pg_extension e on e.oid = d.refobjid
         where d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and d.objid = t.oid and d.deptype = 'e'
           and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass),
       array(select l.enumlabel::text from pg_catalog.pg_enum l where l.enumtypid = t.oid order by l.enumsortorder),
       case when t.typtype = 'd' then pg_catalog.format_type(t.typbasetype, t.typtypmod) end,
       case when t.typtype = 'd' and t.typcollation <> b.typcollation
            then pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(co.collname) end,
       case when t.typtype = 'd' then t.typnotnull else false end,
       case when t.typtype = 'd' then pg_catalog.pg_get_expr(t.typdefaultbin, 0) end,
       pg_catalog.obj_description(t.oid, 'pg_type')
  from needed
  join pg_catalog.pg_type t on t.oid = needed.oid
  join pg_catalog.pg_namespace n on n.oid = t.typnamespace
  left join pg_catalog.pg_class c on c.oid = t.typrelid
  left join pg_catalog.pg_type b on b.oid = t.typbasetype
  left join pg_catalog.pg_collation co on co.oid = t.typcollation
  left join pg_catalog.pg_namespace cn on cn.oid = co.collnamespace
 where not (t.typtype = 'b' and t.typcategory = 'A' and t.typelem <> 0)
 order by 2, 3

-- name: type_parts
-- Attributes of composite types, and which types a type is made of.
select t.oid::int8,
       a.attname::text,
       pg_catalog.format_type(a.atttypid, a.atttypmod),
       case when a.attcollation <> p.typcollation
            then pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(co.collname) end,
       case when p.typtype = 'b' and p.typcategory = 'A' and p.typelem <> 0 then p.typelem else p.oid end::int8,
       a.attnum
  from pg_catalog.pg_type t
  join pg_catalog.pg_attribute a on a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
  join pg_catalog.pg_type p on p.oid = a.atttypid
  left join pg_catalog.pg_collation co on co.oid = a.attcollation
  left join pg_catalog.pg_namespace cn on cn.oid = co.collnamespace
 where t.oid = any (%(oids)s::pg_catalog.oid[])
 union all
select t.oid::int8, null, null, null,
       case when p.typtype = 'b' and p.typcategory = 'A' and p.typelem <> 0 then p.typelem else p.oid end::int8,
       0
  from pg_catalog.pg_type t
  join pg_catalog.pg_type p on p.oid = t.typbasetype
 where t.oid = any (%(oids)s::pg_catalog.oid[])
 order by 1, 6

-- name: domain_checks
-- Also the NOT NULL of a domain has a row on newer servers, which is told by typnotnull.
select k.contypid::int8, k.conname::text, pg_catalog.pg_get_constraintdef(k.oid)
  from pg_catalog.pg_constraint k
 where k.contypid = any (%(oids)s::pg_catalog.oid[])
   and k.contype = 'c'
 order by k.contypid, k.conname

-- name: existing_types
select k.place::int4
  from rows from (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[]))
           with ordinality k (schema, name, place)
  join pg_catalog.pg_namespace n on n.nspname = k.schema
  join pg_catalog.pg_type t on t.typnamespace = n.oid and t.typname = k.name and t.typisdefined

-- name: existing_relations
select k.place::int4
  from rows from (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[]))
           with ordinality k (schema, name, place)
  join pg_catalog.pg_namespace n on n.nspname = k.schema
  join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = k.name

-- name: existing_schemas
select n.nspname::text from pg_catalog.pg_namespace n where n.nspname = any (%(names)s::text[])

-- name: own_constraint
select exists (
    select from pg_catalog.pg_constraint k
      join pg_catalog.pg_class c on c.oid = k.conrelid
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname = %(schema)s and c.relname = %(name)s and k.conname = %(constraint)s)
