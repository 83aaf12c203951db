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
