-- Statements of londiste_lite/triggers.

-- name: queue_id
select q.queue_id from pgq.queue q where q.queue_name = %(queue)s

-- name: follow_current_table
select londiste.follow_current_table(%(queue)s)

-- name: current_sequence
select exists (
    select from pg_catalog.pg_trigger t
     where t.tgrelid = 'pgq.queue'::pg_catalog.regclass and t.tgname = 'londiste_current_table' and t.tgenabled = 'O'
       and pg_catalog.to_regclass(pg_catalog.format('londiste.event_%%s_current', %(queue_id)s::int4)) is not null)

-- name: relation
select c.oid::int8, c.relkind::text, c.relpersistence::text, c.relispartition,
       exists (select from pg_catalog.pg_inherits i where i.inhparent = c.oid) and c.relkind <> 'p'
           or exists (select from pg_catalog.pg_inherits i where i.inhrelid = c.oid) and not c.relispartition,
       pg_catalog.row_security_active(c.oid), pg_catalog.has_table_privilege(c.oid, 'select')
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where n.nspname = %(schema)s and c.relname = %(name)s

-- name: table_names
select c.relname::text
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where n.nspname = %(schema)s and c.relkind in ('r', 'p')

-- name: tree
select t.relid::int8, n.nspname::text, c.relname::text, c.relkind::text
  from pg_catalog.pg_partition_tree(%(oid)s::pg_catalog.oid) t
  join pg_catalog.pg_class c on c.oid = t.relid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 order by t.level, n.nspname, c.relname

-- name: root_of
select n.nspname::text, c.relname::text
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.oid = pg_catalog.pg_partition_root(%(oid)s::pg_catalog.oid)

-- name: columns
select a.attname::text, a.attnum, r.attnum, a.attnotnull, a.attgenerated::text, a.atttypid::int8
  from pg_catalog.pg_attribute a
  join pg_catalog.pg_attribute r on r.attrelid = %(root)s::pg_catalog.oid and r.attname = a.attname
                                and r.attnum > 0 and not r.attisdropped
 where a.attrelid = %(oid)s::pg_catalog.oid and a.attnum > 0 and not a.attisdropped
 order by a.attnum

-- name: unique_keys
select array(select a.attname::text
               from pg_catalog.unnest(i.indkey::int2[]) with ordinality k (attnum, nr)
               join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
              where k.nr <= i.indnkeyatts
              order by k.nr),
       i.indisprimary, not i.indimmediate
  from pg_catalog.pg_index i
 where i.indrelid = %(oid)s::pg_catalog.oid and i.indisunique and i.indisvalid and i.indpred is null
   and i.indexprs is null
 order by i.indisprimary desc, i.indimmediate desc, i.indexrelid

-- name: may_log
select pg_catalog.bool_and(pg_catalog.has_column_privilege(c.oid, a.attnum, 'insert'))
       and pg_catalog.has_table_privilege('pgq.queue', 'select')
       and pg_catalog.has_sequence_privilege(pg_catalog.format('pgq.event_%%s_id_seq', %(queue_id)s::int4), 'usage')
       and pg_catalog.has_function_privilege('londiste.capture_open()', 'execute')
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_attribute a on a.attrelid = c.oid
 where n.nspname = 'pgq'
   and c.relname in (select pg_catalog.format('event_%%s_%%s', %(queue_id)s::int4, g.nr)
                       from pg_catalog.generate_series(0, 2) g (nr))
   and a.attname in ('ev_time', 'ev_type', 'ev_data', 'ev_extra1', 'ev_extra2', 'ev_extra3')

-- name: capture_owner
select o.rolname::text
  from pg_catalog.pg_class c
  join pg_catalog.pg_roles o on o.oid = c.relowner
 where c.oid = %(oid)s::pg_catalog.oid
   and not o.rolsuper
   and (select m.rolsuper from pg_catalog.pg_roles m where m.rolname = current_user)
   and pg_catalog.pg_has_role(o.oid, pg_catalog.to_regrole('londiste_capture'), 'usage')

-- name: functions
select f.proname::text, f.prosrc, pg_catalog.obj_description(f.oid, 'pg_proc')
  from pg_catalog.pg_proc f
 where f.pronamespace = 'londiste'::pg_catalog.regnamespace
   and pg_catalog.starts_with(f.proname, pg_catalog.format('capture_%%s_', %(queue_id)s::int4))

-- name: functions_of
-- The same of some relations, by the index of names: "`" is what comes after "_".
select f.proname::text, f.prosrc, pg_catalog.obj_description(f.oid, 'pg_proc')
  from pg_catalog.unnest(%(oids)s::int8[]) o (oid)
  join pg_catalog.pg_proc f
    on f.proname >= pg_catalog.format('capture_%%s_%%s_', %(queue_id)s::int4, o.oid)::pg_catalog.name
   and f.proname < pg_catalog.format('capture_%%s_%%s`', %(queue_id)s::int4, o.oid)::pg_catalog.name
 where f.pronamespace = 'londiste'::pg_catalog.regnamespace

-- name: triggers
select t.tgrelid::int8, n.nspname::text, c.relname::text, t.tgname::text, t.tgtype::int4, f.proname::text,
       pg_catalog.encode(t.tgargs, 'escape'), t.tgenabled::text
  from pg_catalog.pg_trigger t
  join pg_catalog.pg_proc f on f.oid = t.tgfoid and f.pronamespace = 'londiste'::pg_catalog.regnamespace
  join pg_catalog.pg_class c on c.oid = t.tgrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where not t.tgisinternal
   and pg_catalog.starts_with(t.tgname, pg_catalog.format('_londiste_%%s_', %(queue_id)s::int4))
   and (%(oids)s::int8[] is null or t.tgrelid = any (%(oids)s::pg_catalog.oid[]))
 order by n.nspname, c.relname, t.tgname

-- name: route
select array(select a.attname::text
               from pg_catalog.pg_rewrite w
               join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = w.oid
               join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
              where w.ev_class = v.attrelid and d.refobjid = %(oid)s::pg_catalog.oid and d.refobjsubid > 0
              order by a.attnum),
       t.typcategory = 'A'
  from pg_catalog.pg_attribute v
  join pg_catalog.pg_type t on t.oid = v.atttypid
 where v.attrelid = pg_catalog.to_regclass('pg_temp.londiste_route') and v.attnum = 1

-- name: route_function
select f.proname::text
  from pgq.queue q
  join pg_catalog.pg_class c on c.relname = %(name)s
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace and n.nspname = %(schema)s
  join pg_catalog.pg_proc f on f.pronamespace = 'londiste'::pg_catalog.regnamespace
                           and f.proname = pg_catalog.format('capture_%%s_%%s_route', q.queue_id, c.oid)
 where q.queue_name = %(queue)s

-- name: event_form
-- Where events go now, null when the queue takes none; the columns and their numbers as capture writes them.
select case when not q.queue_disable_insert then pg_catalog.concat(q.queue_data_pfx, '_', q.queue_cur_table) end,
       londiste.columns_of(%(oid)s::pg_catalog.oid::pg_catalog.regclass),
       londiste.attnums_of(%(oid)s::pg_catalog.oid::pg_catalog.regclass,
                           %(oid)s::pg_catalog.oid::pg_catalog.regclass),
       londiste.attnums_of(%(oid)s::pg_catalog.oid::pg_catalog.regclass,
                           %(oid)s::pg_catalog.oid::pg_catalog.regclass, %(key)s::text[])
  from pgq.queue q
 where q.queue_id = %(queue_id)s

-- name: lock_timeout
with former as materialized (select pg_catalog.current_setting('lock_timeout') as value)
select f.value from former f where pg_catalog.set_config('lock_timeout', %(value)s, true) is not null

-- name: stale
-- The triggers' argument holds the published table's oid, the comment of the update function the columns it names, the
-- primary key that it follows, and the types it counts on. Another primary key matters where the former one is not
-- unique any more; one that is deferrable is unique, other than for londiste.live_unique_index.
with member as (
    select t.tgrelid as relid,
           pg_catalog.substring(pg_catalog.encode(t.tgargs, 'escape'), '[.]([0-9]+),') as root,
           pg_catalog.obj_description(u.tgfoid, 'pg_proc')::pg_catalog.jsonb as made
      from pg_catalog.pg_trigger t
      left join pg_catalog.pg_trigger u on u.tgrelid = t.tgrelid
                                       and u.tgname = pg_catalog.format('_londiste_%%s_update', %(queue_id)s::int4)
     where t.tgname = pg_catalog.format('_londiste_%%s_insert_open', %(queue_id)s::int4) and not t.tgisinternal
)
select distinct p.made->'table'->>0, p.made->'table'->>1
  from member p
  left join member m on m.root = p.root
 where (p.made->>'root')::pg_catalog.bool
   and (p.root <> p.relid::pg_catalog.text
        or (m.relid <> p.relid and pg_catalog.pg_partition_root(m.relid) is distinct from p.relid::pg_catalog.regclass)
        or exists (select from pg_catalog.pg_partition_tree(p.relid) t
                    where not exists (select from member o where o.relid = t.relid))
        or exists (select from pg_catalog.jsonb_each_text(m.made->'columns') c
                    where not exists (select from pg_catalog.pg_attribute a
                                       where a.attrelid = m.relid and a.attname = c.key
                                         and a.attnum::pg_catalog.text = c.value and not a.attisdropped))
        or (m.made->'primary_key' is not null
            and exists (select from pg_catalog.pg_index i where i.indrelid = m.relid and i.indisprimary and i.indisvalid)
            and not exists (select from pg_catalog.pg_index i
                             where i.indrelid = m.relid and i.indisunique and i.indisvalid and i.indpred is null
                               and i.indexprs is null
                               and (i.indkey::int2[])[0:i.indnkeyatts - 1] <@ array(
                                   select c.nr::int2
                                     from pg_catalog.jsonb_array_elements_text(m.made->'primary_key') c (nr))))
        or exists (select from pg_catalog.jsonb_each_text(m.made->'types') c
                    where not exists (select from pg_catalog.pg_attribute a
                                       where a.attrelid = m.relid and a.attname = c.key
                                         and a.atttypid::pg_catalog.text = c.value and not a.attisdropped)))
 order by 1, 2
