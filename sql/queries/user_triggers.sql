-- Statements of londiste_lite/user_triggers.py: the user's triggers on a subscriber's tables.

-- name: active
select n.nspname::text, c.relname::text, t.tgname::text, pg_catalog.pg_get_triggerdef(t.oid), t.tgenabled::text
from rows from (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[])) k (schema, name)
     join pg_catalog.pg_namespace n on n.nspname = k.schema
     join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = k.name
     join pg_catalog.pg_trigger t on t.tgrelid = c.oid
where not t.tgisinternal
  and not pg_catalog.starts_with(t.tgname, '_londiste_')
order by 1, 2, 3

-- name: pending
select table_name, trigger_name, trigger_def
from londiste.subscriber_pending_triggers
order by table_name, trigger_name

-- name: forget
delete from londiste.subscriber_pending_triggers
where table_name = %(table)s
  and trigger_name = %(trigger)s

-- name: lookup_path
-- Definitions that Londiste 2.1 stored may leave out the schema that was on its search_path.
select pg_catalog.set_config('search_path', %(path)s, true)
