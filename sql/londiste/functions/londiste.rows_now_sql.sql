create or replace function londiste.rows_now_sql(
    i_op text, i_rel regclass, i_root regclass, i_table text, i_keys text[], i_attnums int2[],
    i_route text, i_route_attnum int2, i_route_many boolean, i_route_now text)
returns text[] as $$
-- ----------------------------------------------------------------------
-- Function: londiste.rows_now_sql(10)
--
--      The careful way to log a statement: the statement that logs, for each key and target in the transition tables,
--      the row that the table holds NOW, or the delete of what is no longer there. Deletes come first, and what a
--      subscriber has before what is new to it: who gets several targets' events is told the row is there already.
--
--      It is right whatever happened to the rows since the statement touched them, for keys and targets that changed,
--      and after any ALTER TABLE, because the columns are looked up in the catalog. It is planned anew for each
--      statement, whose transition tables may be of any size, so capture functions use it only when the image of the
--      rows will not do.
--
--      Marked IMMUTABLE for the reason given in londiste.columns_of: making the text takes longer than running it.
--
-- Parameters:  i_op           - operation letter; says which of londiste_old, londiste_new there are; T: neither,
--                               but i_rel is about to be truncated
--              i_rel          - the table with the trigger
--              i_root         - the published table, differs for a partition
--              i_table        - name in the events
--              i_keys         - key columns
--              i_attnums      - where they stood in i_root; null: they are known by name only
--              i_route        - SQL of the target over the row's columns, null: no routing
--              i_route_attnum - where the route's column stood in i_root, when the route is a column
--              i_route_many   - whether the route gives an array of targets
--              i_route_now    - SQL of the target over the rows of i_root where it differs from that over the images,
--                               null: it does not
-- Returns:     what follows the event table's name in an INSERT, to be run where the transition tables are visible;
--              in pieces, between which the name of i_root (for T of i_rel) is to be put: a schema can be renamed
--              without a table noticing
-- Raises:      40001, see londiste.live_columns; 42703 when the route's column is gone
-- Locks taken: none
-- Called by:   capture functions that park, londiste.current_rows_sql
-- ----------------------------------------------------------------------
declare
    keys        text[];
    row_key     text;
    new_names   text;
    same_key    text;
    target      text := '(select null::pg_catalog.text as londiste_target)';
    target_now  text;
    form        text := case when i_route_many
        then '(select distinct londiste_one.target::pg_catalog.text as londiste_target from pg_catalog.unnest('
             'londiste.targets_of((%s)::pg_catalog.text[])) londiste_one (target))'
        else '(select (%s)::pg_catalog.text as londiste_target)' end;
    columns     text := londiste.columns_of(i_rel);
    head        text := ' (ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3) ';
begin
    -- A key column goes by its place, so that it is found after a rename; by its name where the place is empty.
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

    if i_route is not null then
        i_route := coalesce((select format('%I', c.o_name) from londiste.live_columns(i_root) c
                              where c.o_attnum = i_route_attnum), i_route);
        if i_route_attnum is not null and not exists (
                select from londiste.live_columns(i_root) c
                 where c.o_attnum = i_route_attnum or format('("%s")', replace(c.o_name, '"', '""')) = i_route) then
            raise exception 'the route of table "%" cannot be worked out: it has no column % any more', i_table, i_route
                using errcode = 'undefined_column',
                      hint = format('Set another route with: provider add %s --node-column ..., or --all-nodes.', i_table);
        end if;
        target := format(form, i_route);
    end if;

    target_now := case when i_route_now is null then target else format(form, i_route_now) end;

    if i_op = 'T' then
        -- There are no transition tables, but the rows are still there. Without a key they are logged whole.
        return array[
            head || format(
                'select pg_catalog.now(), %L, %s::pg_catalog.text, %L, %L, londiste_route.londiste_target from only ',
                'D' || case when array_position(keys, null) is null then keys::text else columns end,
                case when array_position(keys, null) is null then format('row(%s)', row_key) else '(londiste_row.*)' end,
                i_table,
                case when array_position(keys, null) is null then londiste.attnums_of(i_root, i_root, keys)
                     else londiste.attnums_of(i_rel, i_root) end),
            format(' londiste_row cross join lateral %s londiste_route', target)];
    end if;

    if array_position(keys, null) is not null then
        -- The key is gone: nothing to look rows up with, so the images must do, whole.
        return array[head || (
            select string_agg(format(
                'select pg_catalog.now(), %L, (londiste_row.*)::pg_catalog.text, %L, %L, londiste_route.londiste_target'
                ' from %s londiste_row cross join lateral %s londiste_route',
                i.letter || columns, i_table, londiste.attnums_of(i_rel, i_root), i.name, target),
                ' union all ' order by i.letter)
              from (values ('D', 'londiste_old', 'UD'), ('I', 'londiste_new', 'I'), ('U', 'londiste_new', 'U'))
                   i (letter, name, ops)
             where i.ops like '%' || i_op || '%')];
    end if;

    return array[head || 'with londiste_image as (' || (
            select string_agg(format(
                'select row(%s)::pg_catalog.text as londiste_key, londiste_route.londiste_target, %s as londiste_was, %s'
                ' from %s londiste_row cross join lateral %s londiste_route',
                row_key, i.was::text, new_names, i.name, target), ' union all ')
              from (values (true, 'londiste_old', 'UD'), (false, 'londiste_new', 'IU')) i (was, name, ops)
             where i.ops like '%' || i_op || '%')
        || format('), londiste_now as (
            select row(%s)::pg_catalog.text as londiste_key, londiste_route.londiste_target,
                   (londiste_row.*)::pg_catalog.text as londiste_text
              from (select distinct %s from londiste_image) londiste_key
              join ', row_key,
             (select string_agg(format('londiste_k%s', nr), ', ') from generate_subscripts(keys, 1) nr)),
        format(' londiste_row on %s
              cross join lateral %s londiste_route
        ) ', same_key, target_now)
        || format('
            select pg_catalog.now(), e.type, e.data, %L, e.attnums, e.target from (
                select 1 as step, %L as type, g.londiste_key as data, %L as attnums, g.londiste_target as target
                  from (select londiste_key, londiste_target from londiste_image
                        except select londiste_key, londiste_target from londiste_now) g
                union all
                select 2, pg_catalog.concat(case when w.id is null then ''I'' else ''U'' end, %L), n.londiste_text, %L,
                       n.londiste_target
                  from londiste_now n
                  left join (select distinct row(londiste_key, londiste_target)::pg_catalog.text as id
                               from londiste_image where londiste_was) w
                    on w.id OPERATOR(pg_catalog.=) row(n.londiste_key, n.londiste_target)::pg_catalog.text
            ) e order by e.step, e.type desc',
            i_table, 'D' || keys::text, londiste.attnums_of(i_root, i_root, keys),
            londiste.columns_of(i_root), londiste.attnums_of(i_root, i_root))];
end;
$$ language plpgsql immutable set search_path = pg_catalog, pg_temp;
