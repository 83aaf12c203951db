-- Statements of londiste_lite/published.py: what a provider publishes.

-- name: tables
select table_name, key_columns, key_given, node_column, node_rule, node_many, node_parks
from londiste.provider_table
where queue_name = %(queue)s
  and (%(tables)s::text[] is null or table_name = any (%(tables)s))
order by nr

-- name: add_table
insert into londiste.provider_table
       (queue_name, table_name, trigger_name, key_columns, key_given, node_column, node_rule, node_many, node_parks)
values (%(queue)s, %(table)s, %(trigger)s, %(key)s, %(key_given)s, %(column)s, %(rule)s, %(many)s, %(parks)s)
on conflict (queue_name, table_name) do update
    set trigger_name = excluded.trigger_name,
        key_columns = excluded.key_columns,
        key_given = excluded.key_given,
        node_column = excluded.node_column,
        node_rule = excluded.node_rule,
        node_many = excluded.node_many,
        node_parks = excluded.node_parks

-- name: set_primary_key
update londiste.provider_table
set key_columns = %(key)s
where queue_name = %(queue)s
  and table_name = %(table)s
  and not key_given
  and key_columns is distinct from %(key)s::text[]
returning table_name

-- name: set_given_key
update londiste.provider_table
set key_columns = %(key)s
where queue_name = %(queue)s
  and table_name = %(table)s
  and key_given
  and key_columns is distinct from %(key)s::text[]
returning table_name

-- name: set_node_column
update londiste.provider_table
set node_column = %(column)s
where queue_name = %(queue)s
  and table_name = %(table)s
  and node_column is distinct from %(column)s
returning table_name

-- name: remove_table
delete from londiste.provider_table
where queue_name = %(queue)s
  and table_name = %(table)s
returning table_name

-- name: sequences
select seq_name
from londiste.provider_seq
where queue_name = %(queue)s
order by nr

-- name: add_sequence
insert into londiste.provider_seq (queue_name, seq_name)
values (%(queue)s, %(sequence)s)
on conflict (queue_name, seq_name) do nothing
returning seq_name

-- name: remove_sequence
delete from londiste.provider_seq
where queue_name = %(queue)s
  and seq_name = %(sequence)s
returning seq_name
