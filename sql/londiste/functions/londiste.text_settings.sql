create or replace function londiste.text_settings(i_rel regclass)
returns text[] as $$
-- ----------------------------------------------------------------------
-- Function: londiste.text_settings(1)
--
--      The settings that the text of a row depends on: of the built-in types of its columns those that are known, in
--      whatever array, domain or range. Nobody knows what the output of another base type looks at, so DateStyle,
--      IntervalStyle and extra_float_digits count for it; a composite type counts for all, because it can be altered
--      without its table noticing.
--
--      Every session asks this for every table that it writes to, so the types of most columns are known by heart.
--
-- Parameters:  i_rel - the table
-- Returns:     of DateStyle, IntervalStyle, extra_float_digits, lc_monetary, search_path those that matter
-- Raises:      40001, see londiste.live_columns
-- Locks taken: none
-- Called by:   londiste.text_needs, londiste.plain_text
-- ----------------------------------------------------------------------
declare
    -- Types made by initdb have lower numbers; see FirstNormalObjectId in the server's transam.h.
    first_of_users  constant int8 := 16384;
    independent     constant oid[] := '{int2, int4, int8, oid, numeric, bool, text, varchar, bpchar, name, uuid, bytea,
        json, jsonb, inet, cidr, time, int4[], int8[], text[], varchar[], uuid[]}'::regtype[]::oid[];
    dates           constant oid[] := '{date, timestamp, timestamptz}'::regtype[]::oid[];
    types           oid[] := array(select distinct c.o_type from londiste.live_columns(i_rel) c);
begin
    if types <@ independent then
        return '{}';
    elsif types <@ (independent || dates) then
        return '{DateStyle}';
    end if;
    return array(
        with recursive parts (typid) as (
            select unnest(types)
            union
            select inner_type.typid
              from parts p
              join pg_type t on t.oid = p.typid
              left join pg_range r on r.rngtypid = t.oid
              cross join lateral (values (t.typelem), (t.typbasetype), (r.rngsubtype)) inner_type (typid)
             where inner_type.typid <> 0
        ), typed as (
            select t.oid, t.typtype in ('c', 'm') as altered,
                   t.oid::int8 >= first_of_users and t.typtype = 'b' and t.typoutput <> 'array_out'::regproc as unknown
              from parts p join pg_type t on t.oid = p.typid
        )
        select s.name
          from (values ('DateStyle', dates, true),
                       ('IntervalStyle', '{interval}'::regtype[]::oid[], true),
                       ('extra_float_digits',
                        '{float4, float8, point, line, lseg, box, path, polygon, circle}'::regtype[]::oid[], true),
                       ('lc_monetary', '{money}'::regtype[]::oid[], false),
                       ('search_path',
                        '{regclass, regproc, regprocedure, regoper, regoperator, regtype, regcollation, regconfig,
                          regdictionary, regrole, regnamespace}'::regtype[]::oid[], false)) s (name, types, of_unknown)
         where exists (select from typed t where t.oid = any (s.types) or t.altered or t.unknown and s.of_unknown));
end;
$$ language plpgsql set search_path = pg_catalog, pg_temp;
