create or replace function londiste.moved_rows_sql(i_rel regclass, i_mark text)
returns text as $$
-- ----------------------------------------------------------------------
-- Function: londiste.moved_rows_sql(2)
--
--      Queries called londiste_old and londiste_new, for a WITH clause: the transition tables of that name together
--      with the rows that londiste.note_moved_row has kept.
--
-- Parameters:  i_rel  - the relation whose trigger asks
--              i_mark - as in londiste.note_moved_row
-- Returns:     the text, to be used where the transition tables are visible; see londiste.with_moved_rows
-- Raises:      nothing
-- Locks taken: none
-- Called by:   capture functions of partitioned tables
-- ----------------------------------------------------------------------
declare
    _columns    text;
    _queries    text;
begin
    select string_agg(format('(k.r).%I', a.attname), ', ' order by a.attnum)
      into _columns
      from pg_attribute a
     where a.attrelid = i_rel and a.attnum > 0 and not a.attisdropped;
    select string_agg(format('%s as (select * from %s%s)', i.name, i.name, m.more), ', ')
      into _queries
      from (values ('londiste_old', true), ('londiste_new', false)) i (name, was)
     cross join lateral (
            select string_agg(format(
                       ' union all select %s from (select m.image::%s as r from londiste.moved_row m'
                       ' where m.txid operator(pg_catalog.=) %s and m.mark operator(pg_catalog.=) %L'
                       ' and m.relation operator(pg_catalog.=) %s and m.was is %s offset 0) k',
                       _columns, r.relation::regclass, txid_current(), i_mark, r.relation, i.was::text), '') as more
              from (select distinct o.relation
                      from londiste.moved_row o
                     where o.txid = txid_current() and o.mark = i_mark) r) m;
    return _queries;
end;
$$ language plpgsql security definer set search_path = pg_catalog, pg_temp;
