create or replace function londiste.follow_current_table(i_queue_name text)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: londiste.follow_current_table(1)
--
--      Makes the sequence that tells capture functions the queue's current event table, and the trigger that keeps it
--      right; see londiste.note_current_table. Does nothing where both are there.
--
-- Parameters:  i_queue_name - the queue
-- Returns:     false when there is no such queue, or pgq.queue belongs to somebody else, so that capture has to ask it
-- Raises:      nothing
-- Locks taken: SHARE ROW EXCLUSIVE on pgq.queue for the first queue, the queue's row for each
-- Called by:   `provider install`, create_capture
-- ----------------------------------------------------------------------
declare
    _queue  constant regclass := to_regclass('pgq.queue');
    _id     integer;
    _value  integer;
    _seq    text;
begin
    if not exists (select from pg_class c where c.oid = _queue and pg_has_role(c.relowner, 'usage')) then
        return false;
    end if;
    if not exists (select from pg_trigger t where t.tgrelid = _queue and t.tgname = 'londiste_current_table') then
        create trigger londiste_current_table
            after update of queue_cur_table, queue_switch_step2, queue_disable_insert or delete on pgq.queue
            for each row execute function londiste.note_current_table();
    end if;
    select q.queue_id into _id from pgq.queue q where q.queue_name = i_queue_name;
    if not found then
        return false;
    end if;
    _seq := format('londiste.event_%s_current', _id);
    if to_regclass(_seq) is null then
        -- No rotation can be under way while the row is locked, so what it holds has been committed.
        select case when q.queue_switch_step2 is not null and not q.queue_disable_insert then q.queue_cur_table else -1 end
          into _value
          from pgq.queue q
         where q.queue_id = _id
           for no key update;
        execute format('create sequence %s minvalue -1 start -1', _seq);
        execute format('grant select on sequence %s to public', _seq);
        perform setval(_seq, _value);
    end if;
    return true;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
