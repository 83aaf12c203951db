-- Nothing here is for everybody: users' tables call capture functions by their triggers, which needs no grant. Who else
-- may do what is said in roles/provider.sql and roles/subscriber.sql. Generated capture functions see to themselves.
do $$
declare
    _signature  text;
begin
    for _signature in
        select p.oid::pg_catalog.regprocedure
          from pg_catalog.pg_proc p
         where p.pronamespace = 'londiste'::pg_catalog.regnamespace
           and p.proname !~ '^capture_[0-9]'
    loop
        execute pg_catalog.format('revoke all on function %s from public', _signature);
        if pg_catalog.to_regrole('pgq_reader') is not null and _signature = 'londiste.tick(text)' then
            execute pg_catalog.format('grant execute on function %s to pgq_reader', _signature);
        end if;
    end loop;
end;
$$;
