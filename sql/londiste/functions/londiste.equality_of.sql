create or replace function londiste.equality_of(i_type oid)
returns text as $$
-- ----------------------------------------------------------------------
-- Function: londiste.equality_of(1)
--
--      The operator under which two values of a key column are the same, as SQL that no search_path can bend.
--
-- Parameters:  i_type - type of the column
-- Returns:     `OPERATOR(schema.=)` of the type's default btree class
-- Raises:      nothing
-- Locks taken: none
-- Called by:   londiste.current_rows_sql
-- ----------------------------------------------------------------------
    with recursive base (oid, below) as (
        select t.oid, t.typbasetype from pg_type t where t.oid = i_type
        union all
        select t.oid, t.typbasetype from base b join pg_type t on t.oid = b.below
    )
    select coalesce((
        select format('OPERATOR(%I.%s)', n.nspname, o.oprname)
          from base b
          join pg_opclass c on c.opcintype = b.oid and c.opcdefault
          join pg_am m on m.oid = c.opcmethod and m.amname = 'btree'
          join pg_amop a on a.amopfamily = c.opcfamily and a.amoplefttype = b.oid and a.amoprighttype = b.oid
                        and a.amopstrategy = 3
          join pg_operator o on o.oid = a.amopopr
          join pg_namespace n on n.oid = o.oprnamespace
         where b.below = 0), 'OPERATOR(pg_catalog.=)');
$$ language sql stable set search_path = pg_catalog, pg_temp;
