create or replace function londiste.note_moved_row()
returns trigger as $$
-- ----------------------------------------------------------------------
-- Function: londiste.note_moved_row(0)
--
--      Keeps a row that a statement moves from one partition to another until the statement's capture function runs.
--
--      A MERGE whose UPDATE moves a row deletes it here and inserts it there, but runs the triggers of UPDATE only, and
--      their transition tables do not have the row (PostgreSQL 15 to 18). Those of an UPDATE have it; it is kept all the
--      same, since nothing tells the two apart here, and the careful way logs each key once.
--
-- Parameters:  TG_ARGV[0] - the mark of UPDATE on the published table, for example `U3.16384,`
-- Returns:     null
-- Raises:      nothing
-- Locks taken: none
-- Called by:   triggers _londiste_<queue>_moved_out and _moved_in of partitions, while an UPDATE is under way
-- ----------------------------------------------------------------------
declare
    _id     text := substr(TG_ARGV[0], 2);
    _open   text := replace(replace(current_setting('londiste.open', true), '*' || _id, ''), _id, '');
    _moved  text := coalesce(current_setting('londiste.moved', true), '');
begin
    -- The innermost statement has to be an UPDATE, or a MERGE, whose marks are in the order INSERT, UPDATE, DELETE. A
    -- MERGE that may delete, or insert, has the rows that left, or came, in the transition tables of that.
    if current_setting('session_replication_role') <> 'origin'
        or _open !~ (case TG_OP when 'DELETE' then 'U$' else '(^|[^I])UD?$' end)
    then
        return null;
    end if;
    insert into londiste.moved_row (txid, mark, relation, was, image)
    values (txid_current(), TG_ARGV[0], TG_RELID, TG_OP = 'DELETE',
            case TG_OP when 'DELETE' then old::text else new::text end);
    if strpos(_moved, TG_ARGV[0]) = 0 then
        perform set_config('londiste.moved', _moved || TG_ARGV[0], true);
    end if;
    return null;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp set DateStyle = 'ISO'
   set IntervalStyle = 'postgres' set extra_float_digits = 1 set lc_monetary = 'C';
