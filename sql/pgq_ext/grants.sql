-- The version is for everybody, the rest for pgq_writer, or for the owner alone where that role does not exist.
do $$
declare
    _statement text;
begin
    for _statement in
        select format(s.pattern, p.oid::regprocedure)
          from pg_catalog.pg_proc p
         cross join (values ('revoke all on function %s from public', true),
                            ('grant execute on function %s to pgq_writer', to_regrole('pgq_writer') is not null)
                    ) as s (pattern, wanted)
         where p.pronamespace = 'pgq_ext'::regnamespace and p.proname <> 'version' and s.wanted
         order by s.pattern desc
    loop
        execute _statement;
    end loop;
    grant execute on function pgq_ext.version() to public;
end;
$$;
