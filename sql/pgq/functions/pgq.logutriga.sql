create or replace function pgq.logutriga()
returns trigger as $$
-- ----------------------------------------------------------------------
-- Function: pgq.logutriga(0)
--
--      Trigger that logs changes as url-encoded rows: ev_type is the operation's letter and the key columns (I:id),
--      ev_data the whole new row (the old one of a DELETE), ev_extra1 schema.table. TRUNCATE is R without data.
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
    _letter constant text := case tg_op when 'TRUNCATE' then 'R' else pg_catalog.left(tg_op, 1) end;
    _opt    record;
    _ev     record;
    _type   oid;
    _text   text;
    _values text[];
begin
    if pg_catalog.current_setting('session_replication_role') = 'local' then
        return case tg_op when 'DELETE' then old else new end;
    end if;
    _opt := pgq._trigger_options(tg_argv, tg_op, _letter, tg_when, tg_level, _table);

    if tg_op = 'TRUNCATE' then
        perform pgq.insert_event(tg_argv[0], 'R', '', _table, null, null, null);
        return null;
    elsif tg_op = 'DELETE' then
        _ev := pgq._trigger_event(
            'logutriga', tg_op, tg_relid, tg_table_schema, tg_table_name, _opt.pkey, _opt.ignore_list,
            _opt.backup, old::text, null, null, null);
    elsif tg_op = 'INSERT' then
        _ev := pgq._trigger_event(
            'logutriga', tg_op, tg_relid, tg_table_schema, tg_table_name, _opt.pkey, _opt.ignore_list,
            _opt.backup, new::text, null, null, null);
    else
        _ev := pgq._trigger_event(
            'logutriga', tg_op, tg_relid, tg_table_schema, tg_table_name, _opt.pkey, _opt.ignore_list,
            _opt.backup, new::text, null, old::text, null);
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
