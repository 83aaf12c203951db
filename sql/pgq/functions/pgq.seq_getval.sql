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
