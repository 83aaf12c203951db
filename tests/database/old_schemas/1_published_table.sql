-- A table as version 1 published it, for a database made by 1.sql; TABLE_OID stands for the oid of shop.entry.
create schema shop;
create table shop.entry (id serial primary key, item text not null, price numeric(8,2), node text);
select pgq.create_queue('londiste.write');
select pgq.set_queue_config('londiste.write', 'ticker_max_lag', '0');
CREATE OR REPLACE FUNCTION londiste.capture_1_TABLE_OID_delete()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
AS $function$
#variable_conflict use_column
declare
    londiste_table      pg_catalog.int4;
    londiste_careful    pg_catalog.bool;
    londiste_saved      pg_catalog.text[];
begin
    if (TG_RELID OPERATOR(pg_catalog.=) TABLE_OID
        and pg_catalog.current_setting('londiste.open', true) OPERATOR(pg_catalog.=) 'D1.TABLE_OID,'
        and pg_catalog.left(pg_catalog.current_setting('DateStyle'), 3) OPERATOR(pg_catalog.=) 'ISO'
        and pg_catalog.current_setting('IntervalStyle') OPERATOR(pg_catalog.=) 'postgres'
        and pg_catalog.current_setting('extra_float_digits')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 1
        and pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.=) 'origin'
        and londiste.plain_text('TABLE_OID'::pg_catalog.regclass)
        and londiste.columns_hold('TABLE_OID'::pg_catalog.regclass, array['id', 'node']::pg_catalog.text[], '{1,4}'::pg_catalog.int2[])
        and pg_catalog.set_config('londiste.open', '', true) OPERATOR(pg_catalog.=) '') is not true
    then
        londiste_saved := londiste.capture_begin('D', '1.TABLE_OID', exists (select from londiste_old),
            londiste.plain_text('TABLE_OID'::pg_catalog.regclass));
        if londiste_saved is null then
            return null;
        end if;
        londiste_careful := (londiste_saved[1] OPERATOR(pg_catalog.=) 'image'
            and TG_RELID OPERATOR(pg_catalog.=) TABLE_OID and londiste.columns_hold('TABLE_OID'::pg_catalog.regclass, array['id', 'node']::pg_catalog.text[], '{1,4}'::pg_catalog.int2[])) is not true;
    end if;
    select case when q.queue_disable_insert then -1 else q.queue_cur_table end
      into londiste_table
      from pgq.queue q where q.queue_id OPERATOR(pg_catalog.=) 1;
    if londiste_table OPERATOR(pg_catalog.=) 0 and londiste_careful is not true then
        insert into pgq.event_1_0 (ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)
        select pg_catalog.now(), 'D{id}', row(londiste_row."id")::pg_catalog.text, 'shop.entry', null, londiste_route.londiste_target
          from londiste_old londiste_row cross join lateral (select ("node")::pg_catalog.text as londiste_target) londiste_route;
    elsif londiste_table OPERATOR(pg_catalog.=) 1 and londiste_careful is not true then
        insert into pgq.event_1_1 (ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)
        select pg_catalog.now(), 'D{id}', row(londiste_row."id")::pg_catalog.text, 'shop.entry', null, londiste_route.londiste_target
          from londiste_old londiste_row cross join lateral (select ("node")::pg_catalog.text as londiste_target) londiste_route;
    elsif londiste_table OPERATOR(pg_catalog.=) 2 and londiste_careful is not true then
        insert into pgq.event_1_2 (ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)
        select pg_catalog.now(), 'D{id}', row(londiste_row."id")::pg_catalog.text, 'shop.entry', null, londiste_route.londiste_target
          from londiste_old londiste_row cross join lateral (select ("node")::pg_catalog.text as londiste_target) londiste_route;
    elsif londiste_table is null then
        raise exception 'queue not found: %', 'londiste.write';
    elsif londiste_table OPERATOR(pg_catalog.<) 0 then
        if exists (select from londiste_old) then
            raise exception 'Insert into queue disallowed';
        end if;
    else
        execute pg_catalog.concat('insert into pgq.event_1_', londiste_table,
            case when TG_RELID OPERATOR(pg_catalog.=) TABLE_OID then pg_catalog.array_to_string(
                londiste.current_rows_sql('D', 'TABLE_OID'::pg_catalog.regclass, 'TABLE_OID'::pg_catalog.regclass, 'shop.entry',
                    array['id']::pg_catalog.text[], '{1}'::pg_catalog.int2[], '"node"', 4::pg_catalog.int2, false),
                'TABLE_OID'::pg_catalog.regclass::pg_catalog.text)
            else pg_catalog.array_to_string(
                londiste.current_rows_sql('D', TG_RELID::pg_catalog.regclass, coalesce(pg_catalog.pg_partition_root(TG_RELID::pg_catalog.regclass), TG_RELID::pg_catalog.regclass), 'shop.entry',
                    array['id']::pg_catalog.text[], null, '"node"', null, false),
                coalesce(pg_catalog.pg_partition_root(TG_RELID::pg_catalog.regclass), TG_RELID::pg_catalog.regclass)::pg_catalog.text) end);
    end if;
    if londiste_saved is not null then
        perform londiste.capture_end(londiste_saved);
    end if;
    return null;
end
$function$;
revoke all on function londiste.capture_1_TABLE_OID_delete() from public;
CREATE OR REPLACE FUNCTION londiste.capture_1_TABLE_OID_insert()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
AS $function$
#variable_conflict use_column
declare
    londiste_table      pg_catalog.int4;
    londiste_careful    pg_catalog.bool;
    londiste_saved      pg_catalog.text[];
begin
    if (TG_RELID OPERATOR(pg_catalog.=) TABLE_OID
        and pg_catalog.current_setting('londiste.open', true) OPERATOR(pg_catalog.=) 'I1.TABLE_OID,'
        and pg_catalog.left(pg_catalog.current_setting('DateStyle'), 3) OPERATOR(pg_catalog.=) 'ISO'
        and pg_catalog.current_setting('IntervalStyle') OPERATOR(pg_catalog.=) 'postgres'
        and pg_catalog.current_setting('extra_float_digits')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 1
        and pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.=) 'origin'
        and londiste.plain_text('TABLE_OID'::pg_catalog.regclass)
        and londiste.columns_hold('TABLE_OID'::pg_catalog.regclass, array['node']::pg_catalog.text[], '{4}'::pg_catalog.int2[])
        and pg_catalog.set_config('londiste.open', '', true) OPERATOR(pg_catalog.=) '') is not true
    then
        londiste_saved := londiste.capture_begin('I', '1.TABLE_OID', exists (select from londiste_new),
            londiste.plain_text('TABLE_OID'::pg_catalog.regclass));
        if londiste_saved is null then
            return null;
        end if;
        londiste_careful := (londiste_saved[1] OPERATOR(pg_catalog.=) 'image'
            and TG_RELID OPERATOR(pg_catalog.=) TABLE_OID and londiste.columns_hold('TABLE_OID'::pg_catalog.regclass, array['node']::pg_catalog.text[], '{4}'::pg_catalog.int2[])) is not true;
    end if;
    select case when q.queue_disable_insert then -1 else q.queue_cur_table end
      into londiste_table
      from pgq.queue q where q.queue_id OPERATOR(pg_catalog.=) 1;
    if londiste_table OPERATOR(pg_catalog.=) 0 and londiste_careful is not true then
        insert into pgq.event_1_0 (ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)
        select pg_catalog.now(), 'I'::pg_catalog.text OPERATOR(pg_catalog.||) londiste.columns_of('TABLE_OID'::pg_catalog.regclass), (londiste_row.*)::pg_catalog.text, 'shop.entry', londiste.attnums_of('TABLE_OID'::pg_catalog.regclass, 'TABLE_OID'::pg_catalog.regclass), londiste_route.londiste_target
          from londiste_new londiste_row cross join lateral (select ("node")::pg_catalog.text as londiste_target) londiste_route;
    elsif londiste_table OPERATOR(pg_catalog.=) 1 and londiste_careful is not true then
        insert into pgq.event_1_1 (ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)
        select pg_catalog.now(), 'I'::pg_catalog.text OPERATOR(pg_catalog.||) londiste.columns_of('TABLE_OID'::pg_catalog.regclass), (londiste_row.*)::pg_catalog.text, 'shop.entry', londiste.attnums_of('TABLE_OID'::pg_catalog.regclass, 'TABLE_OID'::pg_catalog.regclass), londiste_route.londiste_target
          from londiste_new londiste_row cross join lateral (select ("node")::pg_catalog.text as londiste_target) londiste_route;
    elsif londiste_table OPERATOR(pg_catalog.=) 2 and londiste_careful is not true then
        insert into pgq.event_1_2 (ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)
        select pg_catalog.now(), 'I'::pg_catalog.text OPERATOR(pg_catalog.||) londiste.columns_of('TABLE_OID'::pg_catalog.regclass), (londiste_row.*)::pg_catalog.text, 'shop.entry', londiste.attnums_of('TABLE_OID'::pg_catalog.regclass, 'TABLE_OID'::pg_catalog.regclass), londiste_route.londiste_target
          from londiste_new londiste_row cross join lateral (select ("node")::pg_catalog.text as londiste_target) londiste_route;
    elsif londiste_table is null then
        raise exception 'queue not found: %', 'londiste.write';
    elsif londiste_table OPERATOR(pg_catalog.<) 0 then
        if exists (select from londiste_new) then
            raise exception 'Insert into queue disallowed';
        end if;
    else
        execute pg_catalog.concat('insert into pgq.event_1_', londiste_table,
            case when TG_RELID OPERATOR(pg_catalog.=) TABLE_OID then pg_catalog.array_to_string(
                londiste.current_rows_sql('I', 'TABLE_OID'::pg_catalog.regclass, 'TABLE_OID'::pg_catalog.regclass, 'shop.entry',
                    array['id']::pg_catalog.text[], '{1}'::pg_catalog.int2[], '"node"', 4::pg_catalog.int2, false),
                'TABLE_OID'::pg_catalog.regclass::pg_catalog.text)
            else pg_catalog.array_to_string(
                londiste.current_rows_sql('I', TG_RELID::pg_catalog.regclass, coalesce(pg_catalog.pg_partition_root(TG_RELID::pg_catalog.regclass), TG_RELID::pg_catalog.regclass), 'shop.entry',
                    array['id']::pg_catalog.text[], null, '"node"', null, false),
                coalesce(pg_catalog.pg_partition_root(TG_RELID::pg_catalog.regclass), TG_RELID::pg_catalog.regclass)::pg_catalog.text) end);
    end if;
    if londiste_saved is not null then
        perform londiste.capture_end(londiste_saved);
    end if;
    return null;
end
$function$;
revoke all on function londiste.capture_1_TABLE_OID_insert() from public;
CREATE OR REPLACE FUNCTION londiste.capture_1_TABLE_OID_truncate()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
AS $function$
#variable_conflict use_column
declare
    londiste_table      pg_catalog.int4;
    londiste_saved      pg_catalog.text[];
begin
    londiste_saved := londiste.capture_begin('T', '1.TABLE_OID', true, londiste.plain_text('TABLE_OID'::pg_catalog.regclass));
    if londiste_saved is null then
        return null;
    end if;
    select case when q.queue_disable_insert then -1 else q.queue_cur_table end
      into londiste_table
      from pgq.queue q where q.queue_id OPERATOR(pg_catalog.=) 1;
    if londiste_table is null then
        raise exception 'queue not found: %', 'londiste.write';
    elsif londiste_table OPERATOR(pg_catalog.<) 0 then
        raise exception 'Insert into queue disallowed';
    end if;
    execute pg_catalog.concat('insert into pgq.event_1_', londiste_table,
            ' (ev_time, ev_type, ev_extra1) values (pg_catalog.now(), ''R'', ',
            pg_catalog.quote_literal('shop.entry'), ')');
    perform londiste.capture_end(londiste_saved);
    return null;
end
$function$;
revoke all on function londiste.capture_1_TABLE_OID_truncate() from public;
CREATE OR REPLACE FUNCTION londiste.capture_1_TABLE_OID_update()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
AS $function$
#variable_conflict use_column
declare
    londiste_table      pg_catalog.int4;
    londiste_careful    pg_catalog.bool;
    londiste_saved      pg_catalog.text[];
begin
    if (TG_RELID OPERATOR(pg_catalog.=) TABLE_OID
        and pg_catalog.current_setting('londiste.open', true) OPERATOR(pg_catalog.=) 'U1.TABLE_OID,'
        and pg_catalog.left(pg_catalog.current_setting('DateStyle'), 3) OPERATOR(pg_catalog.=) 'ISO'
        and pg_catalog.current_setting('IntervalStyle') OPERATOR(pg_catalog.=) 'postgres'
        and pg_catalog.current_setting('extra_float_digits')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 1
        and pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.=) 'origin'
        and londiste.plain_text('TABLE_OID'::pg_catalog.regclass)
        and londiste.columns_hold('TABLE_OID'::pg_catalog.regclass, array['id', 'node']::pg_catalog.text[], '{1,4}'::pg_catalog.int2[])
        and pg_catalog.set_config('londiste.open', '', true) OPERATOR(pg_catalog.=) '') is not true
    then
        londiste_saved := londiste.capture_begin('U', '1.TABLE_OID', exists (select from londiste_new),
            londiste.plain_text('TABLE_OID'::pg_catalog.regclass));
        if londiste_saved is null then
            return null;
        end if;
        londiste_careful := (londiste_saved[1] OPERATOR(pg_catalog.=) 'image'
            and TG_RELID OPERATOR(pg_catalog.=) TABLE_OID and londiste.columns_hold('TABLE_OID'::pg_catalog.regclass, array['id', 'node']::pg_catalog.text[], '{1,4}'::pg_catalog.int2[])) is not true;
    end if;
    if londiste_careful then
        select case when q.queue_disable_insert then -1 else q.queue_cur_table end
          into londiste_table
          from pgq.queue q where q.queue_id OPERATOR(pg_catalog.=) 1;
    else
        select case when q.queue_disable_insert then -1 else q.queue_cur_table end,
               (select coalesce(pg_catalog.sum(h.hash), 0) OPERATOR(pg_catalog.*) 2
                           OPERATOR(pg_catalog.+) pg_catalog.count(*) OPERATOR(pg_catalog.<>) 0
                  from (select pg_catalog.hashtextextended(row(londiste_row."id", londiste_route.londiste_target)::pg_catalog.text, 0) as hash
                          from londiste_old londiste_row cross join lateral (select ("node")::pg_catalog.text as londiste_target) londiste_route
                        union all
                        select OPERATOR(pg_catalog.~) pg_catalog.hashtextextended(row(londiste_row."id", londiste_route.londiste_target)::pg_catalog.text, 0)
                          from londiste_new londiste_row cross join lateral (select ("node")::pg_catalog.text as londiste_target) londiste_route) h)
          into londiste_table, londiste_careful
          from pgq.queue q where q.queue_id OPERATOR(pg_catalog.=) 1;
    end if;
    if londiste_table OPERATOR(pg_catalog.=) 0 and londiste_careful is not true then
        insert into pgq.event_1_0 (ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)
        select pg_catalog.now(), 'U'::pg_catalog.text OPERATOR(pg_catalog.||) londiste.columns_of('TABLE_OID'::pg_catalog.regclass), (londiste_row.*)::pg_catalog.text, 'shop.entry', londiste.attnums_of('TABLE_OID'::pg_catalog.regclass, 'TABLE_OID'::pg_catalog.regclass), londiste_route.londiste_target
          from londiste_new londiste_row cross join lateral (select ("node")::pg_catalog.text as londiste_target) londiste_route;
    elsif londiste_table OPERATOR(pg_catalog.=) 1 and londiste_careful is not true then
        insert into pgq.event_1_1 (ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)
        select pg_catalog.now(), 'U'::pg_catalog.text OPERATOR(pg_catalog.||) londiste.columns_of('TABLE_OID'::pg_catalog.regclass), (londiste_row.*)::pg_catalog.text, 'shop.entry', londiste.attnums_of('TABLE_OID'::pg_catalog.regclass, 'TABLE_OID'::pg_catalog.regclass), londiste_route.londiste_target
          from londiste_new londiste_row cross join lateral (select ("node")::pg_catalog.text as londiste_target) londiste_route;
    elsif londiste_table OPERATOR(pg_catalog.=) 2 and londiste_careful is not true then
        insert into pgq.event_1_2 (ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3)
        select pg_catalog.now(), 'U'::pg_catalog.text OPERATOR(pg_catalog.||) londiste.columns_of('TABLE_OID'::pg_catalog.regclass), (londiste_row.*)::pg_catalog.text, 'shop.entry', londiste.attnums_of('TABLE_OID'::pg_catalog.regclass, 'TABLE_OID'::pg_catalog.regclass), londiste_route.londiste_target
          from londiste_new londiste_row cross join lateral (select ("node")::pg_catalog.text as londiste_target) londiste_route;
    elsif londiste_table is null then
        raise exception 'queue not found: %', 'londiste.write';
    elsif londiste_table OPERATOR(pg_catalog.<) 0 then
        if exists (select from londiste_new) then
            raise exception 'Insert into queue disallowed';
        end if;
    else
        execute pg_catalog.concat('insert into pgq.event_1_', londiste_table,
            case when TG_RELID OPERATOR(pg_catalog.=) TABLE_OID then pg_catalog.array_to_string(
                londiste.current_rows_sql('U', 'TABLE_OID'::pg_catalog.regclass, 'TABLE_OID'::pg_catalog.regclass, 'shop.entry',
                    array['id']::pg_catalog.text[], '{1}'::pg_catalog.int2[], '"node"', 4::pg_catalog.int2, false),
                'TABLE_OID'::pg_catalog.regclass::pg_catalog.text)
            else pg_catalog.array_to_string(
                londiste.current_rows_sql('U', TG_RELID::pg_catalog.regclass, coalesce(pg_catalog.pg_partition_root(TG_RELID::pg_catalog.regclass), TG_RELID::pg_catalog.regclass), 'shop.entry',
                    array['id']::pg_catalog.text[], null, '"node"', null, false),
                coalesce(pg_catalog.pg_partition_root(TG_RELID::pg_catalog.regclass), TG_RELID::pg_catalog.regclass)::pg_catalog.text) end);
    end if;
    if londiste_saved is not null then
        perform londiste.capture_end(londiste_saved);
    end if;
    return null;
end
$function$;
revoke all on function londiste.capture_1_TABLE_OID_update() from public;
comment on function londiste.capture_1_TABLE_OID_update() is '{"table": ["shop", "entry"], "root": true, "key": null, "route": {"kind": "column", "text": "node"}, "columns": {"id": 1, "node": 4}}';
CREATE TRIGGER _londiste_1_delete AFTER DELETE ON shop.entry REFERENCING OLD TABLE AS londiste_old FOR EACH STATEMENT EXECUTE FUNCTION londiste.capture_1_TABLE_OID_delete();
CREATE TRIGGER _londiste_1_delete_open BEFORE DELETE ON shop.entry FOR EACH STATEMENT EXECUTE FUNCTION londiste.capture_open('D1.TABLE_OID,');
CREATE TRIGGER _londiste_1_insert AFTER INSERT ON shop.entry REFERENCING NEW TABLE AS londiste_new FOR EACH STATEMENT EXECUTE FUNCTION londiste.capture_1_TABLE_OID_insert();
CREATE TRIGGER _londiste_1_insert_open BEFORE INSERT ON shop.entry FOR EACH STATEMENT EXECUTE FUNCTION londiste.capture_open('I1.TABLE_OID,');
CREATE TRIGGER _londiste_1_truncate AFTER TRUNCATE ON shop.entry FOR EACH STATEMENT EXECUTE FUNCTION londiste.capture_1_TABLE_OID_truncate();
CREATE TRIGGER _londiste_1_update AFTER UPDATE ON shop.entry REFERENCING OLD TABLE AS londiste_old NEW TABLE AS londiste_new FOR EACH STATEMENT EXECUTE FUNCTION londiste.capture_1_TABLE_OID_update();
CREATE TRIGGER _londiste_1_update_open BEFORE UPDATE ON shop.entry FOR EACH STATEMENT EXECUTE FUNCTION londiste.capture_open('U1.TABLE_OID,');
