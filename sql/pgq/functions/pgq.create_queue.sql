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
