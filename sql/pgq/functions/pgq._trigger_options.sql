create or replace function pgq._trigger_options(
    i_args text[], i_op text, i_op_name text, i_when text, i_level text, i_table text,
    out ignore_list text[], out pkey text[], out backup boolean, out skip boolean, out condition text,
    out overridden text[], out overrides text)
returns record as $$
-- ----------------------------------------------------------------------
-- Function: pgq._trigger_options(6)
--
--      Reads the arguments of a trigger of this schema and checks that they make sense for what it is fired for.
--
-- Parameters:  i_args    - arguments of the trigger: queue name, then options
--              i_op      - TG_OP
--              i_op_name - how a denied operation is named
--              i_when    - TG_WHEN
--              i_level   - TG_LEVEL
--              i_table   - schema.table
-- Returns:     ignore_list - columns that are no part of the event, null: none
--              pkey        - key columns as written, null: the primary key
--              backup      - the old row goes into ev_extra2
--              skip        - the change of the row itself is dropped
--              condition   - query for `when=`: type and text of the result; null: none. $1 is the row
--              overridden  - the event's fields that are computed, null: none
--              overrides   - query for them: an array of texts in the same order. $1 is the row
-- Raises:      pgq Ins/Upd/Del trigger must be fired FOR EACH ROW
--              pgq trigger must have destination queue as argument
--              bad param to pgq trigger
--              Custom expressions do not make sense for truncater trigger, and its like
--              SKIP does not work in AFTER trigger.
--              Table 'S.T' to queue 'Q': change not allowed (OP)
-- Locks taken: -
-- Called by:   pgq.jsontriga, pgq.logutriga, pgq.sqltriga
-- ----------------------------------------------------------------------
declare
    _arg    text;
    _field  text;
    _deny   boolean := false;
    _parts  text[];
    _nr     integer := 0;
begin
    backup := false;
    skip := false;
    if i_level <> 'ROW' and i_op <> 'TRUNCATE' then
        raise exception 'pgq Ins/Upd/Del trigger must be fired FOR EACH ROW';
    end if;
    if coalesce(pg_catalog.cardinality(i_args), 0) = 0 then
        raise exception 'pgq trigger must have destination queue as argument';
    end if;

    foreach _arg in array i_args loop
        _nr := _nr + 1;
        continue when _nr = 1;
        if _arg = 'backup' then
            backup := true;
        elsif _arg = 'deny' then
            _deny := true;
        elsif _arg = 'SKIP' then
            skip := true;
        elsif pg_catalog.starts_with(_arg, 'ignore=') then
            ignore_list := array(
                select pg_catalog.btrim(name)
                  from pg_catalog.unnest(pg_catalog.string_to_array(pg_catalog.substr(_arg, 8), ',')) as name);
        elsif pg_catalog.starts_with(_arg, 'pkey=') then
            pkey := pg_catalog.string_to_array(pg_catalog.substr(_arg, 6), ',');
            if pkey = '{}' then
                pkey := array[''];
            end if;
        elsif pg_catalog.starts_with(_arg, 'when=') then
            -- The text form is that of the type's output function, which is what a cast to text is not for every type.
            condition := coalesce(condition, pg_catalog.format(
                E'select pg_catalog.pg_typeof(v)::pg_catalog.oid, case when pg_catalog.num_nulls(v) = 0'
                ' then pg_catalog.concat(v) end from (select (%s\n) as v from (select ($1).*) r) q',
                coalesce(nullif(pg_catalog.btrim(pg_catalog.substr(_arg, 6)), ''), 'null')));
        else
            _field := pg_catalog.split_part(_arg, '=', 1);
            if _field not in ('ev_type', 'ev_data', 'ev_extra1', 'ev_extra2', 'ev_extra3', 'ev_extra4')
               or pg_catalog.strpos(_arg, '=') = 0
            then
                raise exception 'bad param to pgq trigger';
            end if;
            -- The first one of a field counts.
            continue when _field = any (overridden);
            overridden := overridden || _field;
            _parts := _parts || pg_catalog.format(
                E'(select case when pg_catalog.num_nulls(v) = 0 then pg_catalog.concat(v) end'
                ' from (select (%s\n) as v) q)',
                coalesce(nullif(pg_catalog.btrim(pg_catalog.substr(_arg, pg_catalog.length(_field) + 2)), ''), 'null'));
        end if;
    end loop;
    if _parts is not null then
        overrides := pg_catalog.format('select array[%s]::pg_catalog.text[] from (select ($1).*) r',
                                       pg_catalog.array_to_string(_parts, ', '));
    end if;

    if i_op = 'TRUNCATE' then
        if condition is not null or overridden is not null then
            raise exception 'Custom expressions do not make sense for truncater trigger';
        elsif pkey is not null then
            raise exception 'Custom pkey_list does not make sense for truncate trigger';
        elsif ignore_list is not null then
            raise exception 'Column ignore does not make sense for truncate trigger';
        elsif backup then
            raise exception 'Backup does not make sense for truncate trigger';
        end if;
    end if;
    if skip and i_when = 'AFTER' then
        raise exception 'SKIP does not work in AFTER trigger.';
    end if;
    if _deny then
        raise exception 'Table ''%'' to queue ''%'': change not allowed (%)',
            i_table, i_args[pg_catalog.array_lower(i_args, 1)], i_op_name;
    end if;
end;
$$ language plpgsql immutable;
