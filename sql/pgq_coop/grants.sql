-- The version is for everybody, the rest for pgq_reader, or for the owner alone where that role does not exist.
do $$
declare
    _statement text;
begin
    for _statement in
        select format(s.pattern, p.oid::regprocedure)
          from pg_catalog.pg_proc p
         cross join (values ('revoke all on function %s from public', true),
                            ('grant execute on function %s to pgq_reader', to_regrole('pgq_reader') is not null)
                    ) as s (pattern, wanted)
         where p.pronamespace = 'pgq_coop'::regnamespace and p.proname <> 'version' and s.wanted
         order by s.pattern desc
    loop
        execute _statement;
    end loop;
    grant execute on function pgq_coop.version() to public;
end;
$$;
