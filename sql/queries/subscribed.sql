-- Statements of londiste_lite/subscribed.py: what a subscriber takes, and how far each table is.

-- name: tables
select t.table_name, t.merge_state, t.snapshot, coalesce(t.skip_truncate, false), t.dest_table, t.copy_condition,
       t.key_columns, t.error, t.rows_inserted, t.rows_updated, t.rows_deleted, t.conflicts, t.held_reason, t.held_oid,
       coalesce(p.events, 0)
from londiste.subscriber_table t
     left join (select table_name, pg_catalog.count(*) as events
                  from londiste.parked_event
                 where queue_name = %(queue)s
                 group by table_name) p on p.table_name = t.table_name
where t.queue_name = %(queue)s
  and (%(tables)s::text[] is null or t.table_name = any (%(tables)s))
order by t.nr

-- name: add_table
insert into londiste.subscriber_table
       (queue_name, table_name, merge_state, skip_truncate, dest_table, copy_condition, key_columns)
values (%(queue)s, %(table)s, %(state)s, %(skip_truncate)s, %(dest)s, %(condition)s, %(key)s)
on conflict (queue_name, table_name) do nothing
returning table_name

-- name: remove_table
delete from londiste.subscriber_table
where queue_name = %(queue)s
  and table_name = %(table)s
returning table_name, londiste.forget_copy(queue_name, table_name)

-- name: lock_table
select table_name
from londiste.subscriber_table
where queue_name = %(queue)s
  and table_name = %(table)s
for update

-- name: set_states
-- Those that are in the expected state, locked in one order. A copy brings the provider's rows, whatever was parked.
with found as (
    select t.table_name, e.state
      from londiste.subscriber_table t
           join rows from (pg_catalog.unnest(%(tables)s::text[]), pg_catalog.unnest(%(expected)s::text[]),
                           pg_catalog.unnest(%(before)s::text[])) e (name, state, snapshot) on e.name = t.table_name
     where t.queue_name = %(queue)s
       and t.merge_state is not distinct from e.state
       and t.snapshot is not distinct from e.snapshot
     order by t.nr
       for update of t
), parked as (
    delete from londiste.parked_event
    where queue_name = %(queue)s
      and table_name in (select f.table_name from found f where f.state is null)
      and %(state)s = 'in-copy'
)
update londiste.subscriber_table
set merge_state = %(state)s,
    snapshot = %(snapshot)s,
    error = null,
    held_reason = null,
    held_oid = null,
    skip_truncate = case when %(state)s = 'ok' then null else skip_truncate end
where queue_name = %(queue)s
  and table_name in (select f.table_name from found f)
returning table_name

-- name: hold
update londiste.subscriber_table
set merge_state = 'catching-up',
    snapshot = coalesce(%(snapshot)s, snapshot),
    error = %(reason)s,
    held_reason = %(reason)s,
    held_oid = %(oid)s::oid
where queue_name = %(queue)s
  and table_name = %(table)s
  and merge_state in ('ok', 'catching-up')
returning table_name

-- name: restart_copies
-- The snapshot stays: what was copied already is complete up to it.
update londiste.subscriber_table
set merge_state = null
where queue_name = %(queue)s
  and merge_state = 'in-copy'
  and table_name = coalesce(%(table)s, table_name)
returning table_name

-- name: forget_all
update londiste.subscriber_table
set merge_state = null,
    snapshot = null,
    error = null,
    held_reason = null,
    held_oid = null
where queue_name = %(queue)s
returning table_name, londiste.forget_copy(queue_name, table_name)

-- name: resync
update londiste.subscriber_table
set merge_state = null,
    snapshot = null,
    skip_truncate = null,
    error = null,
    held_reason = null,
    held_oid = null
where queue_name = %(queue)s
  and table_name = %(table)s
returning table_name, londiste.forget_copy(queue_name, table_name)

-- name: clear_snapshot
update londiste.subscriber_table
set snapshot = null
where queue_name = %(queue)s
  and table_name = any(%(tables)s)
  and merge_state = 'ok'

-- name: set_error
update londiste.subscriber_table
set error = %(error)s
where queue_name = %(queue)s
  and table_name = %(table)s
  and error is distinct from %(error)s

-- name: clear_errors
update londiste.subscriber_table
set error = null
where queue_name = %(queue)s
  and merge_state = 'ok'
  and error is not null

-- name: count_rows
update londiste.subscriber_table t
set rows_inserted = t.rows_inserted + c.inserted,
    rows_updated = t.rows_updated + c.updated,
    rows_deleted = t.rows_deleted + c.deleted,
    conflicts = t.conflicts + c.conflicts
from unnest(%(tables)s::text[], %(inserted)s::int8[], %(updated)s::int8[], %(deleted)s::int8[],
            %(conflicts)s::int8[]) c (table_name, inserted, updated, deleted, conflicts)
where t.queue_name = %(queue)s
  and t.table_name = c.table_name

-- name: sequences
select seq_name
from londiste.subscriber_seq
where queue_name = %(queue)s
order by nr

-- name: add_sequence
insert into londiste.subscriber_seq (queue_name, seq_name)
values (%(queue)s, %(sequence)s)
on conflict (queue_name, seq_name) do nothing
returning seq_name

-- name: remove_sequence
delete from londiste.subscriber_seq
where queue_name = %(queue)s
  and seq_name = %(sequence)s
returning seq_name
