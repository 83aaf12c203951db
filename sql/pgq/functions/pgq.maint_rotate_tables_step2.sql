create or replace function pgq.maint_rotate_tables_step2()
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq.maint_rotate_tables_step2(0)
--
--      Completes rotations: stores the number of a transaction that began after step 1 had committed. Transactions
--      after it know the new table. Must run in another transaction than step 1.
--
-- Parameters:  -
-- Returns:     0
-- Raises:      -
-- Locks taken: the rows of queues whose rotation is half done
-- Called by:   the ticker, pgq_admin; listed by pgq.maint_operations
-- ----------------------------------------------------------------------
begin
    update pgq.queue q
       set queue_switch_step2 = txid_current()
     where q.queue_switch_step2 is null and q.queue_switch_step1 < txid_current();
    return 0;
end;
$$ language plpgsql set search_path = pg_catalog, pg_temp;
