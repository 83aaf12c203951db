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
     where q.queue_switch_time not between now() - q.queue_rotation_period and now() + q.queue_rotation_period
       and q.queue_switch_step2 is not null
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
