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
