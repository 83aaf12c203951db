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
        -- A tick of the future was made before the clock was set back.
        _age := greatest(now() - _last.tick_time, _last.tick_time - now());
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
