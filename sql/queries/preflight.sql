-- Statements of londiste_lite/preflight.

-- name: encoding
select pg_catalog.pg_encoding_to_char(d.encoding)::text
from pg_catalog.pg_database d
where d.datname = pg_catalog.current_database()

-- name: role
select current_user::text

-- name: table_privileges
select p.name,
       pg_catalog.has_table_privilege(%(oid)s::pg_catalog.oid, p.name)
       and pg_catalog.has_schema_privilege(c.relnamespace, 'usage')
from pg_catalog.pg_class c
     cross join pg_catalog.unnest(%(names)s::text[]) with ordinality p (name, place)
where c.oid = %(oid)s::pg_catalog.oid
order by p.place

-- name: sequence
select pg_catalog.has_sequence_privilege(c.oid, 'update'),
       pg_catalog.has_sequence_privilege(c.oid, 'select'),
       pg_catalog.has_schema_privilege(c.relnamespace, 'usage')
from pg_catalog.pg_class c
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s
  and c.relname = %(name)s
  and c.relkind = 'S'

-- name: row_security
select pg_catalog.row_security_active(%(oid)s::pg_catalog.oid)

-- name: rules
select r.rulename::text
from pg_catalog.pg_rewrite r
where r.ev_class = %(oid)s::pg_catalog.oid
  and r.ev_type in ('2', '3', '4')
  and r.ev_enabled = any (%(modes)s::text[])
order by 1

-- name: required_columns
-- Columns that refuse NULL and have nothing to put there by themselves.
select a.attname::text
from pg_catalog.pg_attribute a
     join pg_catalog.pg_type t on t.oid = a.atttypid
where a.attrelid = %(oid)s::pg_catalog.oid
  and a.attnum > 0
  and not a.attisdropped
  and (a.attnotnull or t.typnotnull)
  and not a.atthasdef
  and t.typdefault is null
  and a.attidentity = ''
order by a.attnum

-- name: enums
select a.attname::text,
       array(select e.enumlabel::text from pg_catalog.pg_enum e where e.enumtypid = t.oid order by e.enumsortorder)
from pg_catalog.pg_attribute a
     join pg_catalog.pg_type t on t.oid = a.atttypid and t.typtype = 'e'
where a.attrelid = %(oid)s::pg_catalog.oid
  and a.attnum > 0
  and not a.attisdropped
order by a.attnum

-- name: key_state
-- The published key as the catalogue has it now: columns that are gone or may be NULL, and whether it is unique.
select array(select k from pg_catalog.unnest(%(key)s::text[]) k
              where not exists (select from pg_catalog.pg_attribute a
                                 where a.attrelid = %(oid)s::pg_catalog.oid and a.attname = k and not a.attisdropped)),
       array(select a.attname::text from pg_catalog.pg_attribute a
              where a.attrelid = %(oid)s::pg_catalog.oid and a.attname = any (%(key)s::text[]) and not a.attnotnull
                and not a.attisdropped)

-- name: dead_consumers
-- `behind` is the age of the consumer's position, `silent` the time since it last did anything.
select c.co_name::text,
       extract(epoch from pg_catalog.clock_timestamp() - t.tick_time)::float8 as behind,
       extract(epoch from pg_catalog.clock_timestamp() - s.sub_active)::float8 as silent
from pgq.subscription s
     join pgq.queue q on q.queue_id = s.sub_queue
     join pgq.consumer c on c.co_id = s.sub_consumer
     left join pgq.tick t on t.tick_queue = s.sub_queue and t.tick_id = s.sub_last_tick
where q.queue_name = %(queue)s
  and s.sub_active < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => %(seconds)s)
order by 1

-- name: foreign_ticker
-- The pgq extension is ticked by its own daemon, which holds no lock of ours.
select exists (select from pg_catalog.pg_extension e where e.extname = 'pgq')

-- name: last_tick_age
select extract(epoch from pg_catalog.clock_timestamp() - max(t.tick_time))::float8
from pgq.tick t
     join pgq.queue q on q.queue_id = t.tick_queue
where q.queue_name = %(queue)s
