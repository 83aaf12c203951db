create or replace function pgq.maint_tables_to_vacuum()
returns setof text as $$
-- ----------------------------------------------------------------------
-- Function: pgq.maint_tables_to_vacuum(0)
--
--      Names the small, often changed tables that the ticker should vacuum: all where autovacuum is off, else none.
--
-- Parameters:  -
-- Returns:     schema.table
-- Raises:      -
-- Locks taken: -
-- Called by:   pgq.maint_operations, pgq_admin
-- ----------------------------------------------------------------------
begin
    if current_setting('autovacuum') = 'on' then
        return;
    end if;
    return query
    select small.name
      from (values ('pgq.subscription'), ('pgq.consumer'), ('pgq.queue'), ('pgq.tick'), ('pgq.retry_queue'),
                   ('pgq_ext.completed_tick'), ('pgq_ext.completed_batch'), ('pgq_ext.completed_event'),
                   ('pgq_ext.partial_batch'), ('londiste.completed'), ('londiste.subscriber_table')) as small (name)
     where to_regclass(small.name) is not null;
end;
$$ language plpgsql set search_path = pg_catalog, pg_temp;
