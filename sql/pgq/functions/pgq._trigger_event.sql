create or replace function pgq._trigger_event(
    i_format text, i_op text, i_relation oid, i_schema text, i_table text, i_pkey text[], i_ignore text[],
    i_backup boolean, i_row text, i_json json, i_old text, i_old_json json,
    out wanted boolean, out ev_type text, out ev_data text, out ev_extra1 text, out ev_extra2 text, out ev_extra3 text,
    out ev_extra4 text)
returns record as $$
-- ----------------------------------------------------------------------
-- Function: pgq._trigger_event(12)
--
--      Turns the change of a row into the fields of an event, in one of the three formats.
--
--      Works from the row's text, which is every column's own output, and looks the columns up on each call: nothing is
--      remembered that an ALTER TABLE could make wrong.
--
-- Parameters:  i_format   - logutriga, jsontriga or sqltriga
--              i_op       - INSERT, UPDATE or DELETE
--              i_relation, i_schema, i_table - the table
--              i_pkey     - key columns from the trigger's arguments, null: the primary key
--              i_ignore   - columns that are no part of the event, null: none
--              i_backup   - whether the old row goes into ev_extra2
--              i_row, i_json - text and JSON form of the row: the new one, or the one that is deleted
--              i_old, i_old_json - those of the old row of an UPDATE
--              (i_json and i_old_json are used by jsontriga only)
-- Returns:     wanted - false: the change touches nothing that the event would show
--              ev_type, ev_data, ev_extra1..4 - the event
-- Raises:      Update/Delete on table without pkey
--              primary key update not allowed
--              Unknown magic column: NAME
--              logtriga: Unexpected NULL key value
-- Locks taken: -
-- Called by:   pgq.jsontriga, pgq.logutriga, pgq.sqltriga
-- ----------------------------------------------------------------------
declare
    _update     constant boolean := i_op = 'UPDATE';
    _names      text[];
    _types      oid[];
    _values     text[] := pgq._row_values(i_row);
    _olds       text[];
    _pkey       text[] := i_pkey;
    _keys       text[];                 -- the same, as the columns are named
    _key_nrs    smallint[];
    _magic      boolean;
    _changed    boolean;
    _shown      boolean;
    _null_key   boolean;
    _where      text;
    _col        record;
    _same       boolean;
begin
    wanted := true;
    if _pkey is null then
        -- An int2vector counts from 0; columns that an index only includes are behind the key's.
        select (i.indkey::pg_catalog.int2[])[0 : i.indnkeyatts - 1]
          into _key_nrs
          from pg_catalog.pg_index i
         where i.indrelid = i_relation and i.indisprimary;
    end if;
    select pg_catalog.array_agg(a.attname::text order by a.attnum), pg_catalog.array_agg(a.atttypid order by a.attnum),
           pg_catalog.array_agg(a.attname::text order by pg_catalog.array_position(_key_nrs, a.attnum))
               filter (where a.attnum = any (_key_nrs)),
           coalesce(pg_catalog.bool_or(pg_catalog.starts_with(a.attname::text, '_pgq_ev_')), false)
      into _names, _types, _keys, _magic
      from pg_catalog.pg_attribute a
     where a.attrelid = i_relation and a.attnum > 0 and not a.attisdropped;
    if _names is null then
        _values := null;    -- the text of a row without columns looks like that of a row with one null
    end if;
    if _pkey is null then
        _pkey := _keys;
    else
        _keys := array(select pg_catalog.btrim(name) from pg_catalog.unnest(_pkey) as name);
    end if;
    if i_op <> 'INSERT' and coalesce(pg_catalog.array_to_string(_pkey, ''), '') = '' then
        raise exception 'Update/Delete on table without pkey';
    end if;

    if _update then
        _olds := case when _names is null then null else pgq._row_values(i_old) end;
        if i_row <> i_old then
            for _col in
                select c.name
                  from rows from (pg_catalog.unnest(_names), pg_catalog.unnest(_values), pg_catalog.unnest(_olds))
                       as c (name, val, old)
                 where c.name = any (_keys) and c.val is distinct from c.old
            loop
                -- Another text is not always another value: 1.0 and 1.00, or upper and lower case for some types.
                execute pg_catalog.format('select ($1::%1$s).%2$I is not distinct from ($2::%1$s).%2$I',
                                          i_relation::regclass, _col.name)
                   into _same
                  using i_row, i_old;
                if not _same then
                    raise exception 'primary key update not allowed';
                end if;
            end loop;

            -- A change of ignored columns only is no event; an update that changes nothing is one.
            if i_ignore is not null or (_magic and i_format = 'sqltriga') then
                select pg_catalog.bool_or(c.val is distinct from c.old),
                       pg_catalog.bool_or(c.val is distinct from c.old
                                          and not coalesce(c.name = any (i_ignore), false)
                                          and (i_format <> 'sqltriga'
                                               or not pg_catalog.starts_with(c.name, '_pgq_ev_')))
                  into _changed, _shown
                  from rows from (pg_catalog.unnest(_names), pg_catalog.unnest(_values), pg_catalog.unnest(_olds))
                       as c (name, val, old);
                if _changed and not _shown then
                    wanted := false;
                    return;
                end if;
            end if;
        end if;
    end if;

    ev_extra1 := i_schema || '.' || i_table;
    if i_format = 'logutriga' then
        ev_type := pg_catalog.left(i_op, 1) || ':' || coalesce(pg_catalog.array_to_string(_pkey, ','), '');
        ev_data := pgq._row_urlencoded(_names, _values, i_ignore);
        if i_backup and _update then
            ev_extra2 := pgq._row_urlencoded(_names, _olds, i_ignore);
        end if;
    elsif i_format = 'jsontriga' then
        ev_type := pg_catalog.format(
            '{"op":"%s","table":[%s,%s],"pkey":[%s]}', i_op, pg_catalog.to_json(i_schema), pg_catalog.to_json(i_table),
            (select pg_catalog.string_agg(pg_catalog.to_json(k.name)::text, ',' order by k.nr)
               from pg_catalog.unnest(_pkey) with ordinality as k (name, nr)));
        ev_data := pgq._row_json(_names, _types, _values, i_json, i_ignore);
        if i_backup and _update then
            ev_extra2 := pgq._row_json(_names, _types, _olds, i_old_json, i_ignore);
        end if;
    else
        ev_type := pg_catalog.left(i_op, 1);
        if i_op = 'INSERT' then
            select pg_catalog.format('(%s) values (%s)',
                                     pg_catalog.string_agg(pg_catalog.quote_ident(c.name), ',' order by c.nr),
                                     pg_catalog.string_agg(coalesce(pg_catalog.quote_literal(c.val), 'null'), ','
                                                           order by c.nr))
              into ev_data
              from rows from (pg_catalog.unnest(_names), pg_catalog.unnest(_values))
                   with ordinality as c (name, val, nr)
             where not coalesce(c.name = any (i_ignore), false) and not pg_catalog.starts_with(c.name, '_pgq_ev_');
        else
            -- The key as it was: that is how the row is found on the other side.
            select pg_catalog.string_agg(pg_catalog.quote_ident(c.name) || '=' || pg_catalog.quote_literal(c.val),
                                         ' and ' order by c.nr),
                   pg_catalog.bool_or(c.val is null)
              into _where, _null_key
              from rows from (pg_catalog.unnest(_names),
                              pg_catalog.unnest(case when _update then _olds else _values end))
                   with ordinality as c (name, val, nr)
             where c.name = any (_keys) and not pg_catalog.starts_with(c.name, '_pgq_ev_');
            if _null_key then
                raise exception 'logtriga: Unexpected NULL key value';
            elsif _where is null then
                raise exception 'Update/Delete on table without pkey';
            end if;
            ev_data := _where;
            if _update then
                select pg_catalog.string_agg(
                           pg_catalog.quote_ident(c.name) || '=' || pg_catalog.quote_nullable(c.val), ',' order by c.nr)
                  into ev_data
                  from rows from (pg_catalog.unnest(_names), pg_catalog.unnest(_values), pg_catalog.unnest(_olds))
                       with ordinality as c (name, val, old, nr)
                 where c.val is distinct from c.old
                   and not coalesce(c.name = any (i_ignore), false) and not pg_catalog.starts_with(c.name, '_pgq_ev_');
                if ev_data is null then
                    -- Nothing changed: sets a key column to what it is.
                    select pg_catalog.quote_ident(c.name) || '=' || pg_catalog.quote_literal(c.val)
                      into ev_data
                      from rows from (pg_catalog.unnest(_names), pg_catalog.unnest(_olds))
                           with ordinality as c (name, val, nr)
                     where c.name = any (_keys) and not pg_catalog.starts_with(c.name, '_pgq_ev_')
                     order by c.nr
                     limit 1;
                end if;
                ev_data := ev_data || ' where ' || _where;
            end if;
        end if;
        if i_backup and _update then
            ev_extra2 := pgq._row_urlencoded(_names, _olds, i_ignore);
        end if;
    end if;

    if _magic then
        for _col in
            select c.name, c.val
              from rows from (pg_catalog.unnest(_names), pg_catalog.unnest(_values)) as c (name, val)
             where pg_catalog.starts_with(c.name, '_pgq_ev_')
        loop
            case _col.name
                when '_pgq_ev_type' then ev_type := _col.val;
                when '_pgq_ev_data' then ev_data := _col.val;
                when '_pgq_ev_extra1' then ev_extra1 := _col.val;
                when '_pgq_ev_extra2' then ev_extra2 := _col.val;
                when '_pgq_ev_extra3' then ev_extra3 := _col.val;
                when '_pgq_ev_extra4' then ev_extra4 := _col.val;
                else raise exception 'Unknown magic column: %', _col.name;
            end case;
        end loop;
    end if;
end;
$$ language plpgsql;
