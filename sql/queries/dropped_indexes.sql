-- Statements of londiste_lite/dropped_indexes.py. All need search_path = pg_catalog, so that names come qualified.

-- name: droppable
-- Not the key, nor what a foreign key, an exclusion constraint, a partitioned index or an extension holds on to.
select c.relname::text,
       n.nspname::text,
       k.conname::text,
       pg_catalog.pg_get_indexdef(c.oid),
       coalesce(ts.spcname, '')::text,
       pg_catalog.concat_ws('; ',
           case when k.oid is not null then
               pg_catalog.format('alter table %%s add constraint %%I unique using index %%I', t.full_name, k.conname,
                                 c.relname)
               || case when k.condeferrable then ' deferrable' else '' end
               || case when k.condeferred then ' initially deferred' else '' end end,
           (select pg_catalog.string_agg(pg_catalog.format('alter index %%s alter column %%s set statistics %%s',
                                                           i.full_name, a.attnum, s.target), '; ' order by a.attnum)
              from pg_catalog.pg_attribute a
                   cross join lateral (select ((pg_catalog.to_jsonb(a) - 'attmissingval') ->> 'attstattarget')::int4) s (target)
             where a.attrelid = c.oid
               and s.target >= 0),
           case when x.indisreplident then
               pg_catalog.format('alter table %%s replica identity using index %%I', t.full_name, c.relname) end,
           case when x.indisclustered then
               pg_catalog.format('alter table %%s cluster on %%I', t.full_name, c.relname) end,
           case when said.of_index is not null then
               pg_catalog.format('comment on index %%s is %%L', i.full_name, said.of_index) end,
           case when said.of_constraint is not null then
               pg_catalog.format('comment on constraint %%I on %%s is %%L', k.conname, t.full_name,
                                 said.of_constraint) end)
from pg_catalog.pg_index x
     join pg_catalog.pg_class c on c.oid = x.indexrelid
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     cross join lateral (select pg_catalog.format('%%I.%%I', n.nspname, c.relname)) i (full_name)
     join pg_catalog.pg_class tc on tc.oid = x.indrelid
     join pg_catalog.pg_namespace tn on tn.oid = tc.relnamespace
     cross join lateral (select pg_catalog.format('%%I.%%I', tn.nspname, tc.relname)) t (full_name)
     left join pg_catalog.pg_tablespace ts on ts.oid = c.reltablespace
     left join pg_catalog.pg_constraint k on k.conindid = c.oid and k.contype = 'u' and k.conrelid = x.indrelid
     cross join lateral (select pg_catalog.obj_description(c.oid, 'pg_class'),
                                pg_catalog.obj_description(k.oid, 'pg_constraint')) said (of_index, of_constraint)
where x.indrelid = %(oid)s::pg_catalog.oid
  and c.relkind = 'i'
  and tc.relkind = 'r'
  and not c.relispartition
  and not x.indisprimary
  and not x.indisexclusion
  and x.indisvalid
  and not (x.indisunique
           and x.indpred is null
           and x.indexprs is null
           and (select pg_catalog.array_agg(a.attname::text order by a.attname::text)
                  from pg_catalog.pg_attribute a
                 where a.attrelid = x.indrelid
                   and a.attnum = any ((x.indkey::int2[])[0:x.indnkeyatts - 1]))
               = (select pg_catalog.array_agg(u order by u) from pg_catalog.unnest(%(key)s::text[]) u))
  and not exists (select from pg_catalog.pg_constraint f where f.conindid = c.oid and f.contype not in ('u'))
  and not exists (select from pg_catalog.pg_depend d
                   where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                     and d.objid = c.oid
                     and d.deptype in ('e', 'x'))
order by 1

-- name: remember
insert into londiste.subscriber_pending_indexes (table_name, index_name, index_def, tablespace, extras)
values (%(table)s, %(index)s, %(definition)s, %(tablespace)s, %(extras)s)
on conflict (table_name, index_name) do update
set index_def = excluded.index_def,
    tablespace = excluded.tablespace,
    extras = excluded.extras,
    error = null

-- name: pending
select table_name, index_name, index_def, tablespace, extras, error
from londiste.subscriber_pending_indexes
order by table_name, index_name

-- name: not_made
-- Not one that somebody has made by hand since.
select p.table_name, p.index_name, p.error,
       pg_catalog.concat_ws('; ', nullif(p.index_def, ''), nullif(p.extras, ''))
from londiste.subscriber_pending_indexes p
where p.error is not null
  and not (p.index_def <> ''
           and exists (select
                         from pg_catalog.pg_index x
                              join pg_catalog.pg_class c on c.oid = x.indexrelid
                              join pg_catalog.pg_class t on t.oid = x.indrelid
                              join pg_catalog.pg_namespace n on n.oid = t.relnamespace
                        where c.relname = p.index_name
                          and x.indisvalid
                          and n.nspname || '.' || t.relname = p.table_name))
order by p.table_name, p.index_name

-- name: claim
select index_def, tablespace, extras
from londiste.subscriber_pending_indexes
where table_name = %(table)s
  and index_name = %(index)s
for update

-- name: made
update londiste.subscriber_pending_indexes
set index_def = ''
where table_name = %(table)s
  and index_name = %(index)s

-- name: forget
delete from londiste.subscriber_pending_indexes
where table_name = %(table)s
  and index_name = %(index)s

-- name: failed
update londiste.subscriber_pending_indexes
set error = %(error)s
where table_name = %(table)s
  and index_name = %(index)s

-- name: exists
select 1
from pg_catalog.pg_index x
     join pg_catalog.pg_class c on c.oid = x.indexrelid
     join pg_catalog.pg_class t on t.oid = x.indrelid
     join pg_catalog.pg_namespace n on n.oid = t.relnamespace
where n.nspname = %(schema)s
  and t.relname = %(name)s
  and c.relname = %(index)s
