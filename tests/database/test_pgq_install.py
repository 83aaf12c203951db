"""Installing the queue: by whom, how often, by how many at once, on which servers, and beside the real extension."""

from __future__ import annotations

import re
import threading

import pytest

from londiste_lite import schema, sqlfiles
from londiste_lite.db import Database
from tests.conftest import dbname_of, need
from tests.database.pgq_support import (
    EXTENSION_FILE,
    call,
    consume,
    data_of,
    drop_role,
    eager_queue,
    insert,
    make_role,
    open_batch,
    rotate,
    tick,
)

FINGERPRINT = """
select 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid), p.proacl::text
  from pg_proc p where pronamespace::regnamespace::text like 'pgq%'
union all
select 'relation', c.oid::regclass::text, c.relkind::text || c.reloptions::text, c.relacl::text
  from pg_class c where relnamespace::regnamespace::text like 'pgq%'
union all
select 'column', attrelid::regclass::text || '.' || attnum, concat_ws(' ', attname, atttypid::regtype, attnotnull,
       pg_get_expr(adbin, adrelid)), attacl::text
  from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum join pg_class c on c.oid = attrelid
 where relnamespace::regnamespace::text like 'pgq%' and attnum > 0
union all
select 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid), null
  from pg_constraint where connamespace::regnamespace::text like 'pgq%'
union all
select 'sequence', schemaname || '.' || sequencename, last_value::text, null
  from pg_sequences where schemaname like 'pgq%'
 order by 1, 2, 3
"""


def fingerprint(db: Database) -> list[tuple]:
    return db.run(FINGERPRINT)


def run_files(db: Database) -> None:
    with db.transaction():
        db.script("set local check_function_bodies = off")
        for component in schema.QUEUE_ONLY:
            for path in schema.files_of(component):
                db.script(sqlfiles.read(path))


def works(db: Database) -> None:
    """Walk through everything that a queue does once."""
    eager_queue(db, "works", consumers=("one", "two"))
    insert(db, "a", "b", queue="works")
    tick(db, "works")
    batch = open_batch(db, "works", "one")
    assert data_of(db, batch) == ["a", "b"]
    with db.transaction():
        assert len(db.run("select * from pgq.get_batch_cursor(%s, 'w', 1)", [batch])) == 1
        assert len(db.run("fetch all from w")) == 1
    assert (
        call(db, "event_retry", batch, db.run("select min(ev_id) from pgq.get_batch_events(%s)", [batch])[0][0], 0) == 1
    )
    assert call(db, "finish_batch", batch) == 1
    assert call(db, "maint_retry_events") == 1
    assert consume(db, "works", "one") == ["a"]
    assert consume(db, "works", "two") == ["a", "b"]
    consume(db, "works", "one")
    consume(db, "works", "two")
    assert rotate(db, "works")
    insert(db, "c", queue="works")
    assert consume(db, "works", "one") == ["c"]
    db.script("create table works (id int primary key, a text)")
    for function in ("logutriga", "jsontriga", "sqltriga"):
        db.script(
            f"create trigger {function} after insert or update or delete on works for each row"
            f" execute function pgq.{function}('works', 'backup')"
        )
    db.script("insert into works values (1, 'x'); update works set a = 'y z'; delete from works")
    assert consume(db, "works", "one") == [
        *('{"id":1,"a":"x"}', "id=1&a=x", "(id,a) values ('1','x')"),
        *('{"id":1,"a":"y z"}', "id=1&a=y+z", "a='y z' where id='1'"),
        *('{"id":1,"a":"y z"}', "id=1&a=y+z", "id='1'"),
    ]
    call(db, "pgq_coop.register_subconsumer", "works", "one", "sub")
    insert(db, "d", queue="works")
    tick(db, "works")
    batch = call(db, "pgq_coop.next_batch", "works", "one", "sub")
    assert data_of(db, batch) == ["d"]
    assert call(db, "pgq_coop.finish_batch", batch) == 1
    assert call(db, "pgq_ext.set_batch_done", "one", batch) is True
    assert len(db.run("select * from pgq.get_queue_info()")) == 1
    assert len(db.run("select * from pgq.get_consumer_info()")) == 3
    db.script("drop table works")
    assert call(db, "drop_queue", "works", True) == 1


@pytest.mark.parametrize("version", [13, 14, 15, 16, 17, 18])
def test_install__works_on_each_version(pool, new_database, open_connection, version: int) -> None:
    works(open_connection(new_database(need(pool, version), schema.QUEUE_ONLY)))


@pytest.mark.parametrize("version", [15, 18])
def test_install__twice_changes_nothing(pool, new_database, open_connection, version: int) -> None:
    db = open_connection(new_database(need(pool, version)))
    schema.install(db, schema.QUEUE_ONLY)
    eager_queue(db)
    insert(db, "x")
    before = fingerprint(db)
    assert len(before) > 250
    schema.install(db, schema.QUEUE_ONLY)
    assert fingerprint(db) == before
    # Also when each file is run again, as an upgrade does.
    run_files(db)
    assert fingerprint(db) == before
    assert consume(db) == ["x"]


@pytest.mark.parametrize("version", [15, 18])
def test_install__by_four_at_once(pool, new_database, open_connection, version: int) -> None:
    """Into one empty database, and into others of the same cluster, which share the roles."""
    server = need(pool, version)
    shared = new_database(server)
    targets = [
        open_connection(dsn) for dsn in (shared, shared, shared, shared, new_database(server), new_database(server))
    ]
    errors: list[BaseException] = []

    def run(db: Database) -> None:
        try:
            schema.install(db, schema.QUEUE_ONLY)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(db,)) for db in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert fingerprint(targets[0]) == fingerprint(targets[5])
    works(targets[4])
    members = targets[0].run(
        "select r.rolname::text from pg_auth_members m join pg_roles r on r.oid = m.roleid"
        " where m.member = 'pgq_admin'::regrole order by 1"
    )
    assert members == [("pgq_reader",), ("pgq_writer",)]


@pytest.mark.parametrize("version", [15, 18])
@pytest.mark.parametrize("options", ["nocreaterole", "createrole"])
@pytest.mark.parametrize("roles_exist", [True, False])
def test_install__by_an_ordinary_role(
    pool, new_database, open_connection, version: int, options: str, roles_exist: bool
) -> None:
    server = need(pool, version, "a" if roles_exist else "fresh")
    dsn = new_database(server)
    boss = open_connection(dsn)
    if roles_exist:
        schema.install(open_connection(new_database(server)), ("pgq",))
    else:
        # Whatever an earlier test of this cluster left: nobody of this test's databases needs them.
        boss.script("drop role if exists pgq_admin; drop role if exists pgq_reader; drop role if exists pgq_writer")
    owner = make_role(boss, "owner", options=f"{options} nosuperuser nocreatedb")
    boss.script(f'grant create on database "{boss.dbname}" to "{owner}"; grant create on schema public to "{owner}"')
    try:
        db = open_connection(server.dsn(dbname_of(dsn), user=owner))
        assert set(schema.install(db, schema.QUEUE_ONLY).components.values()) == {"installed"}
        there = {row[0] for row in boss.run("select rolname::text from pg_roles where rolname like 'pgq\\_%'")}
        if roles_exist or options == "createrole":
            assert there == {"pgq_reader", "pgq_writer", "pgq_admin"}
        else:
            assert there == set()
        works(db)
        before = fingerprint(db)
        run_files(db)
        assert fingerprint(db) == before
        # Others have no more rights than with the roles.
        stranger = make_role(boss, "stranger")
        with boss.transaction():
            boss.script(f'set local role "{stranger}"')
            allowed = boss.run(
                "select p.proname::text from pg_proc p where pronamespace = 'pgq'::regnamespace"
                " and has_function_privilege(p.oid, 'execute') and proname not like '\\_%' group by 1 order by 1"
            )
        assert [row[0] for row in allowed] == [
            *("get_consumer_info", "get_queue_info", "quote_fqname", "seq_getval", "version")
        ]
        drop_role(boss, stranger)
        db.close()
    finally:
        boss.script(f'drop owned by "{owner}" cascade')
        if not roles_exist:
            boss.script("drop role if exists pgq_admin; drop role if exists pgq_reader; drop role if exists pgq_writer")
        boss.script(f'drop owned by "{owner}" cascade; drop role "{owner}"')


def test_install__over_a_database_that_revoked_execute_from_public(server, new_database, open_connection) -> None:
    dsn = new_database(server)
    db = open_connection(dsn)
    db.script("alter default privileges revoke execute on functions from public")
    try:
        schema.install(db, schema.QUEUE_ONLY)
        works(db)
        nobody = make_role(db, "nobody")
        db.script(f'set role "{nobody}"')
        assert call(db, "version").startswith("3")
        db.script("reset role")
        drop_role(db, nobody)
    finally:
        db.script("alter default privileges grant execute on functions to public")


def test_install__beside_the_real_extension(pool, new_database, open_connection) -> None:
    if not EXTENSION_FILE.exists():
        pytest.skip("PostgreSQL 15's extension pgq is not installed")
    db = open_connection(new_database(need(pool, 15)))
    db.script("create extension pgq")
    done = schema.install(db, schema.QUEUE_ONLY).components
    assert done == {"pgq": "extension", "pgq_coop": "installed", "pgq_ext": "installed"}
    works(db)


@pytest.mark.parametrize("component", ["pgq", "pgq_coop", "pgq_ext"])
def test_function_files__one_name_each_with_its_header(component: str) -> None:
    for path in sqlfiles.folder(f"{component}/functions"):
        text = sqlfiles.read(path)
        name = path.rpartition("/")[2].removesuffix(".sql")
        defined = re.findall(r"create or replace function ([a-z_.0-9]+)\(", text)
        assert set(defined) == {name}, path
        headers = re.findall(r"-- Function: ([a-z_.0-9]+)\((\d+)\)", text)
        assert [header[0] for header in headers] == defined, path
        for field in ("Parameters:", "Returns:", "Raises:", "Locks taken:", "Called by:"):
            assert text.count(f"-- {field}") == len(defined), (path, field)
        assert max(map(len, text.splitlines())) <= 120, path
        for body in text.split("create or replace function ")[1:]:
            if "security definer" in body and "set search_path = pg_catalog, pg_temp" not in body:
                assert name in ("pgq.insert_event", "pgq.next_batch_custom"), path
