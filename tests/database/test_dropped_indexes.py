"""Indexes that a load drops and makes again: with everything that made them what they were."""

from __future__ import annotations

from londiste_lite import dropped_indexes, structure
from londiste_lite.db import Database
from londiste_lite.names import QualifiedName

SPACE = "londiste_test_space"
TABLE = f"""create table "Odd one" (id int primary key, a int not null, b text collate "C", c int[], d point, e int);
create unique index "as identity" on "Odd one" (a) with (fillfactor = 55) tablespace {SPACE};
alter table "Odd one" replica identity using index "as identity";
alter table "Odd one" add constraint "same null"
    unique nulls not distinct (b, e) include (c) deferrable initially deferred;
create index "partial" on "Odd one" (lower(b) text_pattern_ops desc nulls last, (a + e)) where e > 0 and b <> 'it''s';
alter index "partial" alter column 1 set statistics 77;
alter index "partial" alter column 2 set statistics 0;
create index gin on "Odd one" using gin (c) with (fastupdate = off, gin_pending_list_limit = 128);
create index brin on "Odd one" using brin (a int4_minmax_multi_ops (values_per_range = 16)) with (pages_per_range = 8);
create index spgist on "Odd one" using spgist (d) tablespace {SPACE};
create index hash on "Odd one" using hash (b);
create index clustered on "Odd one" (e desc nulls first);
alter table "Odd one" cluster on clustered;
comment on index "partial" is 'quoted '' and \\ backslash';
comment on constraint "same null" on "Odd one" is 'of the constraint';
comment on index "same null" is 'of its index';
alter table "Odd one" add constraint apart exclude using gist (d with ~=);
create index "not finished" on "Odd one" (e);
update pg_catalog.pg_index set indisvalid = false where indexrelid = '"not finished"'::pg_catalog.regclass"""
# Everything of the catalogue but numbers and sizes.
FINGERPRINT = """select c.relname, pg_catalog.pg_get_indexdef(c.oid), c.reloptions, ts.spcname, i.indisclustered,
       i.indisreplident, i.indimmediate, i.indisvalid, pg_catalog.obj_description(c.oid, 'pg_class'),
       pg_catalog.pg_get_constraintdef(k.oid), pg_catalog.obj_description(k.oid, 'pg_constraint'),
       array(select (a.attname, coalesce((pg_catalog.to_jsonb(a) - 'attmissingval' ->> 'attstattarget')::int, -1),
                     a.attoptions)::text from pg_catalog.pg_attribute a where a.attrelid = c.oid order by a.attnum),
       t.relreplident
  from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
       join pg_catalog.pg_class t on t.oid = i.indrelid
       left join pg_catalog.pg_tablespace ts on ts.oid = c.reltablespace
       left join pg_catalog.pg_constraint k on k.conindid = c.oid
 where t.relname = 'Odd one' order by 1"""


def test_indexes__come_back_as_they_were(subscriber_db: Database) -> None:
    db = subscriber_db
    if not db.run("select 1 from pg_catalog.pg_tablespace where spcname = %s", [SPACE]):
        db.script("set allow_in_place_tablespaces = on")
        db.script(f"create tablespace {SPACE} location ''")
    db.script("set search_path = public, pg_catalog")
    for statement in TABLE.split(";\n"):
        db.script(statement)
    db.script("set search_path = pg_catalog")
    before = db.run(FINGERPRINT)
    name = QualifiedName("public", "Odd one")
    table = structure.require_table(db, name, "subscriber")
    assert dropped_indexes.drop_for_load(db, table, ("id",), 1.0) == 8
    left = [row[0] for row in db.run(FINGERPRINT)]
    assert left == ["Odd one_pkey", "apart", "not finished"], "the key, an exclusion constraint, an invalid index"
    db.script("""insert into public."Odd one" values (1, 1, 'x', '{1}', '(1,1)', 1)""")
    assert dropped_indexes.restore_all(db, 1.0) == []
    assert db.run(FINGERPRINT) == before
    assert dropped_indexes.pending(db) == []
    # One that cannot be made is noted, and made once it can be.
    assert dropped_indexes.drop_for_load(db, table, ("id",), 1.0) == 8
    db.script("""insert into public."Odd one" values (2, 1, 'y', '{1}', '(2,2)', 1)""")
    assert [one.name for one in dropped_indexes.restore_all(db, 1.0)] == ["as identity"]
    assert "could not create unique index" in str(dropped_indexes.pending(db)[0].error)
    db.script("""delete from public."Odd one" where id = 2""")
    assert dropped_indexes.restore_all(db, 1.0) == []
    assert db.run(FINGERPRINT) == before
