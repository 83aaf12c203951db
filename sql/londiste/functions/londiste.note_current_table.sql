create or replace function londiste.note_current_table()
returns trigger as $$
-- ----------------------------------------------------------------------
-- Function: londiste.note_current_table(0)
--
--      Keeps the sequence londiste.event_N_current, which spares capture functions a query: its value is the number of
--      the event table that may be written without asking pgq.queue, -1 where one has to ask.
--
--      A sequence can be read by an expression, and what is set shows at once, before the transaction commits. So:
--      -1 is set by the transaction that changes the current table or closes the queue. Who has read another value did
--      so before that transaction committed, and had his transaction number by then; step 2 of the rotation takes one
--      later, and readers look into the former table for all numbers before that. A table's number is set only when step 2
--      is stored: the change has been committed then, and the row's lock keeps another rotation away.
--
-- Parameters:  -
-- Returns:     null
-- Raises:      nothing
-- Locks taken: -
-- Called by:   trigger londiste_current_table of pgq.queue
-- ----------------------------------------------------------------------
declare
    _seq    regclass := to_regclass(format('londiste.event_%s_current', old.queue_id));
    _known  boolean := false;
begin
    if TG_OP = 'UPDATE' then
        _known := new.queue_cur_table = old.queue_cur_table and not new.queue_disable_insert
                  and not old.queue_disable_insert and old.queue_switch_step2 is null
                  and new.queue_switch_step2 is not null and new.queue_switch_step1 <> txid_current();
    end if;
    perform setval(_seq, case when _known then new.queue_cur_table else -1 end);
    return null;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
