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
