create or replace function londiste.list_unrouted_sql(
    i_op text, i_root regclass, i_queue text, i_table text, i_keys text[], i_attnums int2[], i_why text)
returns text[] as $$
-- ----------------------------------------------------------------------
-- Function: londiste.list_unrouted_sql(7)
--
--      The statement that keeps londiste.unrouted_row right for the keys in the transition tables: rows whose route
--      cannot be worked out NOW are listed with the reason, others are not.
--
--      Marked IMMUTABLE for the reason given in londiste.columns_of.
--
-- Parameters:  i_op      - operation letter, see londiste.rows_now_sql
--              i_root    - the published table
--              i_queue   - name of the queue
--              i_table   - name in the events
--              i_keys    - key columns
--              i_attnums - where they stood in i_root; null: they are known by name only
--              i_why     - SQL over londiste_row: an array whose first element is the reason, null where the route works
-- Returns:     the statement in pieces, between which the name of i_root (for T of the truncated partition) is to be put
-- Raises:      40001, see londiste.live_columns
-- Locks taken: none
-- Called by:   capture functions that park
-- ----------------------------------------------------------------------
declare
    keys        text[];
    row_key     text;
    new_names   text;
    same_key    text;
    gone        text := format('delete from londiste.unrouted_row u where u.queue_name operator(pg_catalog.=) %L'
                               ' and u.table_name operator(pg_catalog.=) %L and u.row_key operator(pg_catalog.=) ',
                               i_queue, i_table);
begin
    -- As in londiste.rows_now_sql.
    select array_agg(k.name order by k.nr),
           string_agg(format('londiste_row.%s', k.quoted), ', ' order by k.nr),
           string_agg(format('londiste_row.%s as londiste_k%s', k.quoted, k.nr), ', ' order by k.nr),
           string_agg(format('londiste_row.%s %s londiste_key.londiste_k%s', k.quoted, londiste.equality_of(k.type), k.nr),
                      ' and ' order by k.nr)
      into keys, row_key, new_names, same_key
      from (select coalesce(c.o_name, n.o_name) as name, quote_ident(coalesce(c.o_name, n.o_name)) as quoted,
                   coalesce(c.o_type, n.o_type) as type, u.nr
              from unnest(i_keys, i_attnums) with ordinality u (name, attnum, nr)
              left join londiste.live_columns(i_root) c on c.o_attnum = u.attnum
              left join londiste.live_columns(i_root) n on n.o_name = u.name) k;
    if array_position(keys, null) is not null then
        return array['select'];
    end if;
    if i_op = 'T' then
        return array[gone || format('any (select row(%s)::pg_catalog.text from only ', row_key), ' londiste_row)'];
    end if;
    return array['with londiste_key as materialized (' || (
            select string_agg(format('select row(%s)::pg_catalog.text as londiste_key, %s from %s londiste_row',
                                     row_key, new_names, i.name), ' union ')
              from (values ('londiste_old', 'UD'), ('londiste_new', 'IU')) i (name, ops)
             where i.ops like '%' || i_op || '%')
        || format('), londiste_now as materialized (
            select londiste_key.londiste_key, (%s)[1] as londiste_error
              from londiste_key join ', i_why),
        format(' londiste_row on %s
        ), londiste_gone as (%s any (select londiste_key from londiste_key
            except select londiste_key from londiste_now where londiste_error is not null))
        insert into londiste.unrouted_row as u (queue_name, table_name, row_key, error)
        select %L, %L, n.londiste_key, n.londiste_error from londiste_now n where n.londiste_error is not null
            on conflict (queue_name, table_name, row_key) do update
           set error = excluded.error, noted = excluded.noted', same_key, gone, i_queue, i_table)];
end;
$$ language plpgsql immutable set search_path = pg_catalog, pg_temp;
