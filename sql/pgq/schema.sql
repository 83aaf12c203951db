-- The schema of the queue, and the three roles that its grants are made to.
create schema if not exists pgq;
grant usage on schema pgq to public;

-- Roles belong to the whole cluster: another database may have made them, or may be making them at this moment, and the
-- installing role may not be allowed to. The queue works without them; grants.sql grants to those that exist.
do $$
declare
    _role text;
begin
    foreach _role in array array['pgq_reader', 'pgq_writer', 'pgq_admin'] loop
        if pg_catalog.to_regrole(_role) is null then
            begin
                execute pg_catalog.format('create role %I', _role);
            exception
                when duplicate_object or unique_violation or insufficient_privilege then
                    null;
            end;
        end if;
    end loop;
    foreach _role in array array['pgq_reader', 'pgq_writer'] loop
        if pg_catalog.to_regrole(_role) is not null and pg_catalog.to_regrole('pgq_admin') is not null then
            begin
                -- A superuser is a member of everything, so look at the membership itself.
                if not exists (
                    select 1
                      from pg_catalog.pg_auth_members m
                     where m.roleid = pg_catalog.to_regrole(_role) and m.member = pg_catalog.to_regrole('pgq_admin')
                ) then
                    execute pg_catalog.format('grant %I to pgq_admin', _role);
                end if;
            exception
                -- internal_error is what "tuple concurrently updated" of another database's install arrives as.
                when duplicate_object or unique_violation or insufficient_privilege or internal_error then
                    null;
            end;
        end if;
    end loop;
end;
$$;
