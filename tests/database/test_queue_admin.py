"""The queue commands' engine part on a real database: names, parameters, consumers, what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from londiste_lite import event_queue, publication, queue_admin, schema
from londiste_lite.db import Database
from londiste_lite.errors import LondisteError, ObjectNotFound, RegistrationError, SchemaError
from londiste_lite.names import QualifiedName
from londiste_lite.throwaway import ThrowawayServer

NAMES = ["q", "a.b", "With Space", 'quo"te', "semi;colon'", "naïve ☃", "select", "100%s", "n" * 63]


def fingerprint(db: Database) -> list[tuple[object, ...]]:
    """All that an install makes: functions with their privileges, relations with theirs, columns, schema comments."""
    return db.run(
        """select p.oid::regprocedure::text, md5(pg_get_functiondef(p.oid)), p.proacl::text, ''
             from pg_proc p where p.pronamespace::regnamespace::text ~ '^(pgq|londiste)' and p.prokind = 'f'
           union all
           select c.oid::regclass::text, c.relkind::text, c.relacl::text, c.reloptions::text
             from pg_class c where c.relnamespace::regnamespace::text ~ '^(pgq|londiste)'
           union all
           select a.attrelid::regclass::text, a.attnum::text, a.attname::text, format_type(a.atttypid, a.atttypmod)
             from pg_attribute a join pg_class c on c.oid = a.attrelid
            where c.relnamespace::regnamespace::text ~ '^(pgq|londiste)'
           union all
           select n.nspname, n.nspacl::text, obj_description(n.oid, 'pg_namespace'), ''
             from pg_namespace n where n.nspname ~ '^(pgq|londiste)'
           order by 1, 2, 3, 4"""
    )


@pytest.fixture
def empty_db(server: ThrowawayServer, new_database: Callable[..., str], open_connection: Callable) -> Database:
    """A connection to a database without any of our schemas."""
    found: Database = open_connection(new_database(server))
    return found


# --- install ----------------------------------------------------------------------------------------------------------


def test_install__queue_alone_is_repeatable(empty_db: Database) -> None:
    first = schema.install(empty_db, schema.QUEUE_ONLY)
    assert set(first.components.values()) == {"installed"}
    before = fingerprint(empty_db)
    again = schema.install(empty_db, schema.QUEUE_ONLY)
    assert set(again.components.values()) == {"present"}
    assert fingerprint(empty_db) == before
    assert empty_db.run("select to_regnamespace('londiste')") == [(None,)]


def test_install__of_another_version_is_upgraded(empty_db: Database) -> None:
    schema.install(empty_db, schema.QUEUE_ONLY)
    before = fingerprint(empty_db)
    empty_db.script(
        "comment on schema pgq is 'londiste_lite 0.0.1, schema version 1, checksum 00';"
        "create or replace function pgq.version() returns text language sql as 'select ''old''::text'"
    )
    done = schema.install(empty_db, schema.QUEUE_ONLY)
    assert done.components == {"pgq": "upgraded", "pgq_coop": "present", "pgq_ext": "present"}
    assert fingerprint(empty_db) == before


def test_install__refuses_a_newer_queue(empty_db: Database) -> None:
    schema.install(empty_db, schema.QUEUE_ONLY)
    empty_db.script("comment on schema pgq is 'londiste_lite 99, schema version 99, checksum 00'")
    with pytest.raises(SchemaError, match="version 99"):
        schema.install(empty_db, schema.QUEUE_ONLY)


def test_install__provider_after_queue_alone(
    empty_db: Database, server: ThrowawayServer, new_database: Callable[..., str], open_connection: Callable
) -> None:
    schema.install(empty_db, schema.QUEUE_ONLY)
    queue_admin.create(empty_db, "kept")
    done = schema.install(empty_db, schema.PROVIDER)
    assert done.components == {"pgq": "present", "pgq_coop": "present", "pgq_ext": "present", "londiste": "installed"}
    stored = empty_db.run("select component, checksum from londiste.schema_version order by 1")
    assert stored == sorted((each, schema.checksum_of(each)) for each in schema.PROVIDER)
    assert set(schema.install(empty_db, schema.PROVIDER).components.values()) == {"present"}
    assert set(schema.install(empty_db, schema.QUEUE_ONLY).components.values()) == {"present"}
    queue_admin.drop(empty_db, "kept", force=False)
    fresh = open_connection(new_database(server))
    schema.install(fresh, schema.PROVIDER)
    assert fingerprint(empty_db) == fingerprint(fresh)


def test_print__of_the_queue_is_what_install_does(empty_db: Database) -> None:
    empty_db.script(schema.printable(schema.QUEUE_ONLY))
    assert set(schema.install(empty_db, schema.QUEUE_ONLY).components.values()) == {"present"}


@pytest.mark.parametrize(
    "act",
    [
        queue_admin.status,
        queue_admin.queues,
        lambda db: queue_admin.create(db, "q"),
        lambda db: queue_admin.drop(db, "q", force=True),
        lambda db: queue_admin.register(db, "q", "c"),
        lambda db: queue_admin.configure(db, "q", {"ticker_max_lag": "1"}),
    ],
    ids=["status", "queues", "create", "drop", "register", "configure"],
)
def test_not_installed__is_said(empty_db: Database, act: Callable[[Database], object]) -> None:
    with pytest.raises(SchemaError) as failure:
        act(empty_db)
    assert failure.value.hint == "Run `install` first."


# --- queues and consumers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_names__are_data(queue_db: Database, name: str) -> None:
    assert queue_admin.create(queue_db, name)
    assert not queue_admin.create(queue_db, name)
    assert queue_admin.register(queue_db, name, name)
    assert not queue_admin.register(queue_db, name, name)
    queue_admin.configure(queue_db, name, {"rotation_period": "1 hour"})
    found = queue_admin.status(queue_db)
    assert [(q.name, q.rotation_period) for q in found.queues] == [(name, 3600)]
    assert [(c.queue, c.name) for c in found.consumers] == [(name, name)]
    queue_admin.unregister(queue_db, name, name)
    queue_admin.drop(queue_db, name, force=False)
    assert queue_admin.queues(queue_db) == []


def test_create__has_the_settings_of_pgq(queue_db: Database) -> None:
    queue_admin.create(queue_db, "q")
    found = queue_admin.queue(queue_db, "q")
    assert {name: found.parameter(name) for name in queue_admin.PARAMETERS} == {
        "ticker_max_lag": 3,
        "ticker_idle_period": 60,
        "rotation_period": 7200,
        "ticker_max_count": 500,
    }


def test_status__counts_what_waits(queue_db: Database) -> None:
    queue_admin.create(queue_db, "q")
    queue_admin.register(queue_db, "q", "c")
    for number in range(5):
        queue_db.run("select pgq.insert_event('q', 'a', %s)", [str(number)])
    # The number of the first event is what an unused sequence shows, so it is not counted.
    assert queue_admin.queue(queue_db, "q").new_events == 4
    event_queue.tick_maker(queue_db)(queue_db, "q")
    found = queue_admin.status(queue_db)
    assert found.queues[0].new_events == 0
    assert found.queues[0].last_tick == 2
    consumer = found.consumers[0]
    assert (consumer.last_tick, consumer.pending_events) == (1, 4)
    assert consumer.lag is not None
    assert found.queues[0].ticker_lag is not None
    assert 0 <= found.queues[0].ticker_lag <= consumer.lag < 60
    assert not found.ticker_alive


def test_drop__keeps_a_queue_that_is_read(queue_db: Database) -> None:
    queue_admin.create(queue_db, "q")
    queue_admin.register(queue_db, "q", "one")
    queue_admin.register(queue_db, "q", "two")
    with pytest.raises(RegistrationError, match='2 consumers: "one", "two"') as failure:
        queue_admin.drop(queue_db, "q", force=False)
    assert "--force" in (failure.value.hint or "")
    assert queue_admin.consumers_of(queue_db, "q") == ["one", "two"]
    queue_admin.drop(queue_db, "q", force=True)
    assert queue_admin.queues(queue_db) == []
    assert queue_db.run("select count(*) from pgq.consumer") == [(0,)]


def test_drop__keeps_a_queue_that_tables_write_to(provider_db: Database) -> None:
    queue_admin.create(provider_db, "q")
    provider_db.script("create table public.t (id int primary key)")
    publication.add_table(provider_db, "q", QualifiedName("public", "t"))
    with pytest.raises(RegistrationError, match=r'takes the changes of table "public\.t"'):
        queue_admin.drop(provider_db, "q", force=True)
    provider_db.script("insert into public.t values (1)")
    publication.remove_table(provider_db, "q", QualifiedName("public", "t"))
    queue_admin.drop(provider_db, "q", force=True)
    provider_db.script("insert into public.t values (2)")


@pytest.mark.parametrize(
    ("act", "hint"),
    [
        (lambda db: queue_admin.drop(db, "order", force=True), 'Did you mean "orders"?'),
        (lambda db: queue_admin.register(db, "order", "c"), 'Did you mean "orders"?'),
        (lambda db: queue_admin.unregister(db, "order", "mailer"), 'Did you mean "orders"?'),
        (lambda db: queue_admin.configure(db, "order", {"ticker_max_lag": "1"}), 'Did you mean "orders"?'),
        (lambda db: queue_admin.queue(db, "order"), 'Did you mean "orders"?'),
        (lambda db: queue_admin.queue(db, "xyz"), "Make it with `create`; `config` lists those that are there."),
        (lambda db: queue_admin.unregister(db, "orders", "mailr"), 'Did you mean "mailer"?'),
        (lambda db: queue_admin.unregister(db, "orders", "xyz"), 'It has consumer "mailer".'),
        (lambda db: queue_admin.configure(db, "orders", {"tickr_max_lag": "1"}), 'Did you mean "ticker_max_lag"?'),
        (lambda db: queue_admin.configure(db, "orders", {"queue_ntables": "4"}), None),
    ],
)
def test_unknown__names_the_nearest(queue_db: Database, act: Callable[[Database], object], hint: str | None) -> None:
    queue_admin.create(queue_db, "orders")
    queue_admin.register(queue_db, "orders", "mailer")
    with pytest.raises(ObjectNotFound) as failure:
        act(queue_db)
    assert failure.value.hint
    assert hint is None or failure.value.hint == hint
    assert queue_admin.consumers_of(queue_db, "orders") == ["mailer"]


# --- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        ("ticker_max_lag", "2 minutes", 120),
        ("ticker_max_lag", "0", 0),
        ("ticker_max_lag", "0.25", 0.25),
        ("ticker_max_lag", " 5 ", 5),
        ("queue_ticker_max_lag", "00:01:30", 90),
        ("ticker_idle_period", "1 hour", 3600),
        ("queue_rotation_period", "1 day", 86400),
        ("rotation_period", "30", 30),
        ("ticker_max_count", "1", 1),
        ("queue_ticker_max_count", "2147483647", 2147483647),
    ],
)
def test_configure__takes(queue_db: Database, parameter: str, text: str, value: float) -> None:
    queue_admin.create(queue_db, "q")
    name = parameter.removeprefix("queue_")
    assert queue_admin.configure(queue_db, "q", {parameter: text}) == [name]
    assert queue_admin.queue(queue_db, "q").parameter(name) == value
    assert queue_admin.configure(queue_db, "q", {parameter: text}) == []


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        ("ticker_max_lag", "fast"),
        ("ticker_max_lag", ""),
        ("ticker_max_lag", "-1 second"),
        ("ticker_idle_period", "0"),
        ("rotation_period", "0 s"),
        ("rotation_period", "1 parsec"),
        ("rotation_period", "1'; drop table pgq.queue; --"),
        ("ticker_max_count", "0"),
        ("ticker_max_count", "-5"),
        ("ticker_max_count", "1.5"),
        ("ticker_max_count", "many"),
        ("ticker_max_count", "2147483648"),
        ("ticker_max_count", "٣"),
    ],
)
def test_configure__refuses(queue_db: Database, parameter: str, text: str) -> None:
    queue_admin.create(queue_db, "q")
    before = queue_admin.queue(queue_db, "q")
    with pytest.raises(RegistrationError, match=parameter):
        # All or none: the first one is right.
        queue_admin.configure(queue_db, "q", {"queue_rotation_period": "1 hour", parameter: text})
    after = queue_admin.queue(queue_db, "q")
    assert [after.parameter(p) for p in queue_admin.PARAMETERS] == [before.parameter(p) for p in queue_admin.PARAMETERS]


def test_plain_tick__is_a_tick(queue_db: Database, open_connection: Callable, server: ThrowawayServer) -> None:
    """Without schema londiste the ticker makes ticks that a consumer of PgQ reads batches from."""
    queue_admin.create(queue_db, "q")
    queue_admin.register(queue_db, "q", "c")
    queue_db.run("select pgq.insert_event('q', 'a', 'one')")
    make = event_queue.tick_maker(queue_db)
    assert make is not event_queue.make_tick
    tick = make(queue_db, "q")
    assert (tick.id, tick.event_seq) == (2, 1)
    batch = queue_db.run("select pgq.next_batch('q', 'c')")[0][0]
    assert queue_db.run("select ev_data from pgq.get_batch_events(%s)", [batch]) == [("one",)]
    assert tick.txid > 0
    with pytest.raises(LondisteError):
        make(queue_db, "unknown")
