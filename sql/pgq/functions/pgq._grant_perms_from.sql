create or replace function pgq._grant_perms_from(src_schema text, src_table text, dst_schema text, dst_table text)
returns integer as $$
-- ----------------------------------------------------------------------
-- Function: pgq._grant_perms_from(4)
--
--      Gives everybody the privileges on one table that they have on another, those on single columns included.
--
-- Parameters:  src_schema, src_table - the pattern
--              dst_schema, dst_table - the table that gets the grants
-- Returns:     1
-- Raises:      relation does not exist
-- Locks taken: row locks in pg_class and pg_attribute
-- Called by:   pgq.grant_perms
-- ----------------------------------------------------------------------
declare
    _from   regclass := to_regclass(format('%I.%I', src_schema, src_table));
    _to     text := format('%I.%I', dst_schema, dst_table);
    _grant  record;
begin
    for _grant in
        select a.privilege_type, a.is_grantable, null::text as col,
               case a.grantee when 0 then 'public' else quote_ident(r.rolname) end as who
          from pg_class c
         cross join lateral aclexplode(c.relacl) a
          left join pg_roles r on r.oid = a.grantee
         where c.oid = _from and a.grantee <> c.relowner and (a.grantee = 0 or r.oid is not null)
        union all
        select a.privilege_type, a.is_grantable, quote_ident(t.attname),
               case a.grantee when 0 then 'public' else quote_ident(r.rolname) end
          from pg_attribute t
         cross join lateral aclexplode(t.attacl) a
          left join pg_roles r on r.oid = a.grantee
         where t.attrelid = _from and t.attnum > 0 and not t.attisdropped and (a.grantee = 0 or r.oid is not null)
    loop
        execute format('grant %s %s on table %s to %s %s', _grant.privilege_type, '(' || _grant.col || ')', _to,
                       _grant.who, case when _grant.is_grantable then 'with grant option' end);
    end loop;
    return 1;
end;
$$ language plpgsql strict set search_path = pg_catalog, pg_temp;
