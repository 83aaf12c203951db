create or replace function londiste.plain_text(i_rel regclass)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: londiste.plain_text(1)
--
--      Whether the text of a row depends on nothing but the settings that every capture checks anyway. It also depends
--      on lc_monetary for money and on search_path for regclass and its kin, in whatever array, domain or range;
--      a composite type is taken for one of them, because it can be altered without its table noticing.
--
--      Marked IMMUTABLE for the reason given in londiste.columns_of.
--
-- Parameters:  i_rel - the table
-- Returns:     false when lc_monetary and search_path must be pinned for its rows
-- Raises:      40001, see londiste.live_columns
-- Locks taken: none
-- Called by:   capture functions
-- ----------------------------------------------------------------------
begin
    return not exists (
        with recursive parts (typid) as (
            select c.o_type from londiste.live_columns(i_rel) c
            union
            select inner_type.typid
              from parts p
              join pg_type t on t.oid = p.typid
              left join pg_range r on r.rngtypid = t.oid
              cross join lateral (values (t.typelem), (t.typbasetype), (r.rngsubtype)) inner_type (typid)
             where inner_type.typid <> 0
        )
        select from parts p join pg_type t on t.oid = p.typid
         where t.typtype in ('c', 'm')
            or t.oid in ('money'::regtype, 'regclass'::regtype, 'regproc'::regtype, 'regprocedure'::regtype,
                         'regoper'::regtype, 'regoperator'::regtype, 'regtype'::regtype, 'regcollation'::regtype,
                         'regconfig'::regtype, 'regdictionary'::regtype, 'regrole'::regtype, 'regnamespace'::regtype));
end;
$$ language plpgsql immutable set search_path = pg_catalog, pg_temp;
