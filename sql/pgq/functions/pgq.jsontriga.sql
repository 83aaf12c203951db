create or replace function pgq.jsontriga()
returns trigger as $$
-- ----------------------------------------------------------------------
-- Function: pgq.jsontriga(0)
--
--      Trigger that logs changes as JSON: ev_type is an object with operation, table and key columns, ev_data one with
--      the whole new row (the old one of a DELETE), ev_extra1 schema.table.
--
-- Parameters:  of the trigger: queue name, then any of
--              SKIP - BEFORE trigger: drop the change of the row itself
--              ignore=col[,col] - columns that are no part of the event
--              pkey=col[,col] - key columns, instead of the primary key's
--              backup - the old row of an UPDATE goes into ev_extra2
--              deny - refuse the change
--              when=EXPR - no event where this is false
--              ev_type=EXPR, ev_data=EXPR, ev_extra1..4=EXPR - computes the field, from the row's columns
--              Columns _pgq_ev_type, _pgq_ev_data, _pgq_ev_extra1..4 of the table set the field too
-- Returns:     the row, null with SKIP
-- Raises:      as pgq._trigger_options, pgq._trigger_event, pgq.insert_event
--              when= should not be NULL
--              when= query result must be boolean, got=TYPE
-- Locks taken: ROW EXCLUSIVE on the queue's current event table
-- Called by:   triggers, row level, or statement level for TRUNCATE
-- ----------------------------------------------------------------------
declare
    _table  constant text := tg_table_schema || '.' || tg_table_name;
    _opt    record;
    _ev     record;
    _type   oid;
    _text   text;
    _values text[];
begin
    if pg_catalog.current_setting('session_replication_role') = 'local' then
        return case tg_op when 'DELETE' then old else new end;
    end if;
    _opt := pgq._trigger_options(tg_argv, tg_op, tg_op, tg_when, tg_level, _table);

    if tg_op = 'TRUNCATE' then
        perform pgq.insert_event(
            tg_argv[0],
            pg_catalog.format(
                '{"op":"TRUNCATE","table":[%s,%s],"pkey":[%s]}',
                pg_catalog.to_json(tg_table_schema::text), pg_catalog.to_json(tg_table_name::text),
                (select pg_catalog.string_agg(pg_catalog.to_json(a.attname::text)::text, ',' order by k.nr)
                   from pg_catalog.pg_index i
                  cross join lateral pg_catalog.unnest(i.indkey) with ordinality as k (attnum, nr)
                   join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                  where i.indrelid = tg_relid and i.indisprimary and k.nr <= i.indnkeyatts)),
            '{}', _table, null, null, null);
        return null;
    elsif tg_op = 'DELETE' then
        _ev := pgq._trigger_event(
            'jsontriga', tg_op, tg_relid, tg_table_schema, tg_table_name, _opt.pkey, _opt.ignore_list,
            _opt.backup, old::text, pg_catalog.row_to_json(old), null, null);
    elsif tg_op = 'INSERT' then
        _ev := pgq._trigger_event(
            'jsontriga', tg_op, tg_relid, tg_table_schema, tg_table_name, _opt.pkey, _opt.ignore_list,
            _opt.backup, new::text, pg_catalog.row_to_json(new), null, null);
    else
        _ev := pgq._trigger_event(
            'jsontriga', tg_op, tg_relid, tg_table_schema, tg_table_name, _opt.pkey, _opt.ignore_list,
            _opt.backup, new::text, pg_catalog.row_to_json(new), old::text, pg_catalog.row_to_json(old));
    end if;

    if _ev.wanted and _opt.condition is not null then
        if tg_op = 'DELETE' then
            execute _opt.condition into _type, _text using old;
        else
            execute _opt.condition into _type, _text using new;
        end if;
        if _type <> 16 then
            raise exception 'when= query result must be boolean, got=%', _type;
        elsif _text is null then
            raise exception 'when= should not be NULL';
        end if;
        _ev.wanted := _text = 't';
    end if;
    if _ev.wanted then
        if _opt.overrides is not null then
            if tg_op = 'DELETE' then
                execute _opt.overrides into _values using old;
            else
                execute _opt.overrides into _values using new;
            end if;
            for _nr in 1 .. pg_catalog.cardinality(_values) loop
                case _opt.overridden[_nr]
                    when 'ev_type' then _ev.ev_type := _values[_nr];
                    when 'ev_data' then _ev.ev_data := _values[_nr];
                    when 'ev_extra1' then _ev.ev_extra1 := _values[_nr];
                    when 'ev_extra2' then _ev.ev_extra2 := _values[_nr];
                    when 'ev_extra3' then _ev.ev_extra3 := _values[_nr];
                    else _ev.ev_extra4 := _values[_nr];
                end case;
            end loop;
        end if;
        perform pgq.insert_event(tg_argv[0], _ev.ev_type, _ev.ev_data, _ev.ev_extra1, _ev.ev_extra2, _ev.ev_extra3,
                                 _ev.ev_extra4);
    end if;

    if _opt.skip then
        return null;
    end if;
    return case tg_op when 'DELETE' then old else new end;
end;
$$ language plpgsql;
