"""The trigger functions logutriga, jsontriga and sqltriga: formats, types, all arguments, errors."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError
from tests.database.pgq_support import as_role, consume, drop_role, eager_queue, make_role, module_database
from tests.fixtures.servers import ServerPool

FORMATS = ("logutriga", "jsontriga", "sqltriga")
FIELDS = "ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4"


@pytest.fixture(scope="module")
def shared_db(pool: ServerPool) -> Iterator[Database]:
    with module_database(pool) as db:
        eager_queue(db, consumers=())
        yield db


@pytest.fixture
def db(shared_db: Database) -> Iterator[Database]:
    """A transaction with queue q that is rolled back in the end."""
    shared_db.script("begin; set local datestyle = 'ISO'; set local timezone = 'UTC'")
    yield shared_db
    shared_db.script("rollback")


def watch(db: Database, table: str, function: str, *args: str, when: str = "after insert or update or delete") -> None:
    given = ", ".join("'" + arg.replace("'", "''") + "'" for arg in ("q", *args))
    db.script(f"drop trigger if exists w on {table}")
    each = "statement" if "truncate" in when else "row"
    db.script(f"create trigger w {when} on {table} for each {each} execute function pgq.{function}({given})")


def logged(db: Database, sql: str) -> list[tuple]:
    """Run `sql` and return the events that it logged, empty fields at the end cut off."""
    db.script("truncate pgq.event_1_0")
    db.script(sql)
    rows = db.run(f"select {FIELDS} from pgq.event_1 order by ev_id")
    return [row[: 1 + max(n for n, cell in enumerate(row) if cell is not None)] for row in rows]


def failing(db: Database, sql: str) -> str:
    db.script("savepoint f")
    with pytest.raises(DatabaseError) as caught:
        db.run(sql)
    db.script("rollback to f")
    return str(caught.value.__cause__.diag.message_primary)


def test_formats__of_the_three_operations(db: Database) -> None:
    db.script("create table t (id int primary key, txt text, val float)")
    found = {}
    for function in FORMATS:
        watch(db, "t", function)
        found[function] = [
            row
            for sql in (
                "insert into t values (1, 'a b', null)",
                "update t set txt = 'c&d', val = null",
                "update t set txt = txt",
                "delete from t",
            )
            for row in logged(db, sql)
        ]
    name = "public.t"
    assert found["logutriga"] == [
        ("I:id", "id=1&txt=a+b&val", name),
        ("U:id", "id=1&txt=c%26d&val", name),
        ("U:id", "id=1&txt=c%26d&val", name),
        ("D:id", "id=1&txt=c%26d&val", name),
    ]
    assert found["sqltriga"] == [
        ("I", "(id,txt,val) values ('1','a b',null)", name),
        ("U", "txt='c&d' where id='1'", name),
        ("U", "id='1' where id='1'", name),
        ("D", "id='1'", name),
    ]
    head = '{"op":"%s","table":["public","t"],"pkey":["id"]}'
    assert found["jsontriga"] == [
        (head % "INSERT", '{"id":1,"txt":"a b","val":null}', name),
        (head % "UPDATE", '{"id":1,"txt":"c&d","val":null}', name),
        (head % "UPDATE", '{"id":1,"txt":"c&d","val":null}', name),
        (head % "DELETE", '{"id":1,"txt":"c&d","val":null}', name),
    ]


def test_sqltriga__update_to_null(db: Database) -> None:
    db.script("create table t (id int primary key, a text, b text); insert into t values (1, 'x', 'y')")
    watch(db, "t", "sqltriga")
    assert logged(db, "update t set a = null")[0][1] == "a=NULL where id='1'"


# type, input, text of the value; what jsontriga writes
TYPES = [
    ("bool", "true", "t", "true"),
    ("bool", "false", "f", "false"),
    ("int2", "-7", "-7", "-7"),
    ("int8", "9223372036854775807", "9223372036854775807", "9223372036854775807"),
    ("numeric", "5.500", "5.500", '"5.500"'),
    ("numeric", "NaN", "NaN", '"NaN"'),
    ("float8", "1e300", "1e+300", '"1e+300"'),
    ("text", "", "", '""'),
    ("text", "NULL", "NULL", '"NULL"'),
    ("text", "a\"b\\c'd,(e) f\n\té€=&%+~", "a\"b\\c'd,(e) f\n\té€=&%+~", None),
    ("text", '""', '""', None),
    ("text", "\\\\", "\\\\", None),
    ("char(4)", "x", "x   ", '"x   "'),
    ("timestamp", "2020-01-02 03:04:05.5", "2020-01-02 03:04:05.5", '"2020-01-02T03:04:05.5"'),
    ("timestamptz", "2020-01-02 03:04:05+02", "2020-01-02 01:04:05+00", '"2020-01-02T01:04:05+00:00"'),
    ("timestamp", "infinity", "infinity", '"infinity"'),
    ("date", "2020-12-31", "2020-12-31", '"2020-12-31"'),
    ("date", "4000-01-01 BC", "4000-01-01 BC", '"4000-01-01 BC"'),
    ("time", "01:02:03", "01:02:03", '"01:02:03"'),
    ("interval", "1 day 2 hours", "1 day 02:00:00", '"1 day 02:00:00"'),
    ("bytea", "\\xdeadBEEF", "\\xdeadbeef", '"\\\\xdeadbeef"'),
    ("json", '{"a": [1, null]}', '{"a": [1, null]}', '"{\\"a\\": [1, null]}"'),
    ("json", "null", "null", '"null"'),
    ("int[]", "{1,NULL,3}", "{1,NULL,3}", '"{1,NULL,3}"'),
    ("bool[]", "{t,f}", "{t,f}", '"{t,f}"'),
    ("text[]", '{"a b",NULL,"c\\"d"}', '{"a b",NULL,"c\\"d"}', None),
    ("int4range", "[1,5)", "[1,5)", '"[1,5)"'),
    ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", None),
]


def urlencoded(text: str) -> str:
    safe = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
    return "".join("+" if b == 32 else chr(b) if b in safe else f"%{b:02x}" for b in text.encode())


@pytest.mark.parametrize(("kind", "given", "text", "as_json"), TYPES)
def test_formats__of_a_type(db: Database, kind: str, given: str, text: str, as_json: str | None) -> None:
    db.script(f"create table t (v {kind}, n {kind}, id int primary key)")
    literal = "E'" + given.replace("\\", "\\\\").replace("'", "''") + "'"
    insert = f"truncate t; insert into t values ({literal}, null, 1)"
    watch(db, "t", "logutriga")
    assert logged(db, insert)[0][1] == f"v={urlencoded(text)}&n&id=1"
    watch(db, "t", "jsontriga")
    as_json = as_json or json.dumps(text, ensure_ascii=False)
    assert logged(db, insert)[0][1] == f'{{"v":{as_json},"n":null,"id":1}}'
    watch(db, "t", "sqltriga")
    data = logged(db, insert)[0][1]
    # The best proof of an SQL literal is the server's reading of it.
    db.script(f"truncate t; drop trigger w on t; insert into t {data}")
    assert db.run("select concat(v), n from t") == [(text, None)]


def test_formats__of_odd_names(db: Database) -> None:
    db.script(
        'create schema "S x"; create table "S x"."T.y&z\'q" ('
        '"Id" int, "a b" text, "select" text, "c""d" text, "é=" text, primary key ("a b", "Id"))'
    )
    table = '"S x"."T.y&z\'q"'
    insert = f"truncate {table}; insert into {table} values (1, 'k', 'v', null, 'z')"
    watch(db, table, "logutriga")
    assert logged(db, insert) == [("I:a b,Id", "Id=1&a+b=k&select=v&c%22d&%c3%a9%3d=z", "S x.T.y&z'q")]
    watch(db, table, "jsontriga")
    assert logged(db, insert)[0][:2] == (
        '{"op":"INSERT","table":["S x","T.y&z\'q"],"pkey":["a b","Id"]}',
        '{"Id":1,"a b":"k","select":"v","c\\"d":null,"é=":"z"}',
    )
    watch(db, table, "sqltriga")
    assert logged(db, insert)[0][1] == """("Id","a b","select","c""d","é=") values ('1','k','v',null,'z')"""
    assert logged(db, f"update {table} set \"select\" = 'w'")[0][1] == """"select"='w' where "Id"='1' and "a b"='k'"""
    assert logged(db, f"delete from {table}")[0][1] == """"Id"='1' and "a b"='k'"""


def test_columns__dropped_added_renamed_in_one_session(db: Database) -> None:
    """The same trigger in the same session, after each change of the table."""
    db.script("create table t (gone int, id int primary key, a text, also_gone text)")
    watch(db, "t", "logutriga")
    assert logged(db, "insert into t values (1, 2, 'x', 'y')")[0][1] == "gone=1&id=2&a=x&also_gone=y"
    db.script("alter table t drop column gone, drop column also_gone, add column b text default 'd'")
    assert logged(db, "update t set a = 'z'")[0][1] == "id=2&a=z&b=d"
    db.script("alter table t rename a to c")
    assert logged(db, "update t set c = 'z'")[0][1] == "id=2&c=z&b=d"
    db.script("alter table t drop constraint t_pkey, add primary key (b, id)")
    assert logged(db, "update t set c = 'y'")[0][0] == "U:b,id"
    db.script("alter table t rename to u")
    assert logged(db, "update u set c = 'x'")[0][2] == "public.u"


def test_columns__none_and_one(db: Database) -> None:
    db.script("create table none (); create table one (a text)")
    for function, empty, null in (
        ("logutriga", "", "a"),
        ("jsontriga", "{}", '{"a":null}'),
        ("sqltriga", "() values ()", "(a) values (null)"),
    ):
        watch(db, "none", function)
        watch(db, "one", function)
        assert logged(db, "insert into none default values")[0][1] == empty
        assert logged(db, "insert into one values (null)")[0][1] == null


def test_key__missing_or_changed(db: Database) -> None:
    db.script("create table k (a int); create table p (id int primary key, n numeric unique, c text)")
    db.script("insert into k values (1); insert into p values (1, 1.0, 'x')")
    for function in FORMATS:
        watch(db, "k", function)
        watch(db, "p", function)
        assert failing(db, "update k set a = 2") == "Update/Delete on table without pkey"
        assert failing(db, "delete from k") == "Update/Delete on table without pkey"
        assert failing(db, "update p set id = 2") == "primary key update not allowed"
        assert len(logged(db, "update p set c = c")) == 1
        watch(db, "p", function, "pkey=n")
        assert failing(db, "update p set n = 2") == "primary key update not allowed"
        # 1.00 is the same key as 1.0.
        assert len(logged(db, "update p set n = 1.00; update p set n = 1.0")) == 2


def test_key__included_columns_are_no_part_of_it(db: Database) -> None:
    db.script("create table t (a int, b int, c text, primary key (b, a) include (c)); insert into t values (1, 2, 'x')")
    watch(db, "t", "logutriga")
    assert logged(db, "update t set c = 'y'") == [("U:b,a", "a=1&b=2&c=y", "public.t")]


def test_argument_pkey(db: Database) -> None:
    db.script("create table t (nr int, col1 text, col2 text); insert into t values (1, 'a', 'b')")
    watch(db, "t", "logutriga", "pkey=nr,col1")
    assert logged(db, "update t set col2 = 'c'") == [("U:nr,col1", "nr=1&col1=a&col2=c", "public.t")]
    watch(db, "t", "jsontriga", "pkey=nr,col1")
    assert json.loads(logged(db, "update t set col2 = 'd'")[0][0])["pkey"] == ["nr", "col1"]
    watch(db, "t", "sqltriga", "pkey=col1, nr")
    assert logged(db, "update t set col2 = 'e'")[0][1] == "col2='e' where nr='1' and col1='a'"
    assert logged(db, "delete from t")[0][1] == "nr='1' and col1='a'"
    watch(db, "t", "sqltriga", "pkey=col2")
    db.script("insert into t values (1, 'a', null)")
    assert failing(db, "delete from t") == "logtriga: Unexpected NULL key value"
    watch(db, "t", "sqltriga", "pkey=nope")
    assert failing(db, "delete from t") == "Update/Delete on table without pkey"
    watch(db, "t", "logutriga", "pkey=")
    assert failing(db, "delete from t") == "Update/Delete on table without pkey"


@pytest.mark.parametrize("function", FORMATS)
def test_argument_ignore(db: Database, function: str) -> None:
    db.script("create table t (id int primary key, a text, b text, c text)")
    watch(db, "t", function, "ignore=b, c")
    assert "b" not in logged(db, "insert into t values (1, 'x', 'b', 'c')")[0][1]
    assert logged(db, "update t set b = 'new'") == []
    assert logged(db, "update t set b = 'newer', c = null") == []
    assert len(logged(db, "update t set a = 'y', c = 'z'")) == 1
    assert len(logged(db, "update t set a = a")) == 1
    assert len(logged(db, "delete from t")) == 1


def test_argument_backup(db: Database) -> None:
    db.script("create table t (id int primary key, a text, b text)")
    old = {"logutriga": "id=1&a=x+y", "sqltriga": "id=1&a=x+y", "jsontriga": '{"id":1,"a":"x y"}'}
    for function in FORMATS:
        watch(db, "t", function, "backup", "ignore=b")
        assert len(logged(db, "insert into t values (1, 'x y', 'b')")[0]) == 3
        assert logged(db, "update t set a = 'new'")[0][3] == old[function]
        assert len(logged(db, "delete from t")[0]) == 3


@pytest.mark.parametrize(
    ("function", "letters"),
    [("logutriga", "IUDR"), ("sqltriga", "IUDR"), ("jsontriga", ("INSERT", "UPDATE", "DELETE", "TRUNCATE"))],
)
def test_argument_deny(db: Database, function: str, letters: str | tuple) -> None:
    db.script("create table t (id int primary key); insert into t values (1)")
    watch(db, "t", function, "deny", "when=false", "ignore=id")
    text = "Table 'public.t' to queue 'q': change not allowed (%s)"
    statements = ("insert into t values (2)", "update t set id = id", "delete from t")
    for sql, letter in zip(statements, letters, strict=False):
        assert failing(db, sql) == text % letter
    watch(db, "t", function, "deny", when="before truncate")
    assert failing(db, "truncate t") == text % letters[3]


@pytest.mark.parametrize("function", FORMATS)
def test_argument_when(db: Database, function: str) -> None:
    db.script("create table t (id int primary key, a text)")
    watch(db, "t", function, "when=a = 'it''s' -- note")
    assert len(logged(db, "insert into t values (1, 'it''s'), (2, 'x')")) == 1
    assert len(logged(db, "update t set a = 'y' where id = 1")) == 0
    assert len(logged(db, "update t set a = 'it''s' where id = 1")) == 1
    assert len(logged(db, "delete from t")) == 1
    for condition, message in (
        ("a = null", "when= should not be NULL"),
        ("1", "when= query result must be boolean, got=23"),
        ("a", "when= query result must be boolean, got=25"),
        ("nope = 1", 'column "nope" does not exist'),
    ):
        watch(db, "t", function, f"when={condition}")
        assert failing(db, "insert into t values (1, 'x')") == message


@pytest.mark.parametrize("function", FORMATS)
def test_argument_expressions(db: Database, function: str) -> None:
    db.script("create table t (id int primary key, a text, b bool, c char(3))")
    watch(
        db,
        "t",
        function,
        "ev_type=a",
        "ev_data=a||id",
        "ev_extra1=id+1",
        "ev_extra2=b",
        "ev_extra3=c",
        "ev_extra4=$$k$$",
    )
    event = ("x", "x7", "8", "t", "z  ", "k")
    assert logged(db, "insert into t values (7, 'x', true, 'z')") == [event]
    assert logged(db, "update t set a = 'y'") == [("y", "y7", *event[2:])]
    assert logged(db, "delete from t") == [("y", "y7", *event[2:])]
    watch(db, "t", function, "ev_type=a", "ev_data=null", "ev_extra1=(select max(id) from t)", "ev_extra1=0")
    assert logged(db, "insert into t values (8)") == [(None, None, "8")]


@pytest.mark.parametrize("argument", ["nonsense", "", "Backup", "skip", "ev_extra5=1", "ev_type", "backup=1"])
def test_argument__unknown(db: Database, argument: str) -> None:
    db.script("create table t (id int primary key)")
    for function in FORMATS:
        watch(db, "t", function, argument)
        assert failing(db, "insert into t values (1)") == "bad param to pgq trigger"


def test_argument_skip(db: Database) -> None:
    db.script("create table t (id int primary key, a text)")
    every = "before insert or update or delete"
    for function in FORMATS:
        db.script("drop trigger if exists w on t; delete from t")
        watch(db, "t", function, "SKIP", when=every)
        assert len(logged(db, "insert into t values (1, 'x')")) == 1
        assert db.run("select * from t") == []
        db.script("drop trigger w on t; insert into t values (1, 'x')")
        watch(db, "t", function, "SKIP", when=every)
        assert len(logged(db, "update t set a = 'y'; delete from t")) == 2
        assert db.run("select * from t") == [(1, "x")]
        watch(db, "t", function, "SKIP", "when=false", when=every)
        assert logged(db, "delete from t") == []
        assert db.run("select * from t") == [(1, "x")]
        watch(db, "t", function, when=every)
        assert len(logged(db, "update t set a = 'y'")) == 1
        assert db.run("select * from t") == [(1, "y")]
        watch(db, "t", function, "SKIP")
        assert failing(db, "delete from t") == "SKIP does not work in AFTER trigger."


def test_trigger__made_wrong(db: Database) -> None:
    db.script("create table t (id int primary key)")
    for function in FORMATS:
        db.script(f"create trigger w after insert on t for each statement execute function pgq.{function}('q')")
        assert failing(db, "insert into t values (1)") == "pgq Ins/Upd/Del trigger must be fired FOR EACH ROW"
        db.script(
            f"drop trigger w on t; create trigger w after insert on t for each row execute function pgq.{function}()"
        )
        assert failing(db, "insert into t values (1)") == "pgq trigger must have destination queue as argument"
        db.script("drop trigger w on t")
        db.script(f"create trigger w after insert on t for each row execute function pgq.{function}('nope')")
        assert failing(db, "insert into t values (1)") == "No such queue"
        db.script("drop trigger w on t")


def test_truncate(db: Database) -> None:
    db.script("create table t (id int primary key)")
    expected = {
        "logutriga": ("R", ""),
        "sqltriga": ("R", ""),
        "jsontriga": ('{"op":"TRUNCATE","table":["public","t"],"pkey":["id"]}', "{}"),
    }
    custom = "Custom expressions do not make sense for truncater trigger"
    for function in FORMATS:
        watch(db, "t", function, when="after truncate")
        assert logged(db, "truncate t") == [(*expected[function], "public.t")]
        for argument, message in (
            ("when=true", custom),
            ("ev_extra1=5", custom),
            ("backup", "Backup does not make sense for truncate trigger"),
            ("pkey=id", "Custom pkey_list does not make sense for truncate trigger"),
            ("ignore=id", "Column ignore does not make sense for truncate trigger"),
            ("SKIP", "SKIP does not work in AFTER trigger."),
        ):
            watch(db, "t", function, argument, when="after truncate")
            assert failing(db, "truncate t") == message


@pytest.mark.parametrize("function", FORMATS)
def test_magic_columns(db: Database, function: str) -> None:
    db.script(
        "create table t (id int primary key, a text, _pgq_ev_type text, _pgq_ev_extra1 text,"
        " _pgq_ev_extra2 text default 'e2', _pgq_ev_extra3 text, _pgq_ev_extra4 text default 'e4', _pgq_other text)"
    )
    watch(db, "t", function, "ev_extra3=a")
    (row,) = logged(
        db, "insert into t (id, a, _pgq_ev_type, _pgq_ev_extra1, _pgq_ev_extra3) values (1, 'x', 'T', 'E', 'no')"
    )
    assert (row[0], *row[2:]) == ("T", "E", "e2", "x", "e4")
    assert "_pgq_ev" not in row[1]
    assert "_pgq_other" in row[1]
    # Only sqltriga takes them for columns that are not there.
    assert len(logged(db, "update t set _pgq_ev_extra1 = 'F'")) == (0 if function == "sqltriga" else 1)
    assert len(logged(db, "update t set a = a")) == 1
    db.script("alter table t add _pgq_ev_data text default 'DATA'")
    assert logged(db, "update t set a = 'z'")[0][1] == "DATA"
    db.script("alter table t add _pgq_ev_txid text")
    assert failing(db, "update t set a = 'z'") == "Unknown magic column: _pgq_ev_txid"


@pytest.mark.parametrize("function", FORMATS)
def test_session_replication_role(db: Database, function: str) -> None:
    db.script("create table t (id int primary key); create table d (id int primary key)")
    watch(db, "t", function)
    watch(db, "d", function, "deny")
    db.script("set local session_replication_role = local")
    assert logged(db, "insert into t values (1); insert into d values (1); update d set id = 2") == []
    db.script("set local session_replication_role = replica")
    assert logged(db, "insert into t values (2); insert into d values (3)") == []
    db.script("alter table t enable always trigger w")
    assert len(logged(db, "insert into t values (3)")) == 1


def test_session_settings__of_dates(db: Database) -> None:
    db.script("create table t (id int primary key, d date, t timestamptz); set local datestyle = 'German'")
    values = "values (1, '2020-03-04', '2020-03-04 05:06:07+00')"
    watch(db, "t", "jsontriga")
    assert logged(db, f"insert into t {values}")[0][1] == '{"id":1,"d":"2020-03-04","t":"2020-03-04T05:06:07+00:00"}'
    db.script("set local search_path = pg_catalog")
    watch(db, "public.t", "logutriga")
    assert logged(db, "delete from public.t")[0][1] == "id=1&d=04.03.2020&t=04.03.2020+05%3a06%3a07+UTC"


def test_partitioned_table__logs_the_partition(db: Database) -> None:
    db.script("create table t (id int primary key, a text) partition by list (id)")
    db.script("create table t1 partition of t for values in (1)")
    watch(db, "t", "logutriga")
    assert logged(db, "insert into t values (1, 'x')") == [("I:id", "id=1&a=x", "public.t1")]


def test_view__with_an_instead_of_trigger(db: Database) -> None:
    db.script("create view v as select 1 as id, 'x'::text as a")
    watch(db, "v", "logutriga", "pkey=id", when="instead of insert or update or delete")
    assert logged(db, "insert into v values (2, 'z')") == [("I:id", "id=2&a=z", "public.v")]
    assert logged(db, "update v set a = 'y'") == [("U:id", "id=1&a=y", "public.v")]


def test_privileges__writer_logs_and_others_do_not(queue_db: Database) -> None:
    eager_queue(queue_db)
    queue_db.script("create table t (id int primary key)")
    queue_db.script("create trigger w after insert on t for each row execute function pgq.logutriga('q')")
    writer, nobody = make_role(queue_db, "trg", "pgq_writer"), make_role(queue_db, "none")
    try:
        queue_db.script(f'grant insert on t to "{writer}", "{nobody}"')
        with as_role(queue_db, writer):
            queue_db.script("insert into t values (1)")
        with (
            as_role(queue_db, nobody),
            pytest.raises(DatabaseError, match="permission denied for function insert_event"),
        ):
            queue_db.script("insert into t values (2)")
        assert consume(queue_db) == ["id=1"]
    finally:
        drop_role(queue_db, writer)
        drop_role(queue_db, nobody)
