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
