create or replace function pgq.get_batch_cursor(
    i_batch_id bigint, i_cursor_name text, i_quick_limit integer, i_extra_where text,
    out ev_id bigint, out ev_time timestamptz, out ev_txid bigint, out ev_retry integer, out ev_type text,
    out ev_data text, out ev_extra1 text, out ev_extra2 text, out ev_extra3 text, out ev_extra4 text)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.get_batch_cursor(4)
--
--      Opens a cursor on the events of a batch and returns the first ones; the caller fetches the others from the
--      cursor and closes it.
--
-- Parameters:  i_batch_id    - number of the open batch
--              i_cursor_name - name of the cursor, any text
--              i_quick_limit - so many events are returned at once
--              i_extra_where - SQL condition on the event's columns, run with the caller's rights; null: all events
-- Returns:     the first events in the order of their numbers
-- Raises:      batch not found
-- Locks taken: ACCESS SHARE on the event tables
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
declare
    _cursor refcursor := i_cursor_name;
    _sql    text := pgq.batch_event_sql(i_batch_id);
begin
    if i_extra_where is not null then
        _sql := 'select * from (' || _sql || E') ev where (' || i_extra_where || E'\n) order by 1';
    end if;
    open _cursor no scroll for execute _sql;
    for _i in 1 .. coalesce(i_quick_limit, 0) loop
        fetch _cursor
         into ev_id, ev_time, ev_txid, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4;
        exit when not found;
        return next;
    end loop;
end;
$$ language plpgsql;

create or replace function pgq.get_batch_cursor(
    i_batch_id bigint, i_cursor_name text, i_quick_limit integer,
    out ev_id bigint, out ev_time timestamptz, out ev_txid bigint, out ev_retry integer, out ev_type text,
    out ev_data text, out ev_extra1 text, out ev_extra2 text, out ev_extra3 text, out ev_extra4 text)
returns setof record as $$
-- ----------------------------------------------------------------------
-- Function: pgq.get_batch_cursor(3)
--
--      Opens a cursor on all events of a batch and returns the first ones.
--
-- Parameters:  as pgq.get_batch_cursor(4)
-- Returns:     the first events in the order of their numbers
-- Raises:      batch not found
-- Locks taken: ACCESS SHARE on the event tables
-- Called by:   users, pgq_reader
-- ----------------------------------------------------------------------
begin
    return query select * from pgq.get_batch_cursor(i_batch_id, i_cursor_name, i_quick_limit, null);
end;
$$ language plpgsql strict;
