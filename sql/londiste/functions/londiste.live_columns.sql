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
--      snapshot is fixed and may be older than the table: then names and types are compared with the row type the
--      server itself uses, and a difference is a serialization failure, which such transactions must be ready to repeat.
--
-- Parameters:  i_rel - the table
-- Returns:     attnum, name, whether its value is computed, type; in attnum order, without dropped columns
-- Raises:      40001 - the table was altered after this transaction's snapshot
-- Locks taken: none; the caller holds one on the table
-- Called by:   londiste.columns_of, londiste.attnums_of, londiste.columns_hold, londiste.columns_fit,
--              londiste.text_settings
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
        if known = actual then
            select array_agg(a.atttypid::text order by a.attnum),
                   array_agg(format('pg_typeof(x.%I)::oid::text', a.attname) order by a.attnum)
              into known, actual
              from pg_attribute a
             where a.attrelid = i_rel and a.attnum > 0 and not a.attisdropped;
            execute format('select array[%s] from (select (null::%s).*) x', array_to_string(actual, ', '),
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
