"""Databases that tests use one after another: each test finds one that is as new, or a new one."""

from __future__ import annotations

from collections.abc import Sequence

from londiste_lite import schema
from londiste_lite.db import Row
from londiste_lite.throwaway import ThrowawayServer
from tests.conftest import dbname_of
from tests.fixtures.servers import ServerPool, connect

LEFT_BEHIND = (
    "create table t (id serial primary key, v text); create view w as select * from t; create type mood as enum ('ok')",
    "create domain d as int; create function f() returns int language sql as 'select 1'; create schema \"S s\"",
    "create table pgq.t (id int); create table \"S s\".t (id int); insert into t (v) values ('x')",
    "create function g() returns event_trigger language plpgsql as 'begin end'",
    "create event trigger e on ddl_command_end execute function g(); create publication p for all tables",
    "select pgq.create_queue('q'); select pgq.register_consumer('q', 'c'); select pgq.insert_event('q', 'a', 'b')",
    "begin; insert into t (v) values ('y'); prepare transaction 'left'",
    "select pgq.ticker(); update londiste.schema_version set version = 99",
)
ROWS = (
    "select relname, relnamespace::regnamespace from pg_catalog.pg_class where relkind <> 't' order by 1, 2",
    "select proname, prosrc from pg_catalog.pg_proc order by 1, 2",
    "select version from londiste.schema_version",
    "select count(*) from pgq.queue",
    "select last_value, is_called from pgq.queue_queue_id_seq",
    "select count(*) from pg_catalog.pg_prepared_xacts",
)
BEYOND_REPAIR = (
    "create or replace function pgq.version() returns text language sql as 'select ''4''::text'",
    "drop function londiste.forget_copy",
    "alter table pgq.queue add extra int",
    "grant insert on pgq.queue to public",
    "alter database {} set work_mem = '1MB'",
    "create cast (text as int) with inout",
    "drop table londiste.paused",
    "drop schema pgq_ext cascade",
)


def run(dsn: str, statements: Sequence[str]) -> list[list[Row]]:
    db = connect(dsn)
    try:
        return [db.run(one.format(dbname_of(dsn))) for one in statements]
    finally:
        db.close()


def test_database__is_as_new_for_the_next_test(pool: ServerPool, server: ThrowawayServer) -> None:
    first, other = (pool.installed_database(server, schema.PROVIDER) for _ in range(2))
    left_open = connect(first)  # ended with the rest
    try:
        run(first, LEFT_BEHIND)
        pool.drop_database(server, dbname_of(first))
        again = pool.installed_database(server, schema.PROVIDER)
        assert again == first
        assert run(again, ROWS) == run(other, ROWS)
    finally:
        left_open.close()
        pool.drop_database(server, dbname_of(other))
        pool.drop_database(server, dbname_of(first))


def test_database__with_what_cannot_be_taken_back_is_dropped(pool: ServerPool, server: ThrowawayServer) -> None:
    for change in BEYOND_REPAIR:
        dsn = pool.installed_database(server, schema.PROVIDER)
        run(dsn, [change])
        pool.drop_database(server, dbname_of(dsn))
        after = pool.installed_database(server, schema.PROVIDER)
        assert after != dsn, change
        pool.drop_database(server, dbname_of(after))
