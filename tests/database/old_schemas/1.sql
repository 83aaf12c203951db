-- londiste_lite 0.1.0, schema version 1
begin;
set local check_function_bodies = off;
-- file: sql/pgq/schema.sql
-- The schema of the queue, and the three roles that its grants are made to.
create schema if not exists pgq;
grant usage on schema pgq to public;

-- Roles belong to the whole cluster: another database may have made them, or may be making them at this moment, and the
-- installing role may not be allowed to. The queue works without them; grants.sql grants to those that exist.
do $$
declare
    _role text;
begin
    foreach _role in array array['pgq_reader', 'pgq_writer', 'pgq_admin'] loop
        if pg_catalog.to_regrole(_role) is null then
            begin
                execute pg_catalog.format('create role %I', _role);
            exception
                when duplicate_object or unique_violation or insufficient_privilege then
                    null;
            end;
        end if;
    end loop;
    foreach _role in array array['pgq_reader', 'pgq_writer'] loop
        if pg_catalog.to_regrole(_role) is not null and pg_catalog.to_regrole('pgq_admin') is not null then
            begin
                -- A superuser is a member of everything, so look at the membership itself.
                if not exists (
                    select 1
                      from pg_catalog.pg_auth_members m
                     where m.roleid = pg_catalog.to_regrole(_role) and m.member = pg_catalog.to_regrole('pgq_admin')
                ) then
                    execute pg_catalog.format('grant %I to pgq_admin', _role);
                end if;
            exception
                -- internal_error is what "tuple concurrently updated" of another database's install arrives as.
                when duplicate_object or unique_violation or insufficient_privilege or internal_error then
                    null;
            end;
        end if;
    end loop;
end;
$$;

-- file: sql/pgq/tables.sql
-- Tables of the queue in their final state. Names, columns and defaults are PgQ's: clients read these tables directly.

-- The names of consumers; one row serves all queues that a consumer reads.
create table if not exists pgq.consumer (
    co_id       serial,
    co_name     text not null,
    constraint consumer_pkey primary key (co_id),
    constraint consumer_name_uq unique (co_name)
);

-- One row per queue: where its events are, when it ticks, when its tables rotate.
create table if not exists pgq.queue (
    queue_id                    serial,
    queue_name                  text not null,
    queue_ntables               integer not null default 3,         -- how many event tables take turns
    queue_cur_table             integer not null default 0,         -- number of the table that is written now
    queue_rotation_period       interval not null default '2 hours',
    queue_switch_step1          bigint not null default pg_catalog.txid_current(),  -- transaction of the last rotation
    queue_switch_step2          bigint default pg_catalog.txid_current(),           -- one that began after it, or null
    queue_switch_time           timestamptz not null default pg_catalog.now(),
    queue_external_ticker       boolean not null default false,     -- ticks come from elsewhere
    queue_disable_insert        boolean not null default false,     -- only session_replication_role replica may insert
    queue_ticker_paused         boolean not null default false,
    queue_ticker_max_count      integer not null default 500,       -- tick when so many events wait
    queue_ticker_max_lag        interval not null default '3 seconds',  -- tick when one has waited so long
    queue_ticker_idle_period    interval not null default '1 minute',   -- tick after this without any event
    queue_per_tx_limit          integer,                            -- most events of one transaction, null: no limit
    queue_data_pfx              text not null,                      -- pgq.event_N
    queue_event_seq             text not null,                      -- pgq.event_N_id_seq
    queue_tick_seq              text not null,                      -- pgq.event_N_tick_seq
    queue_extra_maint           text[],                             -- functions that maintenance calls with the name
    constraint queue_pkey primary key (queue_id),
    constraint queue_name_uq unique (queue_name)
) with (fillfactor = 50);

-- The moments between which batches lie.
create table if not exists pgq.tick (
    tick_queue      integer not null,
    tick_id         bigint not null,
    tick_time       timestamptz not null default pg_catalog.now(),
    tick_snapshot   txid_snapshot not null default pg_catalog.txid_current_snapshot(),
    tick_event_seq  bigint not null,                                -- value of the event sequence at that moment
    constraint tick_pkey primary key (tick_queue, tick_id),
    constraint tick_queue_fkey foreign key (tick_queue) references pgq.queue (queue_id)
);

-- Batch numbers are unique over all queues.
create sequence if not exists pgq.batch_id_seq;

-- Who reads which queue and how far. A few rows that change with every batch: room on the page for the new versions.
create table if not exists pgq.subscription (
    sub_id          serial not null,                                -- not unique: cooperative consumers share it
    sub_queue       integer not null,
    sub_consumer    integer not null,
    sub_last_tick   bigint,                                         -- processed up to here; null: idle subconsumer
    sub_active      timestamptz not null default pg_catalog.now(),
    sub_batch       bigint,                                         -- the open batch, null when there is none
    sub_next_tick   bigint,                                         -- where the open batch ends
    constraint subscription_pkey primary key (sub_queue, sub_consumer),
    constraint subscription_batch_idx unique (sub_batch),
    constraint sub_queue_fkey foreign key (sub_queue) references pgq.queue (queue_id),
    constraint sub_consumer_fkey foreign key (sub_consumer) references pgq.consumer (co_id)
) with (fillfactor = 20, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);

-- What every event table looks like; its privileges are given to each event table too.
create table if not exists pgq.event_template (
    ev_id       bigint not null,
    ev_time     timestamptz not null,
    ev_txid     bigint not null default pg_catalog.txid_current(),
    ev_owner    integer,                                            -- sub_id of the only reader, null: everybody
    ev_retry    integer,                                            -- how often it came back, null: never
    ev_type     text,
    ev_data     text,
    ev_extra1   text,
    ev_extra2   text,
    ev_extra3   text,
    ev_extra4   text
);

-- Events that a consumer wants to see again later.
create table if not exists pgq.retry_queue (
    ev_retry_after  timestamptz not null,
    ev_queue        integer not null,
    like pgq.event_template,
    constraint rq_pkey primary key (ev_owner, ev_id),
    constraint rq_queue_id_fkey foreign key (ev_queue) references pgq.queue (queue_id)
);
-- The transaction is chosen when the event goes back into the queue.
alter table pgq.retry_queue alter column ev_txid drop not null;
create index if not exists rq_retry_idx on pgq.retry_queue (ev_retry_after);

-- file: sql/pgq/functions/pgq._grant_perms_from.sql
create or replace function pgq._grant_perms_from(src_schema text, src_table text, dst_schema text, dst_table text)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq._grant_perms_from(4)
--
--      Gives everybody the privileges on one table that they have on another, those on single columns included.
--
-- Parameters:  src_schema, src_table - the pattern
--              dst_schema, dst_table - the table that gets the grants
-- Returns:     1
-- Raises:      relation does not exist
-- Locks taken: row locks in pg_class and pg_attribute
-- Called by:   pgq.grant_perms
-- ----------------------------------------------------------------------
declare
    _from   regclass := to_regclass(format('%I.%I', src_schema, src_table));
    _to     text := format('%I.%I', dst_schema, dst_table);
    _grant  record;
begin
    for _grant in
        select a.privilege_type, a.is_grantable, null::text as col,
               case a.grantee when 0 then 'public' else quote_ident(r.rolname) end as who
          from pg_class c
         cross join lateral aclexplode(c.relacl) a
          left join pg_roles r on r.oid = a.grantee
         where c.oid = _from and a.grantee <> c.relowner and (a.grantee = 0 or r.oid is not null)
        union all
        select a.privilege_type, a.is_grantable, quote_ident(t.attname),
               case a.grantee when 0 then 'public' else quote_ident(r.rolname) end
          from pg_attribute t
         cross join lateral aclexplode(t.attacl) a
          left join pg_roles r on r.oid = a.grantee
         where t.attrelid = _from and t.attnum > 0 and not t.attisdropped and (a.grantee = 0 or r.oid is not null)
    loop
        execute format('grant %s %s on table %s to %s %s', _grant.privilege_type, '(' || _grant.col || ')', _to,
                       _grant.who, case when _grant.is_grantable then 'with grant option' end);
    end loop;
    return 1;
end;
$$ language plpgsql strict set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq._row_json.sql
create or replace function pgq._row_json(i_names text[], i_types oid[], i_values text[], i_json json, i_ignore text[])
returns text as $$
-- ----------------------------------------------------------------------
-- Function: pgq._row_json(5)
--
--      Writes a row as a JSON object: booleans and integers as such, dates and timestamps in ISO form whatever the
--      session's DateStyle, all else as strings.
--
-- Parameters:  i_names  - names of the columns
--              i_types  - their types
--              i_values - their texts
--              i_json   - what row_to_json makes of the row
--              i_ignore - columns to leave out, null: none
-- Returns:     the text
-- Raises:      -
-- Locks taken: -
-- Called by:   pgq._trigger_event
-- ----------------------------------------------------------------------
begin
    return '{' || coalesce((
        select pg_catalog.string_agg(
                   pg_catalog.to_json(c.name)::text || ':' || case
                       when c.val is null then 'null'
                       when c.typ in (21, 23, 20) then c.val           -- int2, int4, int8
                       when c.typ = 16 then case c.val when 't' then 'true' else 'false' end
                       when c.typ in (1082, 1114, 1184) then (i_json -> c.name)::text  -- date, timestamp, timestamptz
                       else pg_catalog.to_json(c.val)::text end,
                   ',' order by c.nr)
          from rows from (pg_catalog.unnest(i_names), pg_catalog.unnest(i_types), pg_catalog.unnest(i_values))
               with ordinality as c (name, typ, val, nr)
         where not coalesce(c.name = any (i_ignore), false)
           and not pg_catalog.starts_with(c.name, '_pgq_ev_')), '') || '}';
end;
$$ language plpgsql stable;

-- file: sql/pgq/functions/pgq._row_urlencoded.sql
create or replace function pgq._row_urlencoded(i_names text[], i_values text[], i_ignore text[])
returns text as $$
-- ----------------------------------------------------------------------
-- Function: pgq._row_urlencoded(3)
--
--      Writes a row as name=value&name=value; a null is the name alone.
--
-- Parameters:  i_names  - names of the columns
--              i_values - their texts
--              i_ignore - columns to leave out, null: none
-- Returns:     the text
-- Raises:      -
-- Locks taken: -
-- Called by:   pgq._trigger_event
-- ----------------------------------------------------------------------
declare
    _unsafe constant text := '[^a-zA-Z0-9_.-]';     -- most names and many values need no encoding
begin
    return coalesce((
        select pg_catalog.string_agg(
                   case when c.name ~ _unsafe then pgq._urlencode(c.name) else c.name end
                   || case when c.val is null then ''
                           when c.val ~ _unsafe then '=' || pgq._urlencode(c.val)
                           else '=' || c.val end,
                   '&' order by c.nr)
          from rows from (pg_catalog.unnest(i_names), pg_catalog.unnest(i_values)) with ordinality as c (name, val, nr)
         where not coalesce(c.name = any (i_ignore), false) and not pg_catalog.starts_with(c.name, '_pgq_ev_')), '');
end;
$$ language plpgsql immutable;

-- file: sql/pgq/functions/pgq._row_values.sql
create or replace function pgq._row_values(i_row text)
returns text[] as $$
-- ----------------------------------------------------------------------
-- Function: pgq._row_values(1)
--
--      Splits the text form of a row into the text forms of its columns.
--
-- Parameters:  i_row - text of a row, as (1,"a ""b""",)
-- Returns:     one element per column that is not dropped; null for null
-- Raises:      -
-- Locks taken: -
-- Called by:   pgq._trigger_event
-- ----------------------------------------------------------------------
begin
    -- Each column ends with a comma once the closing bracket is one. Quotes and backslashes are doubled inside quotes.
    return array(
        select case when field[1] is not null
                    then pg_catalog.replace(pg_catalog.replace(field[1], '""', '"'), '\\', '\')
                    else nullif(field[2], '') end
          from pg_catalog.regexp_matches(
                   pg_catalog.substr(i_row, 2, pg_catalog.length(i_row) - 2) || ',',
                   '(?:"((?:[^"\\]|""|\\\\)*)"|([^,]*)),', 'g') as field);
end;
$$ language plpgsql immutable;

-- file: sql/pgq/functions/pgq._trigger_event.sql
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

-- file: sql/pgq/functions/pgq._trigger_options.sql
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

-- file: sql/pgq/functions/pgq._urlencode.sql
create or replace function pgq._urlencode(val text)
returns text as $$
-- ----------------------------------------------------------------------
-- Function: pgq._urlencode(1)
--
--      Encodes a text as in the query part of a URL: a blank is +, letters, digits and _ . - stay, every other byte of
--      the database's encoding is % and two hexadecimal digits.
--
-- Parameters:  val - the text
-- Returns:     the encoded text
-- Raises:      -
-- Locks taken: -
-- Called by:   pgq._trigger_event
-- ----------------------------------------------------------------------
begin
    if val !~ '[^a-zA-Z0-9_.-]' then
        return val;
    end if;
    -- Runs of safe characters stay; of the others the bytes are written, and the blanks among them replaced.
    return (
        select pg_catalog.string_agg(
                   run[1] || pg_catalog.replace(
                       pg_catalog.regexp_replace(
                           pg_catalog.encode(pg_catalog.convert_to(run[2], pg_catalog.getdatabaseencoding()), 'hex'),
                           '(..)', '%\1', 'g'),
                       '%20', '+'),
                   '')
          from pg_catalog.regexp_matches(val, '([a-zA-Z0-9_.-]*)([^a-zA-Z0-9_.-]*)', 'g') as run);
end;
$$ language plpgsql strict immutable;

-- file: sql/pgq/functions/pgq.batch_event_sql.sql
create or replace function pgq.batch_event_sql(x_batch_id bigint)
returns text as $$
-- ----------------------------------------------------------------------
-- Function: pgq.batch_event_sql(1)
--
--      Builds the query that returns the events of a batch: those of transactions that had ended at the batch's later
--      tick and had not at the earlier one.
--
--      Nearly all of them lie between the upper ends of the two snapshots. The others were in progress at the earlier
--      tick: those near the lower end of the range extend it, the rest is looked up one by one, so that a transaction
--      that was open for hours does not make the scan start hours back. All event tables of the queue are looked at,
--      by the index on ev_txid: also a writer that took the name of the current table before a rotation and used it
--      after it is read.
--
-- Parameters:  x_batch_id - number of the open batch
-- Returns:     text of the query
-- Raises:      batch not found
-- Locks taken: -
-- Called by:   pgq.get_batch_events, pgq.get_batch_cursor, pgq.event_retry, pgq.batch_retry
-- ----------------------------------------------------------------------
declare
    _near   constant integer := 100;    -- transactions; reading past so many others is cheaper than one more lookup
    _b      record;
    _from   bigint;
    _txid   bigint;
    _single bigint[] := '{}';
    _select text;
    _sql    text;
begin
    select s.sub_id, q.queue_data_pfx as pfx, prev.tick_snapshot as since, till.tick_snapshot as till
      into _b
      from pgq.subscription s
      join pgq.queue q on q.queue_id = s.sub_queue
      join pgq.tick prev on prev.tick_queue = s.sub_queue and prev.tick_id = s.sub_last_tick
      join pgq.tick till on till.tick_queue = s.sub_queue and till.tick_id = s.sub_next_tick
     where s.sub_batch = x_batch_id;
    if not found then
        raise exception 'batch not found';
    end if;

    _from := txid_snapshot_xmax(_b.since);
    for _txid in
        select x.txid
          from txid_snapshot_xip(_b.since) as x (txid)
         where txid_visible_in_snapshot(x.txid, _b.till)
         order by x.txid desc
    loop
        if _txid >= _from - _near and cardinality(_single) = 0 then
            _from := _txid;
        else
            _single := _txid || _single;
        end if;
    end loop;

    _select := format(
        'select ev_id, ev_time, ev_txid, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4'
        ' from %s where (ev_owner is null or ev_owner = %s)', _b.pfx, _b.sub_id);
    _sql := format(
        '%s and ev_txid >= %s and ev_txid < %s'
        ' and pg_catalog.txid_visible_in_snapshot(ev_txid, %L::pg_catalog.txid_snapshot)'
        ' and not pg_catalog.txid_visible_in_snapshot(ev_txid, %L::pg_catalog.txid_snapshot)',
        _select, _from, txid_snapshot_xmax(_b.till), _b.till, _b.since);
    if cardinality(_single) > 0 then
        _sql := format('%s union all %s and ev_txid = any (%L::pg_catalog.int8[])', _sql, _select, _single);
    end if;
    return _sql || ' order by 1';
end;
$$ language plpgsql set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.batch_event_tables.sql
create or replace function pgq.batch_event_tables(x_batch_id bigint)
returns setof text as $$
-- ----------------------------------------------------------------------
-- Function: pgq.batch_event_tables(1)
--
--      Names the event tables that a batch's events were written to, one or two. The last rotation decides: older ones
--      are behind every consumer.
--
-- Parameters:  x_batch_id - number of the open batch
-- Returns:     pgq.event_N_M, the older table first
-- Raises:      Cannot find data for batch N
-- Locks taken: -
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
declare
    _b      record;
begin
    select q.queue_data_pfx as pfx, q.queue_cur_table as cur, q.queue_ntables as n,
           q.queue_switch_step1 as step1, q.queue_switch_step2 as step2,
           prev.tick_snapshot as since, till.tick_snapshot as till
      into _b
      from pgq.subscription s
      join pgq.queue q on q.queue_id = s.sub_queue
      join pgq.tick prev on prev.tick_queue = s.sub_queue and prev.tick_id = s.sub_last_tick
      join pgq.tick till on till.tick_queue = s.sub_queue and till.tick_id = s.sub_next_tick
     where s.sub_batch = x_batch_id;
    if not found then
        raise exception 'Cannot find data for batch %', x_batch_id;
    end if;

    -- Who wrote to the old table has a lower number than step 2. If all those had ended when the batch began, it has
    -- nothing there. A writer that ended before the rotation committed cannot have seen the new table.
    if _b.step2 is null or _b.step2 >= txid_snapshot_xmin(_b.since) then
        return next _b.pfx || '_' || ((_b.cur - 1 + _b.n) % _b.n);
    end if;
    if txid_visible_in_snapshot(_b.step1, _b.till) then
        return next _b.pfx || '_' || _b.cur;
    end if;
end;
$$ language plpgsql set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.batch_retry.sql
create or replace function pgq.batch_retry(i_batch_id bigint, i_retry_seconds integer)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.batch_retry(2)
--
--      Lets all events of the open batch come back to this consumer after some seconds.
--
-- Parameters:  i_batch_id      - number of the open batch
--              i_retry_seconds - not before so many seconds have passed
-- Returns:     number of events that will come back and did not before this call
-- Raises:      batch_retry: batch N not found
-- Locks taken: -
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
declare
    _queue  integer;
    _owner  integer;
    _count  integer;
begin
    select s.sub_queue, s.sub_id into _queue, _owner from pgq.subscription s where s.sub_batch = i_batch_id;
    if not found then
        raise exception 'batch_retry: batch % not found', i_batch_id;
    end if;
    execute format(
        'insert into pgq.retry_queue (ev_retry_after, ev_queue, ev_id, ev_time, ev_txid, ev_owner, ev_retry,'
        ' ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)'
        ' select $1, $2, ev_id, ev_time, null, $3, coalesce(ev_retry, 0) + 1,'
        ' ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4 from (%s) ev'
        ' on conflict (ev_owner, ev_id) do nothing', pgq.batch_event_sql(i_batch_id))
      using now() + make_interval(secs => i_retry_seconds), _queue, _owner;
    get diagnostics _count = row_count;
    return _count;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.create_queue.sql
create or replace function pgq.create_queue(i_queue_name text)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.create_queue(1)
--
--      Creates a queue with its event tables, its sequences and a first tick.
--
-- Parameters:  i_queue_name - name of the queue, any text
-- Returns:     1 - created, 0 - there is one already
-- Raises:      Invalid NULL value
-- Locks taken: the unique index entry of the name, until commit
-- Called by:   users, pgq_admin; `create` of the queue commands
-- ----------------------------------------------------------------------
declare
    _id     integer;
    _pfx    text;
    _child  text;
begin
    if i_queue_name is null then
        raise exception 'Invalid NULL value';
    end if;

    -- The usual second call must not burn a number of the sequence.
    if exists (select 1 from pgq.queue q where q.queue_name = i_queue_name) then
        return 0;
    end if;
    _id := nextval('pgq.queue_queue_id_seq');
    _pfx := 'pgq.event_' || _id;
    insert into pgq.queue (queue_id, queue_name, queue_data_pfx, queue_event_seq, queue_tick_seq)
    values (_id, i_queue_name, _pfx, _pfx || '_id_seq', _pfx || '_tick_seq')
    on conflict (queue_name) do nothing;
    if not found then
        return 0;
    end if;

    execute format('create sequence %s_id_seq', _pfx);
    execute format('create sequence %s_tick_seq', _pfx);
    execute format('create table %s () inherits (pgq.event_template)', _pfx);
    for _i in 0 .. (select q.queue_ntables - 1 from pgq.queue q where q.queue_id = _id) loop
        _child := _pfx || '_' || _i;
        execute format('create table %s () inherits (%s)', _child, _pfx);
        execute format('alter table %s alter column ev_id set default pg_catalog.nextval(%L)',
                       _child, _pfx || '_id_seq');
        -- For producers that COPY into the current table and name only the columns they have.
        execute format('alter table %s alter column ev_time set default pg_catalog.now()', _child);
        execute format('create index event_%s_%s_txid_idx on %s (ev_txid)', _id, _i, _child);
    end loop;
    perform pgq.tune_storage(i_queue_name);
    perform pgq.grant_perms(i_queue_name);
    perform pgq.ticker(i_queue_name);
    return 1;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.current_event_table.sql
create or replace function pgq.current_event_table(x_queue_name text)
returns text as $$
-- ----------------------------------------------------------------------
-- Function: pgq.current_event_table(1)
--
--      Names the table that events go into now, for COPY. Valid until the end of the transaction.
--
--      Qualified throughout, not pinned: it is called once per bulk insert, often of a few rows.
--
-- Parameters:  x_queue_name - name of the queue
-- Returns:     pgq.event_N_M
-- Raises:      Event queue not found
--              Writing to queue disabled
-- Locks taken: -
-- Called by:   producers, pgq_writer
-- ----------------------------------------------------------------------
declare
    _table      pg_catalog.text;
    _disabled   pg_catalog.bool;
begin
    select pg_catalog.concat(q.queue_data_pfx, '_', q.queue_cur_table), q.queue_disable_insert
      into _table, _disabled
      from pgq.queue q
     where q.queue_name operator(pg_catalog.=) x_queue_name;
    if not found then
        raise exception 'Event queue not found';
    end if;
    if _disabled and pg_catalog.current_setting('session_replication_role') operator(pg_catalog.<>) 'replica' then
        raise exception 'Writing to queue disabled';
    end if;
    return _table;
end;
$$ language plpgsql;

-- file: sql/pgq/functions/pgq.drop_queue.sql
create or replace function pgq.drop_queue(x_queue_name text, x_force boolean)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.drop_queue(2)
--
--      Drops a queue with all its events and ticks.
--
-- Parameters:  x_queue_name - name of the queue
--              x_force      - true: unregister its consumers, false: refuse while there are any
-- Returns:     1
-- Raises:      No such event queue
--              cannot drop queue, consumers still attached
-- Locks taken: the queue's row; ACCESS EXCLUSIVE on its tables and sequences
-- Called by:   users, pgq_admin; `drop` of the queue commands
-- ----------------------------------------------------------------------
declare
    _q      record;
    _name   text;
begin
    select q.queue_id, q.queue_data_pfx, q.queue_event_seq, q.queue_tick_seq, q.queue_ntables
      into _q
      from pgq.queue q
     where q.queue_name = x_queue_name
       for update;
    if not found then
        raise exception 'No such event queue';
    end if;

    if x_force then
        -- Subconsumers go with their main consumer, so a name of this list may be gone when its turn comes.
        for _name in
            select c.co_name
              from pgq.subscription s
              join pgq.consumer c on c.co_id = s.sub_consumer
             where s.sub_queue = _q.queue_id
             order by c.co_name
        loop
            perform pgq.unregister_consumer(x_queue_name, _name);
        end loop;
    elsif exists (select 1 from pgq.subscription s where s.sub_queue = _q.queue_id) then
        raise exception 'cannot drop queue, consumers still attached';
    end if;

    for _i in 0 .. _q.queue_ntables - 1 loop
        execute format('drop table %s_%s', _q.queue_data_pfx, _i);
    end loop;
    execute format('drop table %s', _q.queue_data_pfx);
    execute format('drop sequence %s', _q.queue_event_seq);
    execute format('drop sequence %s', _q.queue_tick_seq);
    delete from pgq.retry_queue r where r.ev_queue = _q.queue_id;
    delete from pgq.tick t where t.tick_queue = _q.queue_id;
    delete from pgq.queue q where q.queue_id = _q.queue_id;
    return 1;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq.drop_queue(x_queue_name text)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.drop_queue(1)
--
--      Drops a queue that no consumer reads any more.
--
-- Parameters:  x_queue_name - name of the queue
-- Returns:     1
-- Raises:      No such event queue
--              cannot drop queue, consumers still attached
-- Locks taken: as pgq.drop_queue(2)
-- Called by:   users, pgq_admin
-- ----------------------------------------------------------------------
begin
    return pgq.drop_queue(x_queue_name, false);
end;
$$ language plpgsql strict set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.event_retry.sql
create or replace function pgq.event_retry(x_batch_id bigint, x_event_id bigint, x_retry_time timestamptz)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.event_retry(3)
--
--      Lets one event of the open batch come back to this consumer later.
--
-- Parameters:  x_batch_id   - number of the open batch
--              x_event_id   - the event
--              x_retry_time - not before this
-- Returns:     1 - will come back, 0 - that was already so
-- Raises:      event not found
-- Locks taken: -
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
declare
    _queue  integer;
    _owner  integer;
    _ev     record;
begin
    select s.sub_queue, s.sub_id into _queue, _owner from pgq.subscription s where s.sub_batch = x_batch_id;
    if not found then
        raise exception 'event not found';
    end if;
    execute format('select * from (%s) ev where ev.ev_id = $1 limit 1', pgq.batch_event_sql(x_batch_id))
       into _ev
      using x_event_id;
    if _ev.ev_id is null then
        raise exception 'event not found';
    end if;

    insert into pgq.retry_queue (ev_retry_after, ev_queue, ev_id, ev_time, ev_txid, ev_owner, ev_retry,
                                 ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)
    values (x_retry_time, _queue, _ev.ev_id, _ev.ev_time, null, _owner, coalesce(_ev.ev_retry, 0) + 1,
            _ev.ev_type, _ev.ev_data, _ev.ev_extra1, _ev.ev_extra2, _ev.ev_extra3, _ev.ev_extra4)
    on conflict (ev_owner, ev_id) do nothing;
    return case when found then 1 else 0 end;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq.event_retry(x_batch_id bigint, x_event_id bigint, x_retry_seconds integer)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.event_retry(3)
--
--      Lets one event of the open batch come back to this consumer after some seconds.
--
-- Parameters:  x_batch_id      - number of the open batch
--              x_event_id      - the event
--              x_retry_seconds - not before so many seconds have passed
-- Returns:     1 - will come back, 0 - that was already so
-- Raises:      event not found
-- Locks taken: -
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    return pgq.event_retry(x_batch_id, x_event_id, now() + make_interval(secs => x_retry_seconds));
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.event_retry_raw.sql
create or replace function pgq.event_retry_raw(
    x_queue text, x_consumer text, x_retry_after timestamptz, x_ev_id bigint, x_ev_time timestamptz, x_ev_retry integer,
    x_ev_type text, x_ev_data text, x_ev_extra1 text, x_ev_extra2 text, x_ev_extra3 text, x_ev_extra4 text)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq.event_retry_raw(12)
--
--      Puts any event where events wait for retry.
--
-- Parameters:  x_queue, x_consumer - who is to see the event
--              x_retry_after       - not before this
--              x_ev_id             - null: a new number
--              x_ev_time, x_ev_retry, x_ev_type, x_ev_data, x_ev_extra1..4 - the event
-- Returns:     number of the event
-- Raises:      consumer not registered
-- Locks taken: -
-- Called by:   pgq_admin
-- ----------------------------------------------------------------------
declare
    _queue  integer;
    _owner  integer;
    _seq    text;
    _id     bigint := x_ev_id;
begin
    select s.sub_queue, s.sub_id, q.queue_event_seq
      into _queue, _owner, _seq
      from pgq.subscription s
      join pgq.queue q on q.queue_id = s.sub_queue
      join pgq.consumer c on c.co_id = s.sub_consumer
     where q.queue_name = x_queue and c.co_name = x_consumer;
    if not found then
        raise exception 'consumer not registered';
    end if;
    if _id is null then
        _id := nextval(_seq::regclass);
    end if;
    insert into pgq.retry_queue (ev_retry_after, ev_queue, ev_id, ev_time, ev_owner, ev_retry,
                                 ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)
    values (x_retry_after, _queue, _id, x_ev_time, _owner, x_ev_retry,
            x_ev_type, x_ev_data, x_ev_extra1, x_ev_extra2, x_ev_extra3, x_ev_extra4);
    return _id;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.find_tick_helper.sql
create or replace function pgq.find_tick_helper(
    i_queue_id integer, i_prev_tick_id bigint, i_prev_tick_time timestamptz, i_prev_tick_seq bigint,
    i_min_count bigint, i_min_interval interval,
    out next_tick_id bigint, out next_tick_time timestamptz, out next_tick_seq bigint)
returns record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.find_tick_helper(6)
--
--      Finds the first tick at which a batch that starts at the previous tick is large enough.
--
--      Qualified throughout: pgq.next_batch_custom calls it with the definer's rights and without a SET clause.
--
-- Parameters:  i_queue_id       - the queue
--              i_prev_tick_id, i_prev_tick_time, i_prev_tick_seq - where the batch starts
--              i_min_count      - so many events are enough, null: not a criterion
--              i_min_interval   - so much time is enough, null: not a criterion; with both, either is enough
-- Returns:     the tick, nulls when there is none yet
-- Raises:      -
-- Locks taken: -
-- Called by:   pgq.next_batch_custom
-- ----------------------------------------------------------------------
begin
    select t.tick_id, t.tick_time, t.tick_event_seq
      into next_tick_id, next_tick_time, next_tick_seq
      from pgq.tick t
     where t.tick_queue operator(pg_catalog.=) i_queue_id
       and t.tick_id operator(pg_catalog.>) i_prev_tick_id
       and ((t.tick_event_seq operator(pg_catalog.-) i_prev_tick_seq) operator(pg_catalog.>=) i_min_count
            or (t.tick_time operator(pg_catalog.-) i_prev_tick_time) operator(pg_catalog.>=) i_min_interval)
     order by t.tick_id
     limit 1;
end;
$$ language plpgsql stable;

-- file: sql/pgq/functions/pgq.finish_batch.sql
create or replace function pgq.finish_batch(x_batch_id bigint)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.finish_batch(1)
--
--      Closes a batch: the consumer's position moves to the batch's end.
--
-- Parameters:  x_batch_id - number of the open batch
-- Returns:     1 - closed, 0 - there is no such open batch, with a warning
-- Raises:      -
-- Locks taken: the subscription's row
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    update pgq.subscription s
       set sub_active = now(), sub_last_tick = s.sub_next_tick, sub_next_tick = null, sub_batch = null
     where s.sub_batch = x_batch_id;
    if not found then
        raise warning 'finish_batch: batch % not found', x_batch_id;
        return 0;
    end if;
    return 1;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.force_tick.sql
create or replace function pgq.force_tick(i_queue_name text)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq.force_tick(1)
--
--      Makes a tick due: moves the event sequence so far that the ticker takes it for a burst of events.
--
-- Parameters:  i_queue_name - name of the queue
-- Returns:     number of the last tick there is; call it until that grows. Null when there is none, and for a queue
--              that does not exist
-- Raises:      -
-- Locks taken: -
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
declare
    _q      record;
begin
    select q.queue_id, q.queue_event_seq, q.queue_ticker_max_count,
           q.queue_external_ticker or q.queue_ticker_paused as idle
      into _q
      from pgq.queue q
     where q.queue_name = i_queue_name;
    if not found then
        return null;
    end if;
    if not _q.idle then
        perform setval(_q.queue_event_seq::regclass,
                       nextval(_q.queue_event_seq::regclass) + _q.queue_ticker_max_count * 2 + 1000);
    end if;
    return (select max(t.tick_id) from pgq.tick t where t.tick_queue = _q.queue_id);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.get_batch_cursor.sql
create or replace function pgq.get_batch_cursor(
    i_batch_id bigint, i_cursor_name text, i_quick_limit integer, i_extra_where text,
    out ev_id bigint, out ev_time timestamptz, out ev_txid bigint, out ev_retry integer, out ev_type text,
    out ev_data text, out ev_extra1 text, out ev_extra2 text, out ev_extra3 text, out ev_extra4 text)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.get_batch_cursor(4)
--
--      Opens a cursor on the events of a batch and returns the first ones; the caller fetches the others from the
--      cursor and closes it.
--
-- Parameters:  i_batch_id    - number of the open batch
--              i_cursor_name - name of the cursor, any text
--              i_quick_limit - so many events are returned at once
--              i_extra_where - SQL condition on the event's columns, run with the caller's rights; null: all events
-- Returns:     the first events in the order of their numbers
-- Raises:      batch not found
-- Locks taken: ACCESS SHARE on the event tables
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
declare
    _cursor refcursor := i_cursor_name;
    _sql    text := pgq.batch_event_sql(i_batch_id);
begin
    if i_extra_where is not null then
        _sql := 'select * from (' || _sql || E') ev where (' || i_extra_where || E'\n) order by 1';
    end if;
    open _cursor no scroll for execute _sql;
    for _i in 1 .. coalesce(i_quick_limit, 0) loop
        fetch _cursor
         into ev_id, ev_time, ev_txid, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4;
        exit when not found;
        return next;
    end loop;
end;
$$ language plpgsql;

create or replace function pgq.get_batch_cursor(
    i_batch_id bigint, i_cursor_name text, i_quick_limit integer,
    out ev_id bigint, out ev_time timestamptz, out ev_txid bigint, out ev_retry integer, out ev_type text,
    out ev_data text, out ev_extra1 text, out ev_extra2 text, out ev_extra3 text, out ev_extra4 text)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.get_batch_cursor(3)
--
--      Opens a cursor on all events of a batch and returns the first ones.
--
-- Parameters:  as pgq.get_batch_cursor(4)
-- Returns:     the first events in the order of their numbers
-- Raises:      batch not found
-- Locks taken: ACCESS SHARE on the event tables
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    return query select * from pgq.get_batch_cursor(i_batch_id, i_cursor_name, i_quick_limit, null);
end;
$$ language plpgsql strict;

-- file: sql/pgq/functions/pgq.get_batch_events.sql
create or replace function pgq.get_batch_events(
    x_batch_id bigint,
    out ev_id bigint, out ev_time timestamptz, out ev_txid bigint, out ev_retry integer, out ev_type text,
    out ev_data text, out ev_extra1 text, out ev_extra2 text, out ev_extra3 text, out ev_extra4 text)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.get_batch_events(1)
--
--      Returns the events of a batch in the order of their numbers. A large batch is better read with
--      pgq.get_batch_cursor.
--
-- Parameters:  x_batch_id - number of the open batch
-- Returns:     the events
-- Raises:      batch not found
-- Locks taken: ACCESS SHARE on the event tables
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    return query execute pgq.batch_event_sql(x_batch_id);
end;
$$ language plpgsql;

-- file: sql/pgq/functions/pgq.get_batch_info.sql
create or replace function pgq.get_batch_info(
    x_batch_id bigint,
    out queue_name text, out consumer_name text, out batch_start timestamptz, out batch_end timestamptz,
    out prev_tick_id bigint, out tick_id bigint, out lag interval, out seq_start bigint, out seq_end bigint)
returns record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.get_batch_info(1)
--
--      Tells whose an open batch is and what it spans.
--
-- Parameters:  x_batch_id - number of the batch
-- Returns:     one row, all null when there is no such open batch; lag is the time since the batch's end
-- Raises:      -
-- Locks taken: -
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    select q.queue_name, c.co_name, prev.tick_time, cur.tick_time, s.sub_last_tick, s.sub_next_tick,
           now() - cur.tick_time, prev.tick_event_seq, cur.tick_event_seq
      into queue_name, consumer_name, batch_start, batch_end, prev_tick_id, tick_id, lag, seq_start, seq_end
      from pgq.subscription s
      join pgq.queue q on q.queue_id = s.sub_queue
      join pgq.consumer c on c.co_id = s.sub_consumer
      join pgq.tick prev on prev.tick_queue = s.sub_queue and prev.tick_id = s.sub_last_tick
      join pgq.tick cur on cur.tick_queue = s.sub_queue and cur.tick_id = s.sub_next_tick
     where s.sub_batch = x_batch_id;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.get_consumer_info.sql
create or replace function pgq.get_consumer_info(
    i_queue_name text, i_consumer_name text,
    out queue_name text, out consumer_name text, out lag interval, out last_seen interval, out last_tick bigint,
    out current_batch bigint, out next_tick bigint, out pending_events bigint)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.get_consumer_info(2)
--
--      Shows how far consumers are.
--
-- Parameters:  i_queue_name    - name of the queue, null: all
--              i_consumer_name - name of the consumer, null: all
-- Returns:     one row per consumer and queue, in the order of the names.
--              lag - age of the last finished tick; last_seen - time since it opened or finished a batch;
--              pending_events - distance of the event sequence. Null for an idle subconsumer
-- Raises:      -
-- Locks taken: -
-- Called by:   users
-- ----------------------------------------------------------------------
begin
    return query
    select q.queue_name, c.co_name, now() - done.tick_time, now() - s.sub_active, s.sub_last_tick, s.sub_batch,
           s.sub_next_tick, last.tick_event_seq - done.tick_event_seq
      from pgq.subscription s
      join pgq.queue q on q.queue_id = s.sub_queue
      join pgq.consumer c on c.co_id = s.sub_consumer
      left join pgq.tick done on done.tick_queue = s.sub_queue and done.tick_id = s.sub_last_tick
      left join lateral (
          select t.tick_event_seq
            from pgq.tick t
           where t.tick_queue = s.sub_queue
           order by t.tick_id desc
           limit 1) last on true
     where (q.queue_name = i_queue_name or i_queue_name is null)
       and (c.co_name = i_consumer_name or i_consumer_name is null)
     order by q.queue_name, c.co_name;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq.get_consumer_info(
    i_queue_name text,
    out queue_name text, out consumer_name text, out lag interval, out last_seen interval, out last_tick bigint,
    out current_batch bigint, out next_tick bigint, out pending_events bigint)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.get_consumer_info(1)
--
--      Shows how far the consumers of one queue are.
--
-- Parameters:  i_queue_name - name of the queue, null: all
-- Returns:     as pgq.get_consumer_info(2)
-- Raises:      -
-- Locks taken: -
-- Called by:   users
-- ----------------------------------------------------------------------
begin
    return query select * from pgq.get_consumer_info(i_queue_name, null);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq.get_consumer_info(
    out queue_name text, out consumer_name text, out lag interval, out last_seen interval, out last_tick bigint,
    out current_batch bigint, out next_tick bigint, out pending_events bigint)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.get_consumer_info(0)
--
--      Shows how far all consumers are.
--
-- Parameters:  -
-- Returns:     as pgq.get_consumer_info(2)
-- Raises:      -
-- Locks taken: -
-- Called by:   users
-- ----------------------------------------------------------------------
begin
    return query select * from pgq.get_consumer_info(null, null);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.get_queue_info.sql
create or replace function pgq.get_queue_info(
    i_queue_name text,
    out queue_name text, out queue_ntables integer, out queue_cur_table integer, out queue_rotation_period interval,
    out queue_switch_time timestamptz, out queue_external_ticker boolean, out queue_ticker_paused boolean,
    out queue_ticker_max_count integer, out queue_ticker_max_lag interval, out queue_ticker_idle_period interval,
    out ticker_lag interval, out ev_per_sec double precision, out ev_new bigint, out last_tick_id bigint)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.get_queue_info(1)
--
--      Shows the settings and the state of one queue.
--
-- Parameters:  i_queue_name - name of the queue, null: all queues
-- Returns:     one row per queue, in the order of the names; none for a queue that does not exist.
--              ticker_lag - time since the last tick; ev_per_sec - over the last 20 ticks, null when they span no time;
--              ev_new - events since the last tick, as far as the sequence knows
-- Raises:      -
-- Locks taken: -
-- Called by:   users
-- ----------------------------------------------------------------------
begin
    return query
    select q.queue_name, q.queue_ntables, q.queue_cur_table, q.queue_rotation_period, q.queue_switch_time,
           q.queue_external_ticker, q.queue_ticker_paused, q.queue_ticker_max_count, q.queue_ticker_max_lag,
           q.queue_ticker_idle_period,
           now() - last.tick_time,
           (last.tick_event_seq - first.tick_event_seq)
               / nullif(extract(epoch from last.tick_time - first.tick_time)::float8, 0),
           pgq.seq_getval(q.queue_event_seq) - last.tick_event_seq,
           last.tick_id
      from pgq.queue q
      left join lateral (
          select t.tick_id, t.tick_time, t.tick_event_seq
            from pgq.tick t
           where t.tick_queue = q.queue_id
           order by t.tick_id desc
           limit 1) last on true
      left join lateral (
          select t.tick_id, t.tick_time, t.tick_event_seq
            from pgq.tick t
           where t.tick_queue = q.queue_id and t.tick_id >= last.tick_id - 20
           order by t.tick_id
           limit 1) first on true
     where q.queue_name = i_queue_name or i_queue_name is null
     order by q.queue_name;
end;
$$ language plpgsql set search_path = pg_catalog, pg_temp;

create or replace function pgq.get_queue_info(
    out queue_name text, out queue_ntables integer, out queue_cur_table integer, out queue_rotation_period interval,
    out queue_switch_time timestamptz, out queue_external_ticker boolean, out queue_ticker_paused boolean,
    out queue_ticker_max_count integer, out queue_ticker_max_lag interval, out queue_ticker_idle_period interval,
    out ticker_lag interval, out ev_per_sec double precision, out ev_new bigint, out last_tick_id bigint)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.get_queue_info(0)
--
--      Shows the settings and the state of all queues.
--
-- Parameters:  -
-- Returns:     as pgq.get_queue_info(1)
-- Raises:      -
-- Locks taken: -
-- Called by:   users
-- ----------------------------------------------------------------------
begin
    return query select * from pgq.get_queue_info(null);
end;
$$ language plpgsql set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.grant_perms.sql
create or replace function pgq.grant_perms(x_queue_name text)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.grant_perms(1)
--
--      Gives the event tables of a queue the privileges of pgq.event_template, and its sequences theirs.
--
-- Parameters:  x_queue_name - name of the queue
-- Returns:     1
-- Raises:      Queue not found
-- Locks taken: -
-- Called by:   pgq.create_queue, pgq.upgrade_schema, grants.sql
-- ----------------------------------------------------------------------
declare
    _q      record;
    _role   text;
begin
    select q.queue_data_pfx, q.queue_event_seq, q.queue_tick_seq, q.queue_ntables
      into _q
      from pgq.queue q
     where q.queue_name = x_queue_name;
    if not found then
        raise exception 'Queue not found';
    end if;

    execute format('grant select on sequence %s, %s to public', _q.queue_event_seq, _q.queue_tick_seq);
    -- Numbers are drawn with the caller's rights by inserts that do not go through pgq.insert_event.
    for _role in
        select distinct a.grantee::regrole::text
          from (select c.relacl as acl from pg_class c where c.oid = 'pgq.event_template'::regclass
                union all
                select t.attacl from pg_attribute t where t.attrelid = 'pgq.event_template'::regclass) given
         cross join lateral aclexplode(given.acl) a
         where a.privilege_type = 'INSERT' and a.grantee <> 0
    loop
        execute format('grant usage on sequence %s to %s', _q.queue_event_seq, _role);
    end loop;

    perform pgq._grant_perms_from('pgq', 'event_template', 'pgq', split_part(_q.queue_data_pfx, '.', 2));
    for _i in 0 .. _q.queue_ntables - 1 loop
        perform pgq._grant_perms_from('pgq', 'event_template', 'pgq',
                                      split_part(_q.queue_data_pfx, '.', 2) || '_' || _i);
    end loop;
    return 1;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.insert_event.sql
create or replace function pgq.insert_event(
    queue_name text, ev_type text, ev_data text, ev_extra1 text, ev_extra2 text, ev_extra3 text, ev_extra4 text)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq.insert_event(7)
--
--      Puts an event into a queue; it becomes visible to consumers with the transaction that calls this.
--
-- Parameters:  queue_name - name of the queue
--              ev_type, ev_data, ev_extra1..4 - the event, any text or null
-- Returns:     ev_id
-- Raises:      as pgq.insert_event_raw
-- Locks taken: ROW EXCLUSIVE on the current event table
-- Called by:   users, pgq_writer; pgq.insert_event(3), the trigger functions
-- ----------------------------------------------------------------------
begin
    return pgq.insert_event_raw(queue_name, null, pg_catalog.now(), null, null, ev_type, ev_data,
                                ev_extra1, ev_extra2, ev_extra3, ev_extra4);
end;
$$ language plpgsql security definer;

create or replace function pgq.insert_event(queue_name text, ev_type text, ev_data text)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq.insert_event(3)
--
--      Puts an event without extra fields into a queue.
--
-- Parameters:  queue_name       - name of the queue
--              ev_type, ev_data - the event, any text or null
-- Returns:     ev_id
-- Raises:      as pgq.insert_event_raw
-- Locks taken: ROW EXCLUSIVE on the current event table
-- Called by:   users, pgq_writer
-- ----------------------------------------------------------------------
begin
    return pgq.insert_event(queue_name, ev_type, ev_data, null, null, null, null);
end;
$$ language plpgsql;

-- file: sql/pgq/functions/pgq.insert_event_raw.sql
create or replace function pgq.insert_event_raw(
    queue_name text, ev_id bigint, ev_time timestamptz, ev_owner integer, ev_retry integer, ev_type text, ev_data text,
    ev_extra1 text, ev_extra2 text, ev_extra3 text, ev_extra4 text)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq.insert_event_raw(11)
--
--      Puts an event with all its fields into the queue's current table.
--
--      Runs with the definer's rights under the caller's search_path when pgq.insert_event calls it, and must not pay
--      for a SET clause: so every function, operator and type is qualified.
--
-- Parameters:  queue_name - name of the queue
--              ev_id      - null: a new number. The sequence moves in any case, because ticks count by it
--              ev_time    - null: now
--              ev_owner   - sub_id of the only consumer that is to see it, null: all
--              ev_retry   - how often it was retried, null: never
--              ev_type, ev_data, ev_extra1..4 - the event
-- Returns:     ev_id
-- Raises:      Queue name must not be NULL
--              No such queue
--              Insert into queue disallowed
--              Queue '...' allows max N events from one TX
-- Locks taken: ROW EXCLUSIVE on the current event table
-- Called by:   pgq.insert_event, pgq.maint_retry_events, pgq_admin
-- ----------------------------------------------------------------------
declare
    _queue      pg_catalog.int4;
    _table      pg_catalog.text;
    _seq        pg_catalog.text;
    _disabled   pg_catalog.bool;
    _limit      pg_catalog.int4;
    _id         pg_catalog.int8;
    _setting    pg_catalog.text;
    _seen       pg_catalog.text;
    _count      pg_catalog.int4;
begin
    if queue_name is null then
        raise exception 'Queue name must not be NULL';
    end if;
    select q.queue_id, pg_catalog.concat(q.queue_data_pfx, '_', q.queue_cur_table), q.queue_event_seq,
           q.queue_disable_insert, q.queue_per_tx_limit
      into _queue, _table, _seq, _disabled, _limit
      from pgq.queue q
     where q.queue_name operator(pg_catalog.=) insert_event_raw.queue_name;
    if not found then
        raise exception 'No such queue';
    end if;

    _id := pg_catalog.nextval(_seq::pg_catalog.regclass);
    if ev_id is not null then
        _id := ev_id;
    end if;

    if _disabled and pg_catalog.current_setting('session_replication_role') operator(pg_catalog.<>) 'replica' then
        raise exception 'Insert into queue disallowed';
    end if;

    if _limit operator(pg_catalog.>=) 0 and ev_owner is null then
        -- The limit is for producers, not for events that come back. A setting is the one memory that follows
        -- transactions and savepoints by itself.
        _setting := pg_catalog.concat('pgq.tx_events_', _queue);
        _seen := pg_catalog.current_setting(_setting, true);
        _count := 1;
        if pg_catalog.split_part(_seen, ':', 1) operator(pg_catalog.=) pg_catalog.txid_current()::pg_catalog.text then
            _count := pg_catalog.split_part(_seen, ':', 2)::pg_catalog.int4 operator(pg_catalog.+) 1;
        end if;
        if _count operator(pg_catalog.>) _limit then
            raise exception 'Queue ''%'' allows max % events from one TX', queue_name, _limit;
        end if;
        perform pg_catalog.set_config(_setting, pg_catalog.concat(pg_catalog.txid_current(), ':', _count), true);
    end if;

    execute pg_catalog.concat('insert into ', _table, ' (ev_id, ev_time, ev_owner, ev_retry, ev_type, ev_data,'
                              ' ev_extra1, ev_extra2, ev_extra3, ev_extra4)'
                              ' values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)')
      using _id, coalesce(ev_time, pg_catalog.now()), ev_owner, ev_retry, ev_type, ev_data,
            ev_extra1, ev_extra2, ev_extra3, ev_extra4;
    return _id;
end;
$$ language plpgsql;

-- file: sql/pgq/functions/pgq.jsontriga.sql
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

-- file: sql/pgq/functions/pgq.logutriga.sql
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

-- file: sql/pgq/functions/pgq.maint_operations.sql
create or replace function pgq.maint_operations(out func_name text, out func_arg text)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.maint_operations(0)
--
--      Lists what maintenance has to call now. Each row is called as `select func_name(func_arg)` in a transaction of
--      its own, without the argument where that is null; `vacuum` is the command, with the table's name.
--
-- Parameters:  -
-- Returns:     func_name, func_arg, in the order in which they are to be called
-- Raises:      -
-- Locks taken: -
-- Called by:   the ticker, pgq_admin
-- ----------------------------------------------------------------------
declare
    _function text;
begin
    return query
    select 'pgq.maint_rotate_tables_step1', q.queue_name
      from pgq.queue q
     where q.queue_rotation_period <= now() - q.queue_switch_time and q.queue_switch_step2 is not null
     order by q.queue_name;

    -- Also when step 1 of a row above is what leaves it to do.
    if found or exists (select 1 from pgq.queue q where q.queue_switch_step2 is null) then
        func_name := 'pgq.maint_rotate_tables_step2';
        func_arg := null;
        return next;
    end if;

    return query
    select m.name, q.queue_name
      from pgq.queue q
     cross join lateral unnest(q.queue_extra_maint) with ordinality as m (name, nr)
     order by q.queue_name, m.nr;

    return query
    select 'vacuum', v.name from pgq.maint_tables_to_vacuum() as v (name);

    foreach _function in array array['pgq_node.maint_watermark', 'londiste.root_check_seqs',
                                     'londiste.periodic_maintenance']
    loop
        if to_regproc(_function) is not null then
            return query select _function, null::text;
        end if;
    end loop;
end;
$$ language plpgsql set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.maint_retry_events.sql
create or replace function pgq.maint_retry_events()
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.maint_retry_events(0)
--
--      Moves events whose time has come back into their queues, up to ten at a call: call it until it returns 0.
--
-- Parameters:  -
-- Returns:     number of moved events
-- Raises:      -
-- Locks taken: SHARE UPDATE EXCLUSIVE on pgq.retry_queue, so that two calls do not move an event twice
-- Called by:   the ticker, pgq_admin
-- ----------------------------------------------------------------------
declare
    _ev     record;
    _count  integer := 0;
begin
    lock table pgq.retry_queue in share update exclusive mode;
    -- Events of a queue that takes no inserts stay, and must not hold up those of other queues.
    for _ev in
        select q.queue_name, r.*
          from pgq.retry_queue r
          join pgq.queue q on q.queue_id = r.ev_queue
         where r.ev_retry_after <= now()
           and (not q.queue_disable_insert or current_setting('session_replication_role') = 'replica')
         order by r.ev_retry_after
         limit 10
    loop
        perform pgq.insert_event_raw(_ev.queue_name, _ev.ev_id, _ev.ev_time, _ev.ev_owner, _ev.ev_retry, _ev.ev_type,
                                     _ev.ev_data, _ev.ev_extra1, _ev.ev_extra2, _ev.ev_extra3, _ev.ev_extra4);
        delete from pgq.retry_queue r where r.ev_owner = _ev.ev_owner and r.ev_id = _ev.ev_id;
        _count := _count + 1;
    end loop;
    return _count;
end;
$$ language plpgsql set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.maint_rotate_tables_step1.sql
create or replace function pgq.maint_rotate_tables_step1(i_queue_name text)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.maint_rotate_tables_step1(1)
--
--      Makes the next event table the current one, after emptying it, when the rotation period has passed, the last
--      rotation is complete, and every consumer is past it. Does nothing otherwise.
--
--      Two proofs are wanted before the table is emptied. Every consumer's position is past step 2 of the last
--      rotation: then nobody who properly looked up the current table can have left unread events there. And the table
--      holds no event that a consumer could still need: that also covers a writer that kept the table's name for long.
--
-- Parameters:  i_queue_name - name of the queue
-- Returns:     0
-- Raises:      rotation needs a READ COMMITTED transaction
-- Locks taken: the queue's row; ACCESS EXCLUSIVE on the table that is emptied, not waited for
-- Called by:   the ticker, pgq_admin; listed by pgq.maint_operations
-- ----------------------------------------------------------------------
declare
    _q          record;
    _next       integer;
    _table      text;
    _needed     bigint;
    _unread     boolean;
begin
    select q.queue_id, q.queue_cur_table, q.queue_ntables, q.queue_data_pfx, q.queue_switch_step2
      into _q
      from pgq.queue q
     where q.queue_name = i_queue_name
       and q.queue_rotation_period <= now() - q.queue_switch_time
       and q.queue_switch_step2 is not null
       for no key update;
    if not found then
        return 0;
    end if;
    if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
        raise exception 'rotation needs a READ COMMITTED transaction'
            using detail = 'A fixed snapshot may not show the last events and positions.',
                  hint = 'Set default_transaction_isolation of the role that does the maintenance.';
    end if;

    -- Transactions before this one have ended for every consumer: what they wrote is read. An idle subconsumer has no
    -- position; its main consumer's counts.
    select min(txid_snapshot_xmin(t.tick_snapshot))
      into _needed
      from pgq.subscription s
      join pgq.tick t on t.tick_queue = s.sub_queue and t.tick_id = s.sub_last_tick
     where s.sub_queue = _q.queue_id;
    if _needed <= _q.queue_switch_step2 then
        return 0;
    end if;

    _next := (_q.queue_cur_table + 1) % _q.queue_ntables;
    _table := _q.queue_data_pfx || '_' || _next;
    begin
        execute format('lock table %s in access exclusive mode nowait', _table);
    exception
        when lock_not_available then
            return 0;
    end;
    if _needed is not null then
        execute format('select exists (select 1 from %s where ev_txid >= $1)', _table) into _unread using _needed;
        if _unread then
            return 0;
        end if;
    end if;
    execute format('truncate table %s', _table);

    update pgq.queue q
       set queue_cur_table = _next, queue_switch_time = now(), queue_switch_step1 = txid_current(),
           queue_switch_step2 = null
     where q.queue_id = _q.queue_id;

    -- Ticks of the time before the last rotation: their events are gone. The newest one stays in any case.
    delete from pgq.tick t
     where t.tick_queue = _q.queue_id
       and txid_snapshot_xmin(t.tick_snapshot) < _q.queue_switch_step2
       and t.tick_id < (select max(n.tick_id) from pgq.tick n where n.tick_queue = _q.queue_id);
    return 0;
end;
$$ language plpgsql set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.maint_rotate_tables_step2.sql
create or replace function pgq.maint_rotate_tables_step2()
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.maint_rotate_tables_step2(0)
--
--      Completes rotations: stores the number of a transaction that began after step 1 had committed. Transactions
--      after it know the new table. Must run in another transaction than step 1.
--
-- Parameters:  -
-- Returns:     0
-- Raises:      -
-- Locks taken: the rows of queues whose rotation is half done
-- Called by:   the ticker, pgq_admin; listed by pgq.maint_operations
-- ----------------------------------------------------------------------
begin
    update pgq.queue q
       set queue_switch_step2 = txid_current()
     where q.queue_switch_step2 is null and q.queue_switch_step1 < txid_current();
    return 0;
end;
$$ language plpgsql set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.maint_tables_to_vacuum.sql
create or replace function pgq.maint_tables_to_vacuum()
returns setof text as $$
-- ----------------------------------------------------------------------
-- Function: pgq.maint_tables_to_vacuum(0)
--
--      Names the small, often changed tables that the ticker should vacuum: all where autovacuum is off, else none.
--
-- Parameters:  -
-- Returns:     schema.table
-- Raises:      -
-- Locks taken: -
-- Called by:   pgq.maint_operations, pgq_admin
-- ----------------------------------------------------------------------
begin
    if current_setting('autovacuum') = 'on' then
        return;
    end if;
    return query
    select small.name
      from (values ('pgq.subscription'), ('pgq.consumer'), ('pgq.queue'), ('pgq.tick'), ('pgq.retry_queue'),
                   ('pgq_ext.completed_tick'), ('pgq_ext.completed_batch'), ('pgq_ext.completed_event'),
                   ('pgq_ext.partial_batch'), ('londiste.completed'), ('londiste.subscriber_table')) as small (name)
     where to_regclass(small.name) is not null;
end;
$$ language plpgsql set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.next_batch.sql
create or replace function pgq.next_batch(i_queue_name text, i_consumer_name text)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq.next_batch(2)
--
--      Opens the next batch of a consumer, up to the next tick, or names the one that is open.
--
-- Parameters:  i_queue_name, i_consumer_name - who asks
-- Returns:     number of the batch, null when there is none yet
-- Raises:      as pgq.next_batch_custom
-- Locks taken: as pgq.next_batch_custom
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    return (select f.batch_id from pgq.next_batch_custom(i_queue_name, i_consumer_name, null, null, null) f);
end;
$$ language plpgsql;

-- file: sql/pgq/functions/pgq.next_batch_custom.sql
create or replace function pgq.next_batch_custom(
    i_queue_name text, i_consumer_name text, i_min_lag interval, i_min_count integer, i_min_interval interval,
    out batch_id bigint, out cur_tick_id bigint, out prev_tick_id bigint,
    out cur_tick_time timestamptz, out prev_tick_time timestamptz,
    out cur_tick_event_seq bigint, out prev_tick_event_seq bigint)
returns record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.next_batch_custom(5)
--
--      Opens the next batch of a consumer, or names the one that is open. A batch is everything between two ticks.
--
--      Runs with the definer's rights and is polled often: qualified throughout instead of a SET clause. A poll that
--      finds nothing writes nothing.
--
-- Parameters:  i_queue_name, i_consumer_name - who asks
--              i_min_lag      - the batch must end at least so long ago, null: no matter
--              i_min_count    - it must hold so many events ..
--              i_min_interval - .. or span so much time; null: no matter; both null: it ends at the next tick
-- Returns:     the batch with its two ticks; all null when there is none yet
-- Raises:      Not subscriber to queue: QUEUE/CONSUMER
--              PgQ corruption: Consumer C on queue Q does not see tick N
-- Locks taken: the subscription's row when it opens a batch
-- Called by:   users, pgq_reader; pgq.next_batch_info
-- ----------------------------------------------------------------------
declare
    _queue      pg_catalog.int4;
    _consumer   pg_catalog.int4;
    _last       pg_catalog.int8;
    _next       pg_catalog.int8;
    _seen       pg_catalog.int8;
begin
    loop
        select s.sub_queue, s.sub_consumer, s.sub_last_tick, s.sub_next_tick, s.sub_batch
          into _queue, _consumer, _last, _next, batch_id
          from pgq.queue q, pgq.consumer c, pgq.subscription s
         where q.queue_name operator(pg_catalog.=) i_queue_name
           and c.co_name operator(pg_catalog.=) i_consumer_name
           and s.sub_queue operator(pg_catalog.=) q.queue_id
           and s.sub_consumer operator(pg_catalog.=) c.co_id;
        if not found then
            raise exception 'Not subscriber to queue: %/%',
                coalesce(i_queue_name, 'NULL'), coalesce(i_consumer_name, 'NULL');
        end if;

        select t.tick_id, t.tick_time, t.tick_event_seq
          into _seen, prev_tick_time, prev_tick_event_seq
          from pgq.tick t
         where t.tick_queue operator(pg_catalog.=) _queue and t.tick_id operator(pg_catalog.=) _last;
        prev_tick_id := _seen;

        if batch_id is not null then
            select t.tick_id, t.tick_time, t.tick_event_seq
              into cur_tick_id, cur_tick_time, cur_tick_event_seq
              from pgq.tick t
             where t.tick_queue operator(pg_catalog.=) _queue and t.tick_id operator(pg_catalog.=) _next;
            return;
        end if;
        if _seen is null then
            raise exception 'PgQ corruption: Consumer % on queue % does not see tick %',
                i_consumer_name, i_queue_name, _last;
        end if;

        if i_min_count is null and i_min_interval is null then
            select t.tick_id, t.tick_time, t.tick_event_seq
              into cur_tick_id, cur_tick_time, cur_tick_event_seq
              from pgq.tick t
             where t.tick_queue operator(pg_catalog.=) _queue and t.tick_id operator(pg_catalog.>) _last
             order by t.tick_id
             limit 1;
        else
            select f.next_tick_id, f.next_tick_time, f.next_tick_seq
              into cur_tick_id, cur_tick_time, cur_tick_event_seq
              from pgq.find_tick_helper(_queue, _last, prev_tick_time, prev_tick_event_seq,
                                        i_min_count::pg_catalog.int8, i_min_interval) f;
        end if;

        if cur_tick_id is null
           or (pg_catalog.now() operator(pg_catalog.-) cur_tick_time) operator(pg_catalog.<) i_min_lag
        then
            cur_tick_id := null;
            cur_tick_time := null;
            cur_tick_event_seq := null;
            prev_tick_id := null;
            prev_tick_time := null;
            prev_tick_event_seq := null;
            return;
        end if;

        update pgq.subscription s
           set sub_batch = pg_catalog.nextval('pgq.batch_id_seq'::pg_catalog.regclass),
               sub_next_tick = cur_tick_id,
               sub_active = pg_catalog.now()
         where s.sub_queue operator(pg_catalog.=) _queue
           and s.sub_consumer operator(pg_catalog.=) _consumer
           and s.sub_batch is null
           and s.sub_last_tick operator(pg_catalog.=) _last
        returning s.sub_batch into batch_id;
        exit when found;
        -- Another session of this consumer was faster: look again.
    end loop;
end;
$$ language plpgsql security definer;

-- file: sql/pgq/functions/pgq.next_batch_info.sql
create or replace function pgq.next_batch_info(
    i_queue_name text, i_consumer_name text,
    out batch_id bigint, out cur_tick_id bigint, out prev_tick_id bigint,
    out cur_tick_time timestamptz, out prev_tick_time timestamptz,
    out cur_tick_event_seq bigint, out prev_tick_event_seq bigint)
returns record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.next_batch_info(2)
--
--      Opens the next batch of a consumer, up to the next tick, or names the one that is open.
--
-- Parameters:  i_queue_name, i_consumer_name - who asks
-- Returns:     the batch with its two ticks; all null when there is none yet
-- Raises:      as pgq.next_batch_custom
-- Locks taken: as pgq.next_batch_custom
-- Called by:   users, pgq_reader; pgq.next_batch
-- ----------------------------------------------------------------------
begin
    select f.batch_id, f.cur_tick_id, f.prev_tick_id, f.cur_tick_time, f.prev_tick_time,
           f.cur_tick_event_seq, f.prev_tick_event_seq
      into batch_id, cur_tick_id, prev_tick_id, cur_tick_time, prev_tick_time, cur_tick_event_seq, prev_tick_event_seq
      from pgq.next_batch_custom(i_queue_name, i_consumer_name, null, null, null) f;
end;
$$ language plpgsql;

-- file: sql/pgq/functions/pgq.quote_fqname.sql
create or replace function pgq.quote_fqname(i_name text)
returns text as $$
-- ----------------------------------------------------------------------
-- Function: pgq.quote_fqname(1)
--
--      Quotes a name of the form schema.name, split at the first dot, for SQL; without a dot the schema is public.
--
-- Parameters:  i_name - the name, unquoted
-- Returns:     the name as it stands in SQL
-- Raises:      -
-- Locks taken: -
-- Called by:   users; pgq.seq_getval, pgq.seq_setval
-- ----------------------------------------------------------------------
declare
    _dot    integer := strpos(i_name, '.');
begin
    if _dot = 0 then
        return 'public.' || quote_ident(i_name);
    end if;
    return quote_ident(left(i_name, _dot - 1)) || '.' || quote_ident(substr(i_name, _dot + 1));
end;
$$ language plpgsql strict immutable set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.register_consumer.sql
create or replace function pgq.register_consumer(x_queue_name text, x_consumer_id text)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.register_consumer(2)
--
--      Registers a consumer at the last tick of a queue.
--
-- Parameters:  x_queue_name  - name of the queue
--              x_consumer_id - name of the consumer, any text
-- Returns:     1 - registered, 0 - was registered
-- Raises:      Event queue not created yet
--              No ticks for this queue.  Please run ticker on database.
-- Locks taken: as pgq.register_consumer_at
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    return pgq.register_consumer_at(x_queue_name, x_consumer_id, null);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.register_consumer_at.sql
create or replace function pgq.register_consumer_at(x_queue_name text, x_consumer_name text, x_tick_pos bigint)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.register_consumer_at(3)
--
--      Registers a consumer at a given tick, or moves a registered one there. Moving drops its open batch.
--
-- Parameters:  x_queue_name    - name of the queue
--              x_consumer_name - name of the consumer, any text
--              x_tick_pos      - events after this tick are read; null: a new consumer starts at the last tick, a
--                                registered one stays where it is
-- Returns:     1 - registered, 0 - was registered
-- Raises:      Event queue not created yet
--              cannot reposition, tick not found: N
--              No ticks for this queue.  Please run ticker on database.
-- Locks taken: the queue's row in share mode, which keeps rotation from deleting the tick; the consumer's row against
--              being deleted; the subscription's row
-- Called by:   users, pgq_reader; pgq.register_consumer
-- ----------------------------------------------------------------------
declare
    _queue      integer;
    _consumer   integer;
    _pos        bigint;
begin
    select q.queue_id into _queue from pgq.queue q where q.queue_name = x_queue_name for share;
    if not found then
        raise exception 'Event queue not created yet';
    end if;

    if x_tick_pos is not null then
        if not exists (select 1 from pgq.tick t where t.tick_queue = _queue and t.tick_id = x_tick_pos) then
            raise exception 'cannot reposition, tick not found: %', x_tick_pos;
        end if;
        _pos := x_tick_pos;
    end if;

    loop
        select c.co_id into _consumer from pgq.consumer c where c.co_name = x_consumer_name for key share;
        exit when found;
        insert into pgq.consumer (co_name) values (x_consumer_name) on conflict (co_name) do nothing;
    end loop;

    if _pos is not null then
        update pgq.subscription s
           set sub_last_tick = _pos, sub_batch = null, sub_next_tick = null, sub_active = now()
         where s.sub_queue = _queue and s.sub_consumer = _consumer;
    else
        update pgq.subscription s
           set sub_active = now()
         where s.sub_queue = _queue and s.sub_consumer = _consumer;
    end if;
    if found then
        return 0;
    end if;

    if _pos is null then
        select t.tick_id into _pos from pgq.tick t where t.tick_queue = _queue order by t.tick_id desc limit 1;
        if not found then
            raise exception 'No ticks for this queue.  Please run ticker on database.';
        end if;
    end if;
    insert into pgq.subscription (sub_queue, sub_consumer, sub_last_tick)
    values (_queue, _consumer, _pos)
    on conflict (sub_queue, sub_consumer) do nothing;
    if not found then
        -- Another session registered it since the update above.
        return pgq.register_consumer_at(x_queue_name, x_consumer_name, x_tick_pos);
    end if;
    return 1;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.seq_getval.sql
create or replace function pgq.seq_getval(i_seq_name text)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq.seq_getval(1)
--
--      Reads the last value of a sequence without moving it.
--
-- Parameters:  i_seq_name - name of the sequence, as it is: no quotes; without a schema it is in public
-- Returns:     the last value
-- Raises:      relation does not exist
-- Locks taken: -
-- Called by:   users; pgq.ticker, pgq.get_queue_info
-- ----------------------------------------------------------------------
declare
    _value  bigint;
begin
    execute 'select last_value from ' || pgq.quote_fqname(i_seq_name) into _value;
    return _value;
end;
$$ language plpgsql strict set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.seq_setval.sql
create or replace function pgq.seq_setval(i_seq_name text, i_new_value bigint)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq.seq_setval(2)
--
--      Moves a sequence forward; never back.
--
-- Parameters:  i_seq_name  - name of the sequence, as it is: no quotes; without a schema it is in public
--              i_new_value - its last value is to be at least this
-- Returns:     the last value it has now
-- Raises:      relation does not exist
-- Locks taken: -
-- Called by:   pgq_admin; pgq.ticker(4)
-- ----------------------------------------------------------------------
declare
    _value  bigint := pgq.seq_getval(i_seq_name);
begin
    if _value >= i_new_value then
        return _value;
    end if;
    return setval(pgq.quote_fqname(i_seq_name)::regclass, i_new_value);
end;
$$ language plpgsql strict set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.set_queue_config.sql
create or replace function pgq.set_queue_config(x_queue_name text, x_param_name text, x_param_value text)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.set_queue_config(3)
--
--      Changes one setting of a queue.
--
-- Parameters:  x_queue_name  - name of the queue
--              x_param_name  - ticker_max_count, ticker_max_lag, ticker_idle_period, ticker_paused, rotation_period or
--                              external_ticker
--              x_param_value - the value as text
-- Returns:     1
-- Raises:      No such event queue
--              cannot change parameter "NAME"
--              Invalid NULL value
--              invalid input syntax
-- Locks taken: the queue's row
-- Called by:   pgq_admin; `config` of the queue commands
-- ----------------------------------------------------------------------
declare
    _column text := 'queue_' || x_param_name;
begin
    perform 1 from pgq.queue q where q.queue_name = x_queue_name;
    if not found then
        raise exception 'No such event queue';
    end if;
    if coalesce(_column, '') not in ('queue_ticker_max_count', 'queue_ticker_max_lag', 'queue_ticker_idle_period',
                                          'queue_ticker_paused', 'queue_rotation_period', 'queue_external_ticker')
    then
        raise exception 'cannot change parameter "%"', x_param_name;
    end if;
    if x_param_value is null then
        raise exception 'Invalid NULL value';
    end if;
    execute format('update pgq.queue set %I = %L where queue_name = %L', _column, x_param_value, x_queue_name);
    return 1;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.sqltriga.sql
create or replace function pgq.sqltriga()
returns trigger as $$
-- ----------------------------------------------------------------------
-- Function: pgq.sqltriga(0)
--
--      Trigger that logs changes as parts of SQL statements: ev_type is the operation's letter, ev_data what follows
--      INSERT INTO t, UPDATE t SET or DELETE FROM t WHERE, ev_extra1 schema.table. An UPDATE has the changed columns
--      only. TRUNCATE is R without data.
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
            'sqltriga', tg_op, tg_relid, tg_table_schema, tg_table_name, _opt.pkey, _opt.ignore_list,
            _opt.backup, old::text, null, null, null);
    elsif tg_op = 'INSERT' then
        _ev := pgq._trigger_event(
            'sqltriga', tg_op, tg_relid, tg_table_schema, tg_table_name, _opt.pkey, _opt.ignore_list,
            _opt.backup, new::text, null, null, null);
    else
        _ev := pgq._trigger_event(
            'sqltriga', tg_op, tg_relid, tg_table_schema, tg_table_name, _opt.pkey, _opt.ignore_list,
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

-- file: sql/pgq/functions/pgq.ticker.sql
create or replace function pgq.ticker(
    i_queue_name text, i_tick_id bigint, i_orig_timestamp timestamptz, i_event_seq bigint)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq.ticker(4)
--
--      Writes a tick whose number, time and event count come from elsewhere, for a queue with an external ticker.
--
-- Parameters:  i_queue_name     - name of the queue
--              i_tick_id        - number of the tick
--              i_orig_timestamp - time of the tick at its origin
--              i_event_seq      - event sequence at its origin; ours is moved up to it
-- Returns:     i_tick_id
-- Raises:      queue not found or ticker disabled: QUEUE
-- Locks taken: the queue's tick lock (advisory) until commit
-- Called by:   a cascading consumer, pgq_admin
-- ----------------------------------------------------------------------
declare
    _q      record;
begin
    select q.queue_id, q.queue_tick_seq, q.queue_event_seq
      into _q
      from pgq.queue q
     where q.queue_name = i_queue_name and q.queue_external_ticker and not q.queue_ticker_paused;
    if not found then
        raise exception 'queue not found or ticker disabled: %', i_queue_name;
    end if;

    perform pg_advisory_xact_lock(7366513, _q.queue_id);
    insert into pgq.tick (tick_queue, tick_id, tick_time, tick_event_seq)
    values (_q.queue_id, i_tick_id, i_orig_timestamp, i_event_seq);
    perform pgq.seq_setval(_q.queue_tick_seq, i_tick_id);
    perform pgq.seq_setval(_q.queue_event_seq, i_event_seq);
    return i_tick_id;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq.ticker(i_queue_name text)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq.ticker(1)
--
--      Writes a tick when one is due: enough events wait, or one has waited long enough, or nothing has happened for a
--      time that doubles from tick to tick up to the idle period.
--
-- Parameters:  i_queue_name - name of the queue
-- Returns:     number of the new tick, null when none is due
-- Raises:      no such queue
--              This queue has external tick source.
--              Ticker has been paused for this queue
--              Invalid PgQ state: old xmin=N, old xmax=N, cur txid=N
--              could not serialize access: this transaction is older than the last tick
-- Locks taken: the queue's tick lock (advisory) until commit. Ticks must have the order of their snapshots, so a
--              snapshot is taken by a statement that starts after the lock is there
-- Called by:   the ticker, pgq_admin; pgq.ticker(0), pgq.create_queue
-- ----------------------------------------------------------------------
declare
    _q      record;
    _last   record;
    _before timestamptz;
    _seq    bigint;
    _new    bigint;
    _age    interval;
    _tick   bigint;
begin
    select q.queue_id, q.queue_tick_seq, q.queue_event_seq, q.queue_external_ticker, q.queue_ticker_paused,
           q.queue_ticker_max_count, q.queue_ticker_max_lag, q.queue_ticker_idle_period
      into _q
      from pgq.queue q
     where q.queue_name = i_queue_name;
    if not found then
        raise exception 'no such queue';
    end if;
    if _q.queue_external_ticker then
        raise exception 'This queue has external tick source.';
    end if;
    if _q.queue_ticker_paused then
        raise exception 'Ticker has been paused for this queue';
    end if;

    perform pg_advisory_xact_lock(7366513, _q.queue_id);    -- the bytes of "pgq"

    select t.tick_id, t.tick_time, t.tick_event_seq,
           txid_snapshot_xmin(t.tick_snapshot) as xmin, txid_snapshot_xmax(t.tick_snapshot) as xmax
      into _last
      from pgq.tick t
     where t.tick_queue = _q.queue_id
     order by t.tick_id desc
     limit 1;
    _seq := pgq.seq_getval(_q.queue_event_seq);

    if _last.tick_id is not null then
        -- A database that was restored into another cluster counts transactions anew: no later tick would see more.
        if _last.xmin > txid_current() then
            raise exception 'Invalid PgQ state: old xmin=%, old xmax=%, cur txid=%',
                _last.xmin, _last.xmax, txid_current();
        end if;
        if _last.xmax > txid_current() then
            raise warning 'Dubious PgQ state: old xmax=%, cur txid=%', _last.xmax, txid_current();
        end if;

        _new := _seq - _last.tick_event_seq;
        _age := now() - _last.tick_time;
        if _new > 0 then
            if _new < _q.queue_ticker_max_count and _age < _q.queue_ticker_max_lag then
                return null;
            end if;
        else
            if _new < 0 then
                raise warning 'Negative new_events?  old=% cur=%', _last.tick_event_seq, _seq;
            end if;
            -- Each tick of an idle queue waits twice as long as the one before; the second tick of all comes at once.
            select t.tick_time
              into _before
              from pgq.tick t
             where t.tick_queue = _q.queue_id and t.tick_id < _last.tick_id
             order by t.tick_id desc
             limit 1;
            if found and (_age < _q.queue_ticker_max_lag / 2
                          or (_age < _q.queue_ticker_idle_period and _age < (_last.tick_time - _before) * 2))
            then
                return null;
            end if;
        end if;

        if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
            -- The snapshot of such a transaction is fixed and may be older than a tick that was committed since. It
            -- cannot see that tick's row, but it meets its key.
            begin
                insert into pgq.tick (tick_queue, tick_id, tick_event_seq)
                select _q.queue_id, made.tick_id, 0
                  from generate_series(_last.tick_id + 1, pgq.seq_getval(_q.queue_tick_seq)) as made (tick_id)
                 order by made.tick_id desc
                 limit 1000;
                raise exception using errcode = 'PGQ01';
            exception
                when sqlstate 'PGQ01' then
                    null;
                when unique_violation then
                    raise exception 'could not serialize access: this transaction is older than the last tick'
                        using errcode = 'serialization_failure';
            end;
        end if;
    end if;

    _tick := nextval(_q.queue_tick_seq::regclass);
    insert into pgq.tick (tick_queue, tick_id, tick_event_seq)
    values (_q.queue_id, _tick, _seq);
    return _tick;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq.ticker()
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq.ticker(0)
--
--      Writes the ticks that are due on all queues that are neither paused nor ticked from elsewhere.
--
-- Parameters:  -
-- Returns:     number of queues that got a tick
-- Raises:      Invalid PgQ state
-- Locks taken: as pgq.ticker(1), in the order of the queues' numbers
-- Called by:   the ticker, pgq_admin
-- ----------------------------------------------------------------------
declare
    _name   text;
    _count  bigint := 0;
begin
    for _name in
        select q.queue_name
          from pgq.queue q
         where not q.queue_external_ticker and not q.queue_ticker_paused
         order by q.queue_id
    loop
        if pgq.ticker(_name) is not null then
            _count := _count + 1;
        end if;
    end loop;
    return _count;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.tune_storage.sql
create or replace function pgq.tune_storage(i_queue_name text)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.tune_storage(1)
--
--      Sets the storage parameters of a queue's event tables: rows are only added, and TRUNCATE frees them, so they
--      need neither free space nor vacuum.
--
-- Parameters:  i_queue_name - name of the queue
-- Returns:     1 - done, 0 - no such queue
-- Raises:      -
-- Locks taken: SHARE UPDATE EXCLUSIVE on the event tables
-- Called by:   pgq.create_queue
-- ----------------------------------------------------------------------
declare
    _q      record;
begin
    select q.queue_data_pfx, q.queue_ntables into _q from pgq.queue q where q.queue_name = i_queue_name;
    if not found then
        return 0;
    end if;
    for _i in 0 .. _q.queue_ntables - 1 loop
        execute format(
            'alter table %s_%s set (fillfactor = 100, autovacuum_enabled = off, toast.autovacuum_enabled = off)',
            _q.queue_data_pfx, _i);
    end loop;
    return 1;
end;
$$ language plpgsql strict set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.unregister_consumer.sql
create or replace function pgq.unregister_consumer(x_queue_name text, x_consumer_name text)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.unregister_consumer(2)
--
--      Removes a consumer from a queue, with its retry events and its cooperative subconsumers. The consumer's name is
--      forgotten with its last queue.
--
-- Parameters:  x_queue_name    - name of the queue
--              x_consumer_name - name of the consumer, or main.sub for one subconsumer
-- Returns:     number of removed subscriptions, 0 - was not registered
-- Raises:      -
-- Locks taken: the subscription's row; the consumer's row when it goes
-- Called by:   users, pgq_reader; pgq.drop_queue
-- ----------------------------------------------------------------------
declare
    _sub        record;
    _gone       integer[];
    _consumer   integer;
begin
    select s.sub_id, s.sub_queue, s.sub_consumer
      into _sub
      from pgq.subscription s
      join pgq.consumer c on c.co_id = s.sub_consumer
      join pgq.queue q on q.queue_id = s.sub_queue
     where q.queue_name = x_queue_name and c.co_name = x_consumer_name
       for update of s;
    if not found then
        return 0;
    end if;

    -- A subconsumer is named main.sub and shares the sub_id of main, to whom the events waiting for retry belong.
    if exists (
        select 1
          from pgq.subscription s
          join pgq.consumer c on c.co_id = s.sub_consumer
         where s.sub_queue = _sub.sub_queue and s.sub_id = _sub.sub_id and s.sub_consumer <> _sub.sub_consumer
           and starts_with(x_consumer_name, c.co_name || '.')
    ) then
        delete from pgq.subscription s where s.sub_queue = _sub.sub_queue and s.sub_consumer = _sub.sub_consumer;
        _gone := array[_sub.sub_consumer];
    else
        delete from pgq.retry_queue r where r.ev_owner = _sub.sub_id;
        with d as (
            delete from pgq.subscription s
             where s.sub_queue = _sub.sub_queue and s.sub_id = _sub.sub_id
            returning s.sub_consumer
        )
        select array_agg(d.sub_consumer order by d.sub_consumer) into _gone from d;
    end if;

    foreach _consumer in array _gone loop
        if not exists (select 1 from pgq.subscription s where s.sub_consumer = _consumer) then
            -- Waits for a registration under way, and then looks again.
            perform 1 from pgq.consumer c where c.co_id = _consumer for update;
            delete from pgq.consumer c
             where c.co_id = _consumer
               and not exists (select 1 from pgq.subscription s where s.sub_consumer = _consumer);
        end if;
    end loop;
    return cardinality(_gone);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq/functions/pgq.upgrade_schema.sql
create or replace function pgq.upgrade_schema()
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.upgrade_schema(0)
--
--      Part of PgQ's API. Installing brings the schema up to date by itself, so there is never anything left to do.
--
-- Parameters:  -
-- Returns:     number of changed tables: 0
-- Raises:      -
-- Locks taken: -
-- Called by:   users, pgq_admin
-- ----------------------------------------------------------------------
begin
    return 0;
end;
$$ language plpgsql;

-- file: sql/pgq/functions/pgq.version.sql
create or replace function pgq.version()
returns text as $$
-- ----------------------------------------------------------------------
-- Function: pgq.version(0)
--
--      Tells which PgQ's API this is. Clients compare the first number.
--
-- Parameters:  -
-- Returns:     the version
-- Raises:      -
-- Locks taken: -
-- Called by:   users
-- ----------------------------------------------------------------------
begin
    return '3.5.2';
end;
$$ language plpgsql;

-- file: sql/pgq/grants.sql
-- Who may do what. The three roles are the original's: reader - consumers, writer - producers, admin - both and the
-- rest. What is not for everybody is taken away from PUBLIC, so the owner alone is left where the roles do not exist.
do $$
declare
    _everybody  constant text[] := array['get_consumer_info', 'get_queue_info', 'quote_fqname', 'seq_getval',
        'version'];
    -- What the trigger functions call with the rights of whoever changes the table.
    _helpers    constant text[] := array['_row_json', '_row_urlencoded', '_row_values', '_trigger_event',
        '_trigger_options', '_urlencode'];
    _reader     constant text[] := array['batch_event_sql', 'batch_event_tables', 'batch_retry', 'event_retry',
        'find_tick_helper', 'finish_batch', 'force_tick', 'get_batch_cursor', 'get_batch_events', 'get_batch_info',
        'next_batch', 'next_batch_custom', 'next_batch_info', 'register_consumer', 'register_consumer_at',
        'unregister_consumer'];
    _writer     constant text[] := array['current_event_table', 'insert_event', 'jsontriga', 'logutriga', 'sqltriga'];
    _statement  text;
begin
    for _statement in
        select format('revoke all on function %s from public', f.sig)
          from (select p.proname as name, p.oid::regprocedure as sig
                  from pg_catalog.pg_proc p
                 where p.pronamespace = 'pgq'::regnamespace) f
         where f.name <> all (_everybody || _helpers)
        union all
        select format('grant execute on function %s to %I', f.sig,
                      case when f.name = any (_reader) then 'pgq_reader'
                           when f.name = any (_writer) then 'pgq_writer'
                           else 'pgq_admin' end)
          from (select p.proname as name, p.oid::regprocedure as sig
                  from pg_catalog.pg_proc p
                 where p.pronamespace = 'pgq'::regnamespace) f
         where f.name <> all (_everybody || _helpers)
           and to_regrole(case when f.name = any (_reader) then 'pgq_reader'
                               when f.name = any (_writer) then 'pgq_writer'
                               else 'pgq_admin' end) is not null
    loop
        execute _statement;
    end loop;

    for _statement in
        select format('grant execute on function %s to public', p.oid::regprocedure)
          from pg_catalog.pg_proc p
         where p.pronamespace = 'pgq'::regnamespace and p.proname = any (_everybody || _helpers)
    loop
        execute _statement;
    end loop;

    grant select on pgq.consumer, pgq.queue, pgq.tick, pgq.subscription to public;
    if to_regrole('pgq_reader') is not null then
        grant select on pgq.consumer, pgq.queue, pgq.tick, pgq.subscription, pgq.event_template to pgq_reader;
    end if;
    if to_regrole('pgq_writer') is not null then
        -- For COPY into the current table. Transaction and owner are not for the producer to say.
        grant insert (ev_id, ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)
            on pgq.event_template to pgq_writer;
    end if;
    if to_regrole('pgq_admin') is not null then
        grant select, insert, update, delete
            on pgq.consumer, pgq.queue, pgq.tick, pgq.subscription, pgq.retry_queue to pgq_admin;
        grant select, insert, truncate on pgq.event_template to pgq_admin;
    end if;
    -- Queues that exist get what has changed in the pattern.
    perform pgq.grant_perms(q.queue_name) from pgq.queue q;
end;
$$;

-- file: sql/pgq_coop/schema.sql
-- Cooperative consumers: several workers share one consumer's batches.
create schema if not exists pgq_coop;
grant usage on schema pgq_coop to public;

-- file: sql/pgq_coop/functions/pgq_coop.finish_batch.sql
create or replace function pgq_coop.finish_batch(i_batch_id bigint)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq_coop.finish_batch(1)
--
--      Closes a subconsumer's batch. Its position goes with it: only the main consumer keeps one.
--
-- Parameters:  i_batch_id - number of the open batch
-- Returns:     1 - closed, 0 - there is no such open batch of a subconsumer, with a warning
-- Raises:      -
-- Locks taken: the subscription's row
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    update pgq.subscription s
       set sub_active = now(), sub_last_tick = null, sub_next_tick = null, sub_batch = null
      from pgq.consumer c
     where s.sub_batch = i_batch_id
       and c.co_id = s.sub_consumer
       and exists (
            select 1
              from pgq.subscription m
              join pgq.consumer mc on mc.co_id = m.sub_consumer
             where m.sub_queue = s.sub_queue and m.sub_id = s.sub_id and m.sub_consumer <> s.sub_consumer
               and starts_with(c.co_name, mc.co_name || '.'));
    if not found then
        raise warning 'coop_finish_batch: batch % not found', i_batch_id;
        return 0;
    end if;
    return 1;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq_coop/functions/pgq_coop.next_batch.sql
create or replace function pgq_coop.next_batch(
    i_queue_name text, i_consumer_name text, i_subconsumer_name text, i_dead_interval interval)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq_coop.next_batch(4)
--
--      Opens the main consumer's next batch for a subconsumer, or names the one that is open; takes over the batch of
--      a subconsumer that has been silent for too long.
--
-- Parameters:  i_queue_name       - name of the queue
--              i_consumer_name    - name of the main consumer
--              i_subconsumer_name - name of the subconsumer
--              i_dead_interval    - a batch that was opened before so long may be taken over; null: never
-- Returns:     number of the batch, null when there is none yet
-- Raises:      as pgq_coop.next_batch_custom
-- Locks taken: as pgq_coop.next_batch_custom
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    return (
        select f.batch_id
          from pgq_coop.next_batch_custom(i_queue_name, i_consumer_name, i_subconsumer_name,
                                          null, null, null, i_dead_interval) f);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq_coop.next_batch(i_queue_name text, i_consumer_name text, i_subconsumer_name text)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq_coop.next_batch(3)
--
--      Opens the main consumer's next batch for a subconsumer, or names the one that is open.
--
-- Parameters:  i_queue_name       - name of the queue
--              i_consumer_name    - name of the main consumer
--              i_subconsumer_name - name of the subconsumer
-- Returns:     number of the batch, null when there is none yet
-- Raises:      as pgq_coop.next_batch_custom
-- Locks taken: as pgq_coop.next_batch_custom
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    return pgq_coop.next_batch(i_queue_name, i_consumer_name, i_subconsumer_name, null);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq_coop/functions/pgq_coop.next_batch_custom.sql
create or replace function pgq_coop.next_batch_custom(
    i_queue_name text, i_consumer_name text, i_subconsumer_name text,
    i_min_lag interval, i_min_count integer, i_min_interval interval, i_dead_interval interval,
    out batch_id bigint, out cur_tick_id bigint, out prev_tick_id bigint,
    out cur_tick_time timestamptz, out prev_tick_time timestamptz,
    out cur_tick_event_seq bigint, out prev_tick_event_seq bigint)
returns record as $$
-- ----------------------------------------------------------------------
-- Function: pgq_coop.next_batch_custom(7)
--
--      Opens the main consumer's next batch for a subconsumer, or names the one that is open; takes over the batch of
--      a subconsumer that has been silent for too long, under its number, and removes that one. Registers who is not
--      registered yet.
--
-- Parameters:  i_queue_name       - name of the queue
--              i_consumer_name    - name of the main consumer
--              i_subconsumer_name - name of the subconsumer
--              i_min_lag, i_min_count, i_min_interval - as in pgq.next_batch_custom
--              i_dead_interval    - a batch that was opened before so long may be taken over; null: never
-- Returns:     the batch with its two ticks; all null when there is none yet
-- Raises:      Event queue not created yet
--              consumer "MAIN" has an open batch of its own
-- Locks taken: the main consumer's subscription, so that a batch goes to one subconsumer only
-- Called by:   users, pgq_reader; pgq_coop.next_batch
-- ----------------------------------------------------------------------
declare
    _main       record;
    _sub        record;
    _dead       record;
    _name       text := i_consumer_name || '.' || i_subconsumer_name;
begin
    loop
        select s.sub_id, s.sub_queue, s.sub_consumer, s.sub_batch
          into _main
          from pgq.subscription s
          join pgq.queue q on q.queue_id = s.sub_queue
          join pgq.consumer c on c.co_id = s.sub_consumer
         where q.queue_name = i_queue_name and c.co_name = i_consumer_name
           for update of s;
        if found then
            select s.sub_consumer, s.sub_batch
              into _sub
              from pgq.subscription s
              join pgq.consumer c on c.co_id = s.sub_consumer
             where s.sub_queue = _main.sub_queue and s.sub_id = _main.sub_id and c.co_name = _name;
            exit when found;
        end if;
        perform pgq_coop.register_subconsumer(i_queue_name, i_consumer_name, i_subconsumer_name);
    end loop;

    if _sub.sub_batch is not null then
        -- Asking again is a sign of life, but not worth a row version every time.
        update pgq.subscription s
           set sub_active = now()
         where s.sub_queue = _main.sub_queue and s.sub_consumer = _sub.sub_consumer
           and s.sub_active < now() - interval '5 seconds';
    else
        select c.co_name, s.sub_batch, s.sub_last_tick, s.sub_next_tick
          into _dead
          from pgq.subscription s
          join pgq.consumer c on c.co_id = s.sub_consumer
         where s.sub_queue = _main.sub_queue and s.sub_id = _main.sub_id and s.sub_consumer <> _main.sub_consumer
           and s.sub_batch is not null and s.sub_active < now() - i_dead_interval
         order by s.sub_active
         limit 1
           for update of s;
        if found then
            -- First away, then here: a batch must not belong to two at any time. Should the silent one come back, it is
            -- registered again.
            perform pgq.unregister_consumer(i_queue_name, _dead.co_name);
        else
            if _main.sub_batch is not null then
                raise exception 'consumer "%" has an open batch of its own', i_consumer_name;
            end if;
            select f.batch_id as sub_batch, f.prev_tick_id as sub_last_tick, f.cur_tick_id as sub_next_tick
              into _dead
              from pgq.next_batch_custom(i_queue_name, i_consumer_name, i_min_lag, i_min_count, i_min_interval) f;
            if _dead.sub_batch is null then
                return;
            end if;
            update pgq.subscription s
               set sub_batch = null, sub_last_tick = s.sub_next_tick, sub_next_tick = null
             where s.sub_queue = _main.sub_queue and s.sub_consumer = _main.sub_consumer;
        end if;
        update pgq.subscription s
           set sub_batch = _dead.sub_batch, sub_last_tick = _dead.sub_last_tick, sub_next_tick = _dead.sub_next_tick,
               sub_active = now()
         where s.sub_queue = _main.sub_queue and s.sub_consumer = _sub.sub_consumer;
    end if;

    select f.batch_id, f.cur_tick_id, f.prev_tick_id, f.cur_tick_time, f.prev_tick_time,
           f.cur_tick_event_seq, f.prev_tick_event_seq
      into batch_id, cur_tick_id, prev_tick_id, cur_tick_time, prev_tick_time, cur_tick_event_seq, prev_tick_event_seq
      from pgq.next_batch_custom(i_queue_name, _name, null, null, null) f;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq_coop.next_batch_custom(
    i_queue_name text, i_consumer_name text, i_subconsumer_name text,
    i_min_lag interval, i_min_count integer, i_min_interval interval,
    out batch_id bigint, out cur_tick_id bigint, out prev_tick_id bigint,
    out cur_tick_time timestamptz, out prev_tick_time timestamptz,
    out cur_tick_event_seq bigint, out prev_tick_event_seq bigint)
returns record as $$
-- ----------------------------------------------------------------------
-- Function: pgq_coop.next_batch_custom(6)
--
--      Opens the main consumer's next batch for a subconsumer, or names the one that is open.
--
-- Parameters:  as pgq_coop.next_batch_custom(7)
-- Returns:     the batch with its two ticks; all null when there is none yet
-- Raises:      as pgq_coop.next_batch_custom(7)
-- Locks taken: as pgq_coop.next_batch_custom(7)
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    select f.batch_id, f.cur_tick_id, f.prev_tick_id, f.cur_tick_time, f.prev_tick_time,
           f.cur_tick_event_seq, f.prev_tick_event_seq
      into batch_id, cur_tick_id, prev_tick_id, cur_tick_time, prev_tick_time, cur_tick_event_seq, prev_tick_event_seq
      from pgq_coop.next_batch_custom(i_queue_name, i_consumer_name, i_subconsumer_name,
                                      i_min_lag, i_min_count, i_min_interval, null) f;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq_coop/functions/pgq_coop.register_subconsumer.sql
create or replace function pgq_coop.register_subconsumer(
    i_queue_name text, i_consumer_name text, i_subconsumer_name text)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq_coop.register_subconsumer(3)
--
--      Registers a subconsumer, and its main consumer when there is none yet. It becomes the consumer main.sub, which
--      shares the main consumer's sub_id and has a position only while it has a batch.
--
-- Parameters:  i_queue_name       - name of the queue
--              i_consumer_name    - name of the main consumer
--              i_subconsumer_name - name of the subconsumer
-- Returns:     1 - registered, 0 - was registered
-- Raises:      Event queue not created yet
--              consumer "MAIN.SUB" is registered, but is not a subconsumer
-- Locks taken: the main consumer's subscription; as pgq.register_consumer
-- Called by:   users, pgq_reader; pgq_coop.next_batch_custom
-- ----------------------------------------------------------------------
declare
    _name       text := i_consumer_name || '.' || i_subconsumer_name;
    _main       record;
    _consumer   integer;
begin
    if _name is null then
        raise exception 'consumer name must not be NULL';
    end if;
    loop
        select s.sub_id, s.sub_queue
          into _main
          from pgq.subscription s
          join pgq.queue q on q.queue_id = s.sub_queue
          join pgq.consumer c on c.co_id = s.sub_consumer
         where q.queue_name = i_queue_name and c.co_name = i_consumer_name
           for update of s;
        exit when found;
        perform pgq.register_consumer(i_queue_name, i_consumer_name);
    end loop;

    loop
        select c.co_id into _consumer from pgq.consumer c where c.co_name = _name for key share;
        exit when found;
        insert into pgq.consumer (co_name) values (_name) on conflict (co_name) do nothing;
    end loop;
    insert into pgq.subscription (sub_id, sub_queue, sub_consumer, sub_last_tick)
    values (_main.sub_id, _main.sub_queue, _consumer, null)
    on conflict (sub_queue, sub_consumer) do nothing;
    if found then
        return 1;
    end if;

    perform 1
       from pgq.subscription s
      where s.sub_queue = _main.sub_queue and s.sub_consumer = _consumer and s.sub_id = _main.sub_id;
    if not found then
        raise exception 'consumer "%" is registered, but is not a subconsumer', _name;
    end if;
    return 0;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq_coop/functions/pgq_coop.unregister_subconsumer.sql
create or replace function pgq_coop.unregister_subconsumer(
    i_queue_name text, i_consumer_name text, i_subconsumer_name text, i_batch_handling integer)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq_coop.unregister_subconsumer(4)
--
--      Removes a subconsumer; the main consumer and the other subconsumers stay.
--
-- Parameters:  i_queue_name       - name of the queue
--              i_consumer_name    - name of the main consumer
--              i_subconsumer_name - name of the subconsumer
--              i_batch_handling   - when it has an open batch: 0 - refuse, 1 - drop the batch, whose events nobody
--                                   will see then
-- Returns:     1 - removed, 0 - was not registered
-- Raises:      subconsumer has active batch
-- Locks taken: the main consumer's subscription and its own
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
declare
    _main   record;
    _sub    record;
begin
    select s.sub_id, s.sub_queue, s.sub_consumer
      into _main
      from pgq.subscription s
      join pgq.queue q on q.queue_id = s.sub_queue
      join pgq.consumer c on c.co_id = s.sub_consumer
     where q.queue_name = i_queue_name and c.co_name = i_consumer_name
       for update of s;
    if not found then
        return 0;
    end if;
    select s.sub_consumer, s.sub_batch
      into _sub
      from pgq.subscription s
      join pgq.consumer c on c.co_id = s.sub_consumer
     where s.sub_queue = _main.sub_queue and s.sub_id = _main.sub_id and s.sub_consumer <> _main.sub_consumer
       and c.co_name = i_consumer_name || '.' || i_subconsumer_name
       for update of s;
    if not found then
        return 0;
    end if;

    if _sub.sub_batch is not null and i_batch_handling is distinct from 1 then
        raise exception 'subconsumer has active batch';
    end if;
    return pgq.unregister_consumer(i_queue_name, i_consumer_name || '.' || i_subconsumer_name);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq_coop/functions/pgq_coop.version.sql
create or replace function pgq_coop.version()
returns text as $$
-- ----------------------------------------------------------------------
-- Function: pgq_coop.version(0)
--
--      Tells which version of the API this is. Clients compare the first number.
--
-- Parameters:  -
-- Returns:     the version
-- Raises:      -
-- Locks taken: -
-- Called by:   users
-- ----------------------------------------------------------------------
begin
    return '3.5.2';
end;
$$ language plpgsql;

-- file: sql/pgq_coop/grants.sql
-- The version is for everybody, the rest for pgq_reader, or for the owner alone where that role does not exist.
do $$
declare
    _statement text;
begin
    for _statement in
        select format(s.pattern, p.oid::regprocedure)
          from pg_catalog.pg_proc p
         cross join (values ('revoke all on function %s from public', true),
                            ('grant execute on function %s to pgq_reader', to_regrole('pgq_reader') is not null)
                    ) as s (pattern, wanted)
         where p.pronamespace = 'pgq_coop'::regnamespace and p.proname <> 'version' and s.wanted
         order by s.pattern desc
    loop
        execute _statement;
    end loop;
    grant execute on function pgq_coop.version() to public;
end;
$$;

-- file: sql/pgq_ext/schema.sql
-- What the consumers of queues remember on their destination, in the transaction that does their work there.
create schema if not exists pgq_ext;
grant usage on schema pgq_ext to public;

-- file: sql/pgq_ext/tables.sql
-- Tables of schema pgq_ext in their final state. Names and columns are the original's.

-- The last tick that a consumer has applied.
create table if not exists pgq_ext.completed_tick (
    consumer_id     text not null,
    subconsumer_id  text not null default '',       -- '' for a consumer that works alone
    last_tick_id    bigint not null,
    constraint completed_tick_pkey primary key (consumer_id, subconsumer_id)
) with (fillfactor = 20);

-- The last batch that a consumer has applied.
create table if not exists pgq_ext.completed_batch (
    consumer_id     text not null,
    subconsumer_id  text not null default '',
    last_batch_id   bigint not null,
    constraint completed_batch_pkey primary key (consumer_id, subconsumer_id)
) with (fillfactor = 20);

-- The events that a consumer has applied of the batch it is in the middle of.
create table if not exists pgq_ext.completed_event (
    consumer_id     text not null,
    subconsumer_id  text not null default '',
    batch_id        bigint not null,
    event_id        bigint not null,
    constraint completed_event_pkey primary key (consumer_id, subconsumer_id, batch_id, event_id)
);

-- Which batch that is.
create table if not exists pgq_ext.partial_batch (
    consumer_id     text not null,
    subconsumer_id  text not null default '',
    cur_batch_id    bigint not null,
    constraint partial_batch_pkey primary key (consumer_id, subconsumer_id)
) with (fillfactor = 20);

-- file: sql/pgq_ext/functions/pgq_ext.get_last_tick.sql
create or replace function pgq_ext.get_last_tick(a_consumer text, a_subconsumer text)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.get_last_tick(2)
--
--      Returns the last tick that the consumer has applied.
--
-- Parameters:  a_consumer - name of the consumer
--              a_subconsumer - name of the cooperative subconsumer, '' for a consumer that works alone
-- Returns:     number of the tick, null when none is stored
-- Raises:      -
-- Locks taken: -
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    return (
        select t.last_tick_id
          from pgq_ext.completed_tick t
         where t.consumer_id = a_consumer and t.subconsumer_id = a_subconsumer);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq_ext.get_last_tick(a_consumer text)
returns bigint as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.get_last_tick(1)
--
--      Returns the last tick that the consumer has applied, for a consumer that works alone.
--
-- Parameters:  a_consumer - name of the consumer
-- Returns:     number of the tick, null when none is stored
-- Raises:      -
-- Locks taken: -
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    return pgq_ext.get_last_tick(a_consumer, '');
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq_ext/functions/pgq_ext.is_batch_done.sql
create or replace function pgq_ext.is_batch_done(a_consumer text, a_subconsumer text, a_batch_id bigint)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.is_batch_done(3)
--
--      Tells whether a batch is the last one that the consumer has applied.
--
-- Parameters:  a_consumer - name of the consumer
--              a_subconsumer - name of the cooperative subconsumer, '' for a consumer that works alone
--              a_batch_id - number of the batch
-- Returns:     true or false
-- Raises:      -
-- Locks taken: -
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    return exists (
        select 1
          from pgq_ext.completed_batch b
         where b.consumer_id = a_consumer and b.subconsumer_id = a_subconsumer and b.last_batch_id = a_batch_id);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq_ext.is_batch_done(a_consumer text, a_batch_id bigint)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.is_batch_done(2)
--
--      Tells whether a batch is the last one that the consumer has applied, for a consumer that works alone.
--
-- Parameters:  a_consumer - name of the consumer
--              a_batch_id - number of the batch
-- Returns:     true or false
-- Raises:      -
-- Locks taken: -
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    return pgq_ext.is_batch_done(a_consumer, '', a_batch_id);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq_ext/functions/pgq_ext.is_event_done.sql
create or replace function pgq_ext.is_event_done(
    a_consumer text, a_subconsumer text, a_batch_id bigint, a_event_id bigint)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.is_event_done(4)
--
--      Tells whether the consumer has applied an event of the batch it is working on.
--
-- Parameters:  a_consumer - name of the consumer
--              a_subconsumer - name of the cooperative subconsumer, '' for a consumer that works alone
--              a_batch_id - number of the batch
--              a_event_id - number of the event
-- Returns:     true or false
-- Raises:      -
-- Locks taken: -
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    return exists (
        select 1
          from pgq_ext.completed_event e
         where e.consumer_id = a_consumer and e.subconsumer_id = a_subconsumer
           and e.batch_id = a_batch_id and e.event_id = a_event_id);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq_ext.is_event_done(a_consumer text, a_batch_id bigint, a_event_id bigint)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.is_event_done(3)
--
--      Tells whether the consumer has applied an event of the batch it is working on, for a consumer that works
--      alone.
--
-- Parameters:  a_consumer - name of the consumer
--              a_batch_id - number of the batch
--              a_event_id - number of the event
-- Returns:     true or false
-- Raises:      -
-- Locks taken: -
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    return pgq_ext.is_event_done(a_consumer, '', a_batch_id, a_event_id);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq_ext/functions/pgq_ext.set_batch_done.sql
create or replace function pgq_ext.set_batch_done(a_consumer text, a_subconsumer text, a_batch_id bigint)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.set_batch_done(3)
--
--      Stores that the consumer has applied a batch.
--
-- Parameters:  a_consumer - name of the consumer
--              a_subconsumer - name of the cooperative subconsumer, '' for a consumer that works alone
--              a_batch_id - number of the batch
-- Returns:     true - stored, false - it was the last one already
-- Raises:      -
-- Locks taken: the consumer's row
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    insert into pgq_ext.completed_batch as b (consumer_id, subconsumer_id, last_batch_id)
    values (a_consumer, a_subconsumer, a_batch_id)
    on conflict (consumer_id, subconsumer_id) do update
       set last_batch_id = excluded.last_batch_id
     where b.last_batch_id <> excluded.last_batch_id;
    return found;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq_ext.set_batch_done(a_consumer text, a_batch_id bigint)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.set_batch_done(2)
--
--      Stores that the consumer has applied a batch, for a consumer that works alone.
--
-- Parameters:  a_consumer - name of the consumer
--              a_batch_id - number of the batch
-- Returns:     true - stored, false - it was the last one already
-- Raises:      -
-- Locks taken: the consumer's row
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    return pgq_ext.set_batch_done(a_consumer, '', a_batch_id);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq_ext/functions/pgq_ext.set_event_done.sql
create or replace function pgq_ext.set_event_done(
    a_consumer text, a_subconsumer text, a_batch_id bigint, a_event_id bigint)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.set_event_done(4)
--
--      Stores that the consumer has applied an event; forgets the events of its other batches.
--
-- Parameters:  a_consumer - name of the consumer
--              a_subconsumer - name of the cooperative subconsumer, '' for a consumer that works alone
--              a_batch_id - number of the batch
--              a_event_id - number of the event
-- Returns:     true - stored, false - it was stored already
-- Raises:      -
-- Locks taken: the consumer's row when the batch changes
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    -- The first event of another batch: the events of the batch before it are not asked for any more.
    insert into pgq_ext.partial_batch as p (consumer_id, subconsumer_id, cur_batch_id)
    values (a_consumer, a_subconsumer, a_batch_id)
    on conflict (consumer_id, subconsumer_id) do update
       set cur_batch_id = excluded.cur_batch_id
     where p.cur_batch_id <> excluded.cur_batch_id;
    if found then
        delete from pgq_ext.completed_event e
         where e.consumer_id = a_consumer and e.subconsumer_id = a_subconsumer and e.batch_id <> a_batch_id;
    end if;

    insert into pgq_ext.completed_event (consumer_id, subconsumer_id, batch_id, event_id)
    values (a_consumer, a_subconsumer, a_batch_id, a_event_id)
    on conflict do nothing;
    return found;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq_ext.set_event_done(a_consumer text, a_batch_id bigint, a_event_id bigint)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.set_event_done(3)
--
--      Stores that the consumer has applied an event; forgets the events of its other batches, for a consumer that
--      works alone.
--
-- Parameters:  a_consumer - name of the consumer
--              a_batch_id - number of the batch
--              a_event_id - number of the event
-- Returns:     true - stored, false - it was stored already
-- Raises:      -
-- Locks taken: the consumer's row when the batch changes
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    return pgq_ext.set_event_done(a_consumer, '', a_batch_id, a_event_id);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq_ext/functions/pgq_ext.set_last_tick.sql
create or replace function pgq_ext.set_last_tick(a_consumer text, a_subconsumer text, a_tick_id bigint)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.set_last_tick(3)
--
--      Stores the last tick that the consumer has applied.
--
-- Parameters:  a_consumer - name of the consumer
--              a_subconsumer - name of the cooperative subconsumer, '' for a consumer that works alone
--              a_tick_id - number of the tick, null: forget it
-- Returns:     1
-- Raises:      -
-- Locks taken: the consumer's row
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    if a_tick_id is null then
        delete from pgq_ext.completed_tick t
         where t.consumer_id = a_consumer and t.subconsumer_id = a_subconsumer;
    else
        insert into pgq_ext.completed_tick (consumer_id, subconsumer_id, last_tick_id)
        values (a_consumer, a_subconsumer, a_tick_id)
        on conflict (consumer_id, subconsumer_id) do update
           set last_tick_id = excluded.last_tick_id;
    end if;
    return 1;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

create or replace function pgq_ext.set_last_tick(a_consumer text, a_tick_id bigint)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.set_last_tick(2)
--
--      Stores the last tick that the consumer has applied, for a consumer that works alone.
--
-- Parameters:  a_consumer - name of the consumer
--              a_tick_id - number of the tick, null: forget it
-- Returns:     1
-- Raises:      -
-- Locks taken: the consumer's row
-- Called by:   consumers that work on another database, pgq_writer
-- ----------------------------------------------------------------------
begin
    return pgq_ext.set_last_tick(a_consumer, '', a_tick_id);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/pgq_ext/functions/pgq_ext.upgrade_schema.sql
create or replace function pgq_ext.upgrade_schema()
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.upgrade_schema(0)
--
--      Part of the original's API. Installing brings the schema up to date by itself, so there is never anything left
--      to do.
--
-- Parameters:  -
-- Returns:     number of changed tables: 0
-- Raises:      -
-- Locks taken: -
-- Called by:   users, pgq_writer
-- ----------------------------------------------------------------------
begin
    return 0;
end;
$$ language plpgsql;

-- file: sql/pgq_ext/functions/pgq_ext.version.sql
create or replace function pgq_ext.version()
returns text as $$
-- ----------------------------------------------------------------------
-- Function: pgq_ext.version(0)
--
--      Tells which version of the API this is. Clients compare the first number.
--
-- Parameters:  -
-- Returns:     the version
-- Raises:      -
-- Locks taken: -
-- Called by:   users
-- ----------------------------------------------------------------------
begin
    return '3.5.2';
end;
$$ language plpgsql;

-- file: sql/pgq_ext/grants.sql
-- The version is for everybody, the rest for pgq_writer, or for the owner alone where that role does not exist.
do $$
declare
    _statement text;
begin
    for _statement in
        select format(s.pattern, p.oid::regprocedure)
          from pg_catalog.pg_proc p
         cross join (values ('revoke all on function %s from public', true),
                            ('grant execute on function %s to pgq_writer', to_regrole('pgq_writer') is not null)
                    ) as s (pattern, wanted)
         where p.pronamespace = 'pgq_ext'::regnamespace and p.proname <> 'version' and s.wanted
         order by s.pattern desc
    loop
        execute _statement;
    end loop;
    grant execute on function pgq_ext.version() to public;
end;
$$;

-- file: sql/londiste/schema.sql
-- The schema of registration, table states, positions and capture helpers; the same on provider and subscriber.
create schema if not exists londiste;
grant usage on schema londiste to public;

-- file: sql/londiste/tables.sql
-- Tables of schema londiste in their final state. Londiste 2.1's columns keep their names and meaning.

-- One row per installed component: which SQL is in this database.
create table if not exists londiste.schema_version (
    component       text primary key,               -- pgq, pgq_coop, pgq_ext, londiste
    version         int4 not null,                  -- number of the schema, see londiste_lite/schema.py
    program_version text not null,                  -- londiste_lite that installed it
    checksum        text not null,                  -- over the SQL files of the component
    installed       timestamptz not null default now()
);

-- Provider: the published tables.
create table if not exists londiste.provider_table (
    nr              serial not null,                -- order of registration
    queue_name      text not null,
    table_name      text not null,                  -- schema.table, see londiste_lite/names.py
    trigger_name    text,                           -- stem of the capture triggers' names
    key_columns     text[] not null,                -- primary key, or the columns of --key
    key_given       boolean not null default false, -- true: named with --key
    node_column     text,                           -- routing by a column: its name, else null
    node_rule       text,                           -- routing by an SQL expression over the row, else null
    node_many       boolean not null default false, -- true: the route gives an array of nodes
    primary key (queue_name, table_name)
);

-- Provider: the published sequences.
create table if not exists londiste.provider_seq (
    nr              serial not null,
    queue_name      text not null,
    seq_name        text not null,
    primary key (queue_name, seq_name)
);

-- Subscriber: the subscribed tables and how far each is.
create table if not exists londiste.subscriber_table (
    nr              serial not null,
    queue_name      text not null,
    table_name      text not null,
    snapshot        text,                           -- provider snapshot up to which the table is complete while it is
                                                    -- not (or not long) part of the main replay, else null
    merge_state     text,                           -- null: to be copied, in-copy, catching-up, ok
    trigger_name    text,                           -- unused, as in Londiste 2.1
    skip_truncate   boolean,                        -- true: the first copy appends
    dest_table      text,                           -- name on the subscriber when it differs
    copy_condition  text,                           -- SQL condition of the first copy, null: all rows
    key_columns     text[],                         -- key as the provider registered it
    error           text,                           -- why the table is held or its copy fails, else null
    rows_inserted   int8 not null default 0,        -- counted by replay since registration
    rows_updated    int8 not null default 0,
    rows_deleted    int8 not null default 0,
    conflicts       int8 not null default 0,        -- events that met another row state than they expected
    primary key (queue_name, table_name)
) with (fillfactor = 50);

-- Subscriber: the subscribed sequences.
create table if not exists londiste.subscriber_seq (
    nr              serial not null,
    queue_name      text not null,
    seq_name        text not null,
    primary key (queue_name, seq_name)
);

-- Subscriber: foreign keys dropped for a copy, until both ends are in sync again.
create table if not exists londiste.subscriber_pending_fkeys (
    from_table      text not null,
    to_table        text not null,
    fkey_name       text not null,
    fkey_def        text not null,
    primary key (from_table, fkey_name)
);

-- Subscriber: triggers dropped and not yet restored (by Londiste 2.1; this program drops none).
create table if not exists londiste.subscriber_pending_triggers (
    table_name      text not null,
    trigger_name    text not null,
    trigger_def     text not null,
    primary key (table_name, trigger_name)
);

-- Subscriber: the last applied tick of each consumer, written in the transaction that applied it.
create table if not exists londiste.completed (
    consumer_id     text not null,
    last_tick_id    int8 not null,
    queue_name      text,
    applied         timestamptz,                    -- when, by the subscriber's clock
    tick_time       timestamptz,                    -- the tick's time, by the provider's clock
    last_error      text,                           -- what stops replay, null when it works
    last_error_time timestamptz,
    primary key (consumer_id)
) with (fillfactor = 50);

-- Subscriber: consumers whose replay rests between batches.
create table if not exists londiste.paused (
    consumer_id     text primary key,
    paused_since    timestamptz not null default now(),
    paused_by       text not null
);

-- Provider: scripts of `provider execute`. Their own row changes are not replayed, for the script itself is.
create table if not exists londiste.provider_script (
    queue_name      text not null,
    txid            int8 not null,                  -- transaction that ran it
    event_id        int8 not null,
    script_name     text not null,
    executed        timestamptz not null default now(),
    primary key (queue_name, txid, event_id)
);

-- file: sql/londiste/functions/londiste.attnums_of.sql
create or replace function londiste.attnums_of(i_rel regclass, i_root regclass, i_names text[] default null)
returns text as $$
-- ----------------------------------------------------------------------
-- Function: londiste.attnums_of(3)
--
--      Where the listed columns stand in the published table, for events whose columns are not simply 1, 2, 3...
--      With it replay recognises a column that was renamed, and one that was dropped and made anew.
--
--      Marked IMMUTABLE for the reason given in londiste.columns_of.
--
-- Parameters:  i_rel   - the table that the event's row comes from
--              i_root  - the published table; differs from i_rel for a partition
--              i_names - the listed columns, null: all columns of i_rel in its order
-- Returns:     text form of an array, `{1,3,4}`; null when it would be {1,2,...,n}
-- Raises:      40001, see londiste.live_columns
-- Locks taken: none
-- Called by:   capture functions, londiste.current_rows_sql
-- ----------------------------------------------------------------------
declare
    nums    int2[];
begin
    select array_agg(r.o_attnum order by coalesce(array_position(i_names, c.o_name), c.o_attnum))
      into nums
      from londiste.live_columns(i_rel) c
      join londiste.live_columns(i_root) r on r.o_name = c.o_name
     where i_names is null or c.o_name = any (i_names);
    if nums = array(select n::int2 from generate_series(1, cardinality(nums)) n) then
        return null;
    end if;
    return nums::text;
end;
$$ language plpgsql immutable set search_path = pg_catalog, pg_temp;

-- file: sql/londiste/functions/londiste.capture_begin.sql
create or replace function londiste.capture_begin(i_op text, i_id text, i_rows boolean, i_plain boolean)
returns text[] as $$
-- ----------------------------------------------------------------------
-- Function: londiste.capture_begin(4)
--
--      What a capture function does first when anything is out of the ordinary: ends the mark that
--      londiste.capture_open made, finds out whether the statement's own image of its rows can be trusted, and sets
--      what the text of values depends on.
--
--      `londiste.open` holds a mark per statement under way, and `*<id>,` while a table has rows in the queue that were
--      logged by a statement inside another one on that table. The outer one then logs the rows as they are now.
--
--      Names and operators are qualified instead of a SET clause: it runs for every nested statement, and must
--      hand changed settings to its caller.
--
-- Parameters:  i_op    - operation letter
--              i_id    - queue and published table, for example `3.16384`
--              i_rows  - whether the statement touched any row
--              i_plain - see londiste.plain_text
-- Returns:     null: nothing is to be logged. Else element 1 is `image` or `current`, the others are the former values
--              of DateStyle, IntervalStyle, extra_float_digits, lc_monetary, search_path, null where left alone
-- Raises:      nothing
-- Locks taken: none
-- Called by:   capture functions
-- ----------------------------------------------------------------------
declare
    note    pg_catalog.text := coalesce(pg_catalog.current_setting('londiste.open', true), '');
    mark    pg_catalog.text := pg_catalog.concat(i_op, i_id, ',');
    logged  pg_catalog.text := pg_catalog.concat('*', i_id, ',');
    place   pg_catalog.int4 := pg_catalog.strpos(note, mark);
    saved   pg_catalog.text[] := array['image', null, null, null, null, null];
    value   pg_catalog.text;
begin
    if place OPERATOR(pg_catalog.>) 0 then
        note := pg_catalog.overlay(note, '', place, pg_catalog.length(mark));
    end if;
    if pg_catalog.strpos(note, logged) OPERATOR(pg_catalog.>) 0 then
        saved[1] := 'current';
    end if;
    if pg_catalog.strpos(pg_catalog.translate(note, 'IUD', '###'), pg_catalog.concat('#', i_id, ','))
            OPERATOR(pg_catalog.=) 0 then
        note := pg_catalog.replace(note, logged, '');
    elsif i_rows and saved[1] OPERATOR(pg_catalog.=) 'image' then
        note := pg_catalog.concat(note, logged);
    end if;
    value := pg_catalog.set_config('londiste.open', note, true);

    if not i_rows or pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.=) 'local' then
        return null;
    end if;

    value := pg_catalog.current_setting('DateStyle');
    if pg_catalog.left(value, 3) OPERATOR(pg_catalog.<>) 'ISO' then
        saved[2] := value;
        value := pg_catalog.set_config('DateStyle', 'ISO', true);
    end if;
    value := pg_catalog.current_setting('IntervalStyle');
    if value OPERATOR(pg_catalog.<>) 'postgres' then
        saved[3] := value;
        value := pg_catalog.set_config('IntervalStyle', 'postgres', true);
    end if;
    value := pg_catalog.current_setting('extra_float_digits');
    if value::pg_catalog.int4 OPERATOR(pg_catalog.<) 1 then
        saved[4] := value;
        value := pg_catalog.set_config('extra_float_digits', '1', true);
    end if;
    if not i_plain then
        value := pg_catalog.current_setting('lc_monetary');
        if value OPERATOR(pg_catalog.<>) 'C' then
            saved[5] := value;
            value := pg_catalog.set_config('lc_monetary', 'C', true);
        end if;
        value := pg_catalog.current_setting('search_path');
        if value OPERATOR(pg_catalog.<>) 'pg_catalog' then
            saved[6] := value;
            value := pg_catalog.set_config('search_path', 'pg_catalog', true);
        end if;
    end if;
    return saved;
end;
$$ language plpgsql;

-- file: sql/londiste/functions/londiste.capture_end.sql
create or replace function londiste.capture_end(i_saved text[])
returns void as $$
-- ----------------------------------------------------------------------
-- Function: londiste.capture_end(1)
--
--      Gives the writer's session back the settings that londiste.capture_begin changed.
--
-- Parameters:  i_saved - what londiste.capture_begin returned
-- Returns:     nothing
-- Raises:      nothing
-- Locks taken: none
-- Called by:   capture functions
-- ----------------------------------------------------------------------
declare
    names   pg_catalog.text[] := '{mode,DateStyle,IntervalStyle,extra_float_digits,lc_monetary,search_path}';
    unused  pg_catalog.text;
begin
    for i in 2 .. 6 loop
        if i_saved[i] is not null then
            unused := pg_catalog.set_config(names[i], i_saved[i], true);
        end if;
    end loop;
end;
$$ language plpgsql;

-- file: sql/londiste/functions/londiste.capture_open.sql
create or replace function londiste.capture_open()
returns trigger as $$
-- ----------------------------------------------------------------------
-- Function: londiste.capture_open(0)
--
--      BEFORE statement trigger of captured tables: notes in a transaction-local setting that a statement of this kind
--      is under way on this table. The capture function that ends it can then tell whether it was alone, or whether
--      another statement (of a user's trigger, of a function called in the statement, of the same MERGE or WITH)
--      logged rows of the table meanwhile. A setting, because it goes back with savepoints and costs 1 us.
--
-- Parameters:  TG_ARGV[0] - the mark: operation letter, queue, table, for example `U3.16384,`
-- Returns:     null
-- Raises:      nothing
-- Locks taken: none
-- Called by:   trigger _londiste_<queue>_<operation>_open
-- ----------------------------------------------------------------------
declare
    unused  pg_catalog.text;
begin
    unused := pg_catalog.set_config('londiste.open',
        pg_catalog.concat(pg_catalog.current_setting('londiste.open', true), TG_ARGV[0]), true);
    return null;
end;
$$ language plpgsql;

-- file: sql/londiste/functions/londiste.columns_hold.sql
create or replace function londiste.columns_hold(i_rel regclass, i_names text[], i_attnums int2[])
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: londiste.columns_hold(3)
--
--      Whether the columns that a capture function names are still the ones it was generated for. It asks before
--      it uses their names, so that a rename or a drop cannot make the users' statements fail.
--
--      Marked IMMUTABLE for the reason given in londiste.columns_of.
--
-- Parameters:  i_rel     - the table
--              i_names   - names of columns
--              i_attnums - where each of them stood
-- Returns:     true when each name still stands at its attnum
-- Raises:      40001, see londiste.live_columns
-- Locks taken: none
-- Called by:   capture functions
-- ----------------------------------------------------------------------
begin
    return not exists (
        select from unnest(i_names, i_attnums) k (name, attnum)
         where not exists (select from londiste.live_columns(i_rel) c where c.o_name = k.name and c.o_attnum = k.attnum));
end;
$$ language plpgsql immutable set search_path = pg_catalog, pg_temp;

-- file: sql/londiste/functions/londiste.columns_of.sql
create or replace function londiste.columns_of(i_rel regclass)
returns text as $$
-- ----------------------------------------------------------------------
-- Function: londiste.columns_of(1)
--
--      The column list of an event: what each field of a row's text is called.
--
--      Marked IMMUTABLE, which is not true, and on purpose: called with a literal it becomes a constant of the cached
--      plan of the capture function, so it costs nothing per statement. It is right nevertheless, because a plan that
--      holds the transition table or a regclass literal of the table is thrown away when the table is altered.
--      Never call it with anything but a literal, and not in an index.
--
-- Parameters:  i_rel - the table
-- Returns:     text form of an array, `{id,item}`; a generated column keeps its place as NULL
-- Raises:      40001, see londiste.live_columns
-- Locks taken: none
-- Called by:   capture functions, londiste.current_rows_sql
-- ----------------------------------------------------------------------
begin
    return (select array_agg(case when not c.o_generated then c.o_name end order by c.o_attnum)::text
              from londiste.live_columns(i_rel) c);
end;
$$ language plpgsql immutable set search_path = pg_catalog, pg_temp;

-- file: sql/londiste/functions/londiste.current_rows_sql.sql
create or replace function londiste.current_rows_sql(
    i_op text, i_rel regclass, i_root regclass, i_table text, i_keys text[], i_attnums int2[],
    i_route text, i_route_attnum int2, i_route_many boolean)
returns text[] as $$
-- ----------------------------------------------------------------------
-- Function: londiste.current_rows_sql(9)
--
--      The careful way to log a statement: the statement that logs, for each key and target in the transition tables,
--      the row that the table holds NOW, or the delete of what is no longer there. Deletes come first.
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
-- Returns:     what follows the event table's name in an INSERT, to be run where the transition tables are visible;
--              in pieces, between which the name of i_root (for T of i_rel) is to be put: a schema can be renamed
--              without a table noticing
-- Raises:      40001, see londiste.live_columns
-- Locks taken: none
-- Called by:   capture functions
-- ----------------------------------------------------------------------
declare
    keys        text[];
    row_key     text;
    new_names   text;
    same_key    text;
    target      text := '(select null::pg_catalog.text as londiste_target)';
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
        target := format(case when i_route_many
            then '(select distinct londiste_one.target::pg_catalog.text as londiste_target from pg_catalog.unnest('
                 'coalesce((%s)::pg_catalog.text[], array[null]::pg_catalog.text[])) londiste_one (target))'
            else '(select (%s)::pg_catalog.text as londiste_target)' end, i_route);
    end if;

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
        ) ', same_key, target)
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
            ) e order by e.step',
            i_table, 'D' || keys::text, londiste.attnums_of(i_root, i_root, keys),
            londiste.columns_of(i_root), londiste.attnums_of(i_root, i_root))];
end;
$$ language plpgsql immutable set search_path = pg_catalog, pg_temp;

-- file: sql/londiste/functions/londiste.equality_of.sql
create or replace function londiste.equality_of(i_type oid)
returns text as $$
-- ----------------------------------------------------------------------
-- Function: londiste.equality_of(1)
--
--      The operator under which two values of a key column are the same, as SQL that no search_path can bend.
--
-- Parameters:  i_type - type of the column
-- Returns:     `OPERATOR(schema.=)` of the type's default btree class
-- Raises:      nothing
-- Locks taken: none
-- Called by:   londiste.current_rows_sql
-- ----------------------------------------------------------------------
    with recursive base (oid, below) as (
        select t.oid, t.typbasetype from pg_type t where t.oid = i_type
        union all
        select t.oid, t.typbasetype from base b join pg_type t on t.oid = b.below
    )
    select coalesce((
        select format('OPERATOR(%I.%s)', n.nspname, o.oprname)
          from base b
          join pg_opclass c on c.opcintype = b.oid and c.opcdefault
          join pg_am m on m.oid = c.opcmethod and m.amname = 'btree'
          join pg_amop a on a.amopfamily = c.opcfamily and a.amoplefttype = b.oid and a.amoprighttype = b.oid
                        and a.amopstrategy = 3
          join pg_operator o on o.oid = a.amopopr
          join pg_namespace n on n.oid = o.oprnamespace
         where b.below = 0), 'OPERATOR(pg_catalog.=)');
$$ language sql stable set search_path = pg_catalog, pg_temp;

-- file: sql/londiste/functions/londiste.live_columns.sql
create or replace function londiste.live_columns(
    i_rel oid, out o_attnum int2, out o_name text, out o_generated boolean, out o_type oid)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: londiste.live_columns(1)
--
--      The columns that a row of the table has at this moment, in the order of the row's text.
--
--      VOLATILE on purpose: each statement in it takes a new snapshot, so that under READ COMMITTED an ALTER TABLE that
--      was committed while the caller waited for the table's lock is seen. Under REPEATABLE READ and SERIALIZABLE the
--      snapshot is fixed and may be older than the table: then the list is compared with the row type the server
--      itself uses, and a difference is a serialization failure, which such transactions must be ready to repeat.
--
-- Parameters:  i_rel - the table
-- Returns:     attnum, name, whether its value is computed, type; in attnum order, without dropped columns
-- Raises:      40001 - the table was altered after this transaction's snapshot
-- Locks taken: none; the caller holds one on the table
-- Called by:   londiste.columns_of, londiste.attnums_of, londiste.columns_hold, londiste.plain_text
-- ----------------------------------------------------------------------
declare
    known   text[];
    actual  text[];
begin
    if pg_catalog.current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
        select array_agg(a.attname::text order by a.attnum), array_agg(a.attname::text order by a.attnum)
                   filter (where has_column_privilege(i_rel, a.attnum, 'select') is not null)
          into known, actual
          from pg_attribute a
         where a.attrelid = i_rel and a.attnum > 0 and not a.attisdropped;
        if known = actual then
            execute format('select array(select json_object_keys(row_to_json(x)) from (select (null::%s).*) x)',
                           i_rel::regclass)
               into actual;
        end if;
        if known is distinct from actual then
            raise exception 'could not serialize access due to concurrent change of table %', i_rel::regclass
                using errcode = 'serialization_failure', hint = 'The transaction might succeed if retried.';
        end if;
    end if;
    return query
        select a.attnum, a.attname::text, a.attgenerated <> '', a.atttypid
          from pg_attribute a
         where a.attrelid = i_rel and a.attnum > 0 and not a.attisdropped
         order by a.attnum;
end;
$$ language plpgsql volatile set search_path = pg_catalog, pg_temp;

-- file: sql/londiste/functions/londiste.plain_text.sql
create or replace function londiste.plain_text(i_rel regclass)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: londiste.plain_text(1)
--
--      Whether the text of a row depends on nothing but the settings that every capture checks anyway. It also depends
--      on lc_monetary for money and on search_path for regclass and its kin, in whatever array, domain or range;
--      a composite type is taken for one of them, because it can be altered without its table noticing.
--
--      Marked IMMUTABLE for the reason given in londiste.columns_of.
--
-- Parameters:  i_rel - the table
-- Returns:     false when lc_monetary and search_path must be pinned for its rows
-- Raises:      40001, see londiste.live_columns
-- Locks taken: none
-- Called by:   capture functions
-- ----------------------------------------------------------------------
begin
    return not exists (
        with recursive parts (typid) as (
            select c.o_type from londiste.live_columns(i_rel) c
            union
            select inner_type.typid
              from parts p
              join pg_type t on t.oid = p.typid
              left join pg_range r on r.rngtypid = t.oid
              cross join lateral (values (t.typelem), (t.typbasetype), (r.rngsubtype)) inner_type (typid)
             where inner_type.typid <> 0
        )
        select from parts p join pg_type t on t.oid = p.typid
         where t.typtype in ('c', 'm')
            or t.oid in ('money'::regtype, 'regclass'::regtype, 'regproc'::regtype, 'regprocedure'::regtype,
                         'regoper'::regtype, 'regoperator'::regtype, 'regtype'::regtype, 'regcollation'::regtype,
                         'regconfig'::regtype, 'regdictionary'::regtype, 'regrole'::regtype, 'regnamespace'::regtype));
end;
$$ language plpgsql immutable set search_path = pg_catalog, pg_temp;

-- file: sql/londiste/functions/londiste.tick.sql
create or replace function londiste.tick(
    in i_queue_name text,
    out tick_id int8,
    out tick_snapshot text,
    out event_seq int8,
    out tick_time timestamptz,
    out tick_txid int8)
as $$
-- ----------------------------------------------------------------------
-- Function: londiste.tick(1)
--
--      Makes a tick now, whatever the queue's thresholds say, and wakes the
--      consumers that listen on channel londiste_tick_<queue id>.
--
-- Parameters:  i_queue_name - the queue
-- Returns:     the new tick: number, snapshot in text form, event sequence, time, and the
--              transaction that makes it
-- Raises:      no such queue; a queue that is ticked from outside
-- Locks taken: the queue's tick lock (advisory), which pgq.ticker takes too, till the
--              end of the transaction: the snapshot is taken after it, so that the order of
--              tick numbers is the order of their snapshots
-- Called by:   ticker, wait, replay --once, copies
-- ----------------------------------------------------------------------
declare
    _queue_id int4;
    _tick_seq text;
    _event_seq text;
    _external bool;
begin
    select q.queue_id, q.queue_tick_seq, q.queue_event_seq, q.queue_external_ticker
      into _queue_id, _tick_seq, _event_seq, _external
      from pgq.queue q
     where q.queue_name = i_queue_name;
    if not found then
        raise exception 'no such queue' using errcode = 'undefined_object';
    end if;
    if _external then
        raise exception 'This queue has external tick source.';
    end if;

    perform pg_advisory_xact_lock(hashtext('pgq.ticker'), _queue_id);

    insert into pgq.tick as t (tick_queue, tick_id, tick_event_seq)
    values (_queue_id, nextval(_tick_seq::regclass), pgq.seq_getval(_event_seq))
    returning t.tick_id, t.tick_snapshot::text, t.tick_event_seq, t.tick_time, txid_current()
      into tick_id, tick_snapshot, event_seq, tick_time, tick_txid;

    perform pg_notify('londiste_tick_' || _queue_id::text, tick_id::text);
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;

-- file: sql/londiste/grants.sql
-- Nothing here is for everybody: users' tables call capture functions by their triggers, which needs no grant. Who else
-- may do what is said in roles/provider.sql and roles/subscriber.sql. Generated capture functions see to themselves.
do $$
declare
    _signature  text;
begin
    for _signature in
        select p.oid::pg_catalog.regprocedure
          from pg_catalog.pg_proc p
         where p.pronamespace = 'londiste'::pg_catalog.regnamespace
           and p.proname !~ '^capture_[0-9]'
    loop
        execute pg_catalog.format('revoke all on function %s from public', _signature);
        if pg_catalog.to_regrole('pgq_reader') is not null and _signature = 'londiste.tick(text)' then
            execute pg_catalog.format('grant execute on function %s to pgq_reader', _signature);
        end if;
    end loop;
end;
$$;
insert into londiste.schema_version (component, version, program_version, checksum)
values ('pgq', 1, '0.1.0', '7099d4dcf3277932db4ba84d352e2e0e')
on conflict (component) do update set version = excluded.version,
    program_version = excluded.program_version, checksum = excluded.checksum, installed = now();
insert into londiste.schema_version (component, version, program_version, checksum)
values ('pgq_coop', 1, '0.1.0', '249a42eb7a4ef163456448d31be30d5e')
on conflict (component) do update set version = excluded.version,
    program_version = excluded.program_version, checksum = excluded.checksum, installed = now();
insert into londiste.schema_version (component, version, program_version, checksum)
values ('pgq_ext', 1, '0.1.0', '29e7e83ac81591a26da62ec35b7ec60d')
on conflict (component) do update set version = excluded.version,
    program_version = excluded.program_version, checksum = excluded.checksum, installed = now();
insert into londiste.schema_version (component, version, program_version, checksum)
values ('londiste', 1, '0.1.0', '1c673aeab71537510904163d536d06c2')
on conflict (component) do update set version = excluded.version,
    program_version = excluded.program_version, checksum = excluded.checksum, installed = now();
commit;
