"""Queues and events: creating, dropping, settings, inserting, the limit per transaction, privileges."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError
from tests.database.pgq_support import (
    as_role,
    call,
    consume,
    dbname,
    drop_role,
    eager_queue,
    insert,
    make_role,
    module_database,
    open_batch,
    record,
    tick,
    value,
)
from tests.fixtures.servers import ServerPool

ODD_NAMES = ["a.b", "with space", "quo'te\"d", "back\\slash", "ünïcode…", "x" * 200, "%s", "$1", "select", "", "a/b\nc"]


@pytest.fixture(scope="module")
def shared_db(pool: ServerPool) -> Iterator[Database]:
    with module_database(pool) as db:
        yield db


def test_create_queue__twice_makes_one(queue_db: Database) -> None:
    assert call(queue_db, "create_queue", "q") == 1
    assert call(queue_db, "create_queue", "q") == 0
    assert value(queue_db, "select count(*) from pgq.queue") == 1
    assert call(queue_db, "create_queue", "r") == 1
    # The second call of the first queue took no number away.
    assert [row[0] for row in queue_db.run("select queue_id from pgq.queue order by 1")] == [1, 2]


def test_create_queue__null_name(queue_db: Database) -> None:
    with pytest.raises(DatabaseError, match="Invalid NULL value"):
        call(queue_db, "create_queue", None)


def test_create_queue__makes_the_documented_layout(queue_db: Database) -> None:
    call(queue_db, "create_queue", "q")
    row = queue_db.run(
        """select queue_ntables, queue_cur_table, queue_rotation_period::text, queue_switch_step1 = queue_switch_step2,
                  queue_external_ticker, queue_disable_insert, queue_ticker_paused, queue_ticker_max_count,
                  queue_ticker_max_lag::text, queue_ticker_idle_period::text, queue_per_tx_limit, queue_data_pfx,
                  queue_event_seq, queue_tick_seq, queue_extra_maint
             from pgq.queue"""
    )[0]
    assert row == (
        *(3, 0, "02:00:00", True, False, False, False, 500, "00:00:03", "00:01:00", None),
        *("pgq.event_1", "pgq.event_1_id_seq", "pgq.event_1_tick_seq", None),
    )
    relations = queue_db.run(
        "select relname::text, relkind::text, reloptions from pg_class"
        " where relnamespace = 'pgq'::regnamespace and relname like 'event_1%%' order by 1"
    )
    options = ["fillfactor=100", "autovacuum_enabled=off"]
    children = [
        part for n in (0, 1, 2) for part in ((f"event_1_{n}", "r", options), (f"event_1_{n}_txid_idx", "i", None))
    ]
    assert relations == [
        ("event_1", "r", None),
        *children,
        ("event_1_id_seq", "S", None),
        ("event_1_tick_seq", "S", None),
    ]
    assert queue_db.run("select tick_queue, tick_id, tick_event_seq from pgq.tick") == [(1, 1, 1)]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_queue_name__is_data(shared_db: Database, name: str) -> None:
    consumer = name + ".c'\""
    assert call(shared_db, "create_queue", name) == 1
    assert call(shared_db, "register_consumer", name, consumer) == 1
    for setting in ("ticker_max_lag", "ticker_idle_period", "rotation_period"):
        assert call(shared_db, "set_queue_config", name, setting, "0") == 1
    insert(shared_db, "x", queue=name)
    assert consume(shared_db, name, consumer) == ["x"]
    table = value(shared_db, "select queue_data_pfx || '_0' from pgq.queue where queue_name = %s", name)
    assert call(shared_db, "current_event_table", name) == table
    assert record(shared_db, "get_queue_info", name)[0] == name
    assert record(shared_db, "get_consumer_info", name, consumer)[:2] == (name, consumer)
    assert ("pgq.maint_rotate_tables_step1", name) in shared_db.run("select * from pgq.maint_operations()")
    assert call(shared_db, "drop_queue", name, True) == 1


def test_drop_queue__with_consumers_needs_force(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=("c", "d"))
    insert(queue_db, "x")
    tick(queue_db)
    call(queue_db, "event_retry", open_batch(queue_db), 1, 100)
    for args in (("q",), ("q", False)):
        with pytest.raises(DatabaseError, match="cannot drop queue, consumers still attached"):
            call(queue_db, "drop_queue", *args)
    assert call(queue_db, "drop_queue", "q", True) == 1
    left = queue_db.run(
        "select relname from pg_class where relnamespace = 'pgq'::regnamespace and relname ~ '^event_[0-9]'"
    )
    assert left == []
    for table in ("queue", "tick", "subscription", "consumer", "retry_queue"):
        assert value(queue_db, f"select count(*) from pgq.{table}") == 0


def test_drop_queue__missing(queue_db: Database) -> None:
    for args in (("nope",), ("nope", True), (None, True)):
        with pytest.raises(DatabaseError, match="No such event queue"):
            call(queue_db, "drop_queue", *args)
    assert call(queue_db, "drop_queue", None) is None


def test_drop_queue__leaves_the_others_alone(queue_db: Database) -> None:
    eager_queue(queue_db, "a")
    eager_queue(queue_db, "b")
    insert(queue_db, "x", queue="b")
    call(queue_db, "drop_queue", "a", True)
    assert consume(queue_db, "b") == ["x"]


def test_set_queue_config__every_parameter(queue_db: Database) -> None:
    call(queue_db, "create_queue", "q")
    given = {
        "ticker_max_count": ("7", 7),
        "ticker_max_lag": ("5 minutes", "00:05:00"),
        "ticker_idle_period": ("1 hour", "01:00:00"),
        "ticker_paused": ("1", True),
        "rotation_period": ("3 days", "3 days"),
        "external_ticker": ("true", True),
    }
    for parameter, (text, stored) in given.items():
        assert call(queue_db, "set_queue_config", "q", parameter, text) == 1
        cast = "::text" if isinstance(stored, str) else ""
        assert value(queue_db, f"select queue_{parameter}{cast} from pgq.queue") == stored


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("nope", "ticker_max_lag", "3"), "No such event queue"),
        ((None, "ticker_max_lag", "3"), "No such event queue"),
        (("q", "nope", "3"), 'cannot change parameter "nope"'),
        (("q", "per_tx_limit", "3"), 'cannot change parameter "per_tx_limit"'),
        (("q", "disable_insert", "1"), 'cannot change parameter "disable_insert"'),
        (("q", "queue_ticker_max_lag", "1"), 'cannot change parameter "queue_ticker_max_lag"'),
        (("q", "ticker_max_lag = '1', queue_name", "1"), "cannot change parameter"),
        (("q", None, "1"), "cannot change parameter"),
        (("q", "ticker_max_lag", "soon"), 'invalid input syntax for type interval: "soon"'),
        (("q", "ticker_max_lag", None), "Invalid NULL value"),
    ],
)
def test_set_queue_config__refuses(shared_db: Database, args: tuple, message: str) -> None:
    call(shared_db, "create_queue", "q")
    with pytest.raises(DatabaseError, match=re.escape(message)):
        call(shared_db, "set_queue_config", *args)


def test_insert_event__both_forms(queue_db: Database) -> None:
    eager_queue(queue_db)
    assert call(queue_db, "insert_event", "q", "t1", "d1") == 1
    assert call(queue_db, "insert_event", "q", "t2", "d2", "e1", None, "", "é\t'\\") == 2
    assert call(queue_db, "insert_event", "q", None, None) == 3
    rows = queue_db.run(
        "select ev_id, ev_owner, ev_retry, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4,"
        " now() - ev_time < '1 minute' from pgq.event_1 order by 1"
    )
    assert rows == [
        (1, None, None, "t1", "d1", None, None, None, None, True),
        (2, None, None, "t2", "d2", "e1", None, "", "é\t'\\", True),
        (3, None, None, None, None, None, None, None, None, True),
    ]


def test_insert_event__named_arguments(queue_db: Database) -> None:
    eager_queue(queue_db)
    found = value(
        queue_db,
        "select pgq.insert_event(ev_extra4 := '4', ev_extra3 := '3', ev_extra2 := '2', ev_extra1 := '1',"
        " ev_data := 'd', ev_type := 't', queue_name := 'q')",
    )
    assert found == 1
    assert queue_db.run("select ev_type, ev_data, ev_extra1, ev_extra4 from pgq.event_1") == [("t", "d", "1", "4")]


def test_insert_event__unknown_queue(queue_db: Database) -> None:
    with pytest.raises(DatabaseError, match="No such queue"):
        call(queue_db, "insert_event", "nope", "t", "d")
    with pytest.raises(DatabaseError, match="Queue name must not be NULL"):
        call(queue_db, "insert_event", None, "t", "d")


def test_insert_event_raw__takes_all_fields_and_moves_the_sequence(queue_db: Database) -> None:
    eager_queue(queue_db)
    args = ("q", 500, "2020-01-02 03:04:05+00", 7, 8, "t", "d", "1", "2", "3", "4")
    sql = "select pgq.insert_event_raw(%s, %s, %s::timestamptz, %s, %s, %s, %s, %s, %s, %s, %s)"
    assert value(queue_db, sql, *args) == 500
    assert value(queue_db, sql, "q", *[None] * 10) == 2
    rows = queue_db.run(
        "select ev_id, ev_time::text, ev_owner, ev_retry, ev_type, ev_extra4, ev_txid > 0 from pgq.event_1 order by 1"
    )
    assert rows[1] == (500, "2020-01-02 03:04:05+00", 7, 8, "t", "4", True)
    assert rows[0][0] == 2


def test_insert_event__into_a_disabled_queue(queue_db: Database) -> None:
    eager_queue(queue_db)
    queue_db.script("update pgq.queue set queue_disable_insert = true")
    for role, allowed in (("origin", False), ("local", False), ("replica", True)):
        queue_db.script(f"set session_replication_role = {role}")
        if allowed:
            assert call(queue_db, "current_event_table", "q") == "pgq.event_1_0"
            assert call(queue_db, "insert_event", "q", "t", "d") == 3
        else:
            with pytest.raises(DatabaseError, match="Insert into queue disallowed"):
                call(queue_db, "insert_event", "q", "t", "d")
            with pytest.raises(DatabaseError, match="Writing to queue disabled"):
                call(queue_db, "current_event_table", "q")


def test_per_tx_limit__counts_per_transaction(queue_db: Database) -> None:
    eager_queue(queue_db)
    queue_db.script("update pgq.queue set queue_per_tx_limit = 2")
    for _ in range(3):
        with queue_db.transaction():
            insert(queue_db, "a", "b")
    with pytest.raises(DatabaseError, match="Queue 'q' allows max 2 events from one TX"):
        with queue_db.transaction():
            insert(queue_db, "a", "b", "c")
    with pytest.raises(DatabaseError, match="allows max 2"):
        queue_db.run("select pgq.insert_event('q', 't', 'd') from generate_series(1, 3)")
    assert value(queue_db, "select count(*) from pgq.event_1") == 6


def test_per_tx_limit__each_queue_on_its_own(queue_db: Database) -> None:
    eager_queue(queue_db, "a")
    eager_queue(queue_db, "b")
    queue_db.script("update pgq.queue set queue_per_tx_limit = 1")
    with queue_db.transaction():
        insert(queue_db, "x", queue="a")
        insert(queue_db, "x", queue="b")
        with pytest.raises(DatabaseError, match="Queue 'a' allows max 1"), queue_db.savepoint():
            insert(queue_db, "y", queue="a")


def test_per_tx_limit__rolled_back_events_do_not_count(queue_db: Database) -> None:
    eager_queue(queue_db)
    queue_db.script("update pgq.queue set queue_per_tx_limit = 2")
    with queue_db.transaction():
        insert(queue_db, "kept")
        for _ in range(3):
            queue_db.script("savepoint s")
            insert(queue_db, "gone")
            queue_db.script("rollback to s")
        insert(queue_db, "kept too")
    assert consume(queue_db) == ["kept", "kept too"]


def test_per_tx_limit__zero_and_negative(queue_db: Database) -> None:
    eager_queue(queue_db)
    queue_db.script("update pgq.queue set queue_per_tx_limit = 0")
    with pytest.raises(DatabaseError, match="Queue 'q' allows max 0 events from one TX"):
        insert(queue_db, "a")
    queue_db.script("update pgq.queue set queue_per_tx_limit = -1")
    insert(queue_db, "a", "b")


def test_per_tx_limit__is_not_fooled_by_a_session_setting(queue_db: Database) -> None:
    eager_queue(queue_db)
    queue_db.script("update pgq.queue set queue_per_tx_limit = 1; set pgq.tx_events_1 = 'nonsense:999999'")
    insert(queue_db, "a")
    insert(queue_db, "b")
    assert consume(queue_db) == ["a", "b"]


def test_current_event_table__takes_a_copy(queue_db: Database) -> None:
    import io

    eager_queue(queue_db)
    with queue_db.transaction():
        table = call(queue_db, "current_event_table", "q")
        queue_db.copy_in(
            f"copy {table} (ev_type, ev_data, ev_extra1) from stdin", io.BytesIO(b"t\tone\tx\nt\ttwo\t\\N\n")
        )
    assert queue_db.run("select ev_id, ev_extra1, ev_time = ev_time from pgq.event_1 order by 1") == [
        (1, "x", True),
        (2, None, True),
    ]
    assert consume(queue_db) == ["one", "two"]
    with pytest.raises(DatabaseError, match="Event queue not found"):
        call(queue_db, "current_event_table", "nope")


def test_get_queue_info__columns_and_values(queue_db: Database) -> None:
    call(queue_db, "create_queue", "b")
    call(queue_db, "create_queue", "a")
    rows = queue_db.run("select * from pgq.get_queue_info()")
    assert [row[0] for row in rows] == ["a", "b"]
    insert(queue_db, "x", "y", queue="a")
    queue_db.script(
        "delete from pgq.tick; insert into pgq.tick select 2, n, now() - (30 - n) * interval '10 s',"
        " txid_current_snapshot(), n * 100 from generate_series(1, 30) n;"
        "select setval('pgq.event_2_id_seq', 3009)"
    )
    row = record(queue_db, "get_queue_info", "a")
    assert row[:3] == ("a", 3, 0)
    assert row[5:8] == (False, False, 500)
    assert row[11] == pytest.approx(10.0)  # 100 events in 10 seconds
    assert row[12:] == (9, 30)
    assert record(queue_db, "get_queue_info", "b")[10:] == (None, None, None, None)
    assert queue_db.run("select * from pgq.get_queue_info('nope')") == []


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("a.b", "a.b"),
        ("a", "public.a"),
        ("a.b.c", 'a."b.c"'),
        ('A b.C"d', '"A b"."C""d"'),
        ("select", 'public."select"'),
        (None, None),
    ],
)
def test_quote_fqname(shared_db: Database, name: str | None, quoted: str | None) -> None:
    assert call(shared_db, "quote_fqname", name) == quoted


def test_seq_functions__never_move_back(queue_db: Database) -> None:
    queue_db.script('create sequence s; create schema "My x"; create sequence "My x"."S.q"')
    for name in ("s", "My x.S.q"):
        assert call(queue_db, "seq_getval", name) == 1
        assert call(queue_db, "seq_setval", name, 10) == 10
        assert call(queue_db, "seq_setval", name, 5) == 10
        assert call(queue_db, "seq_setval", name, 15) == 15
        assert call(queue_db, "seq_getval", name) == 15
    with pytest.raises(DatabaseError, match="does not exist"):
        call(queue_db, "seq_getval", "nope")


def test_version__and_upgrade(queue_db: Database) -> None:
    for schema_name in ("pgq", "pgq_coop", "pgq_ext"):
        assert call(queue_db, f"{schema_name}.version").startswith("3.")
    assert call(queue_db, "upgrade_schema") == 0
    assert call(queue_db, "pgq_ext.upgrade_schema") == 0


def test_grants__reader_writer_admin(queue_db: Database) -> None:
    eager_queue(queue_db, consumers=())
    roles = {kind: make_role(queue_db, kind, f"pgq_{kind}") for kind in ("reader", "writer", "admin")}
    nobody = make_role(queue_db, "nobody")
    denied = pytest.raises(DatabaseError, match="permission denied")
    try:
        with as_role(queue_db, roles["admin"]):
            assert call(queue_db, "create_queue", "mine") == 1
            tick(queue_db)
            call(queue_db, "maint_rotate_tables_step1", "q")
            call(queue_db, "maint_rotate_tables_step2")
            call(queue_db, "maint_retry_events")
            queue_db.run("select * from pgq.maint_operations()")
            insert(queue_db, "by admin")
        with as_role(queue_db, roles["writer"]):
            insert(queue_db, "by writer")
            table = call(queue_db, "current_event_table", "q")
            queue_db.script(f"insert into {table} (ev_type, ev_data) values ('t', 'copied')")
            with denied:
                queue_db.script(f"insert into {table} (ev_type, ev_txid) values ('t', 1)")
            for sql in (
                "select pgq.register_consumer('q', 'w')",
                "select pgq.ticker('q')",
                "select pgq.create_queue('x')",
                "select pgq.insert_event_raw('q', 1, null, null, null, null, null, null, null, null, null)",
                f"select * from {table}",
            ):
                with denied:
                    queue_db.run(sql)
        tick(queue_db)
        with as_role(queue_db, roles["reader"]):
            assert call(queue_db, "register_consumer", "q", "r") == 1
            assert call(queue_db, "next_batch", "q", "r") is None
            assert call(queue_db, "force_tick", "q") is not None
            for sql in ("select pgq.insert_event('q', 't', 'd')", "select pgq.maint_rotate_tables_step1('q')"):
                with denied:
                    queue_db.run(sql)
        insert(queue_db, "for the reader")
        tick(queue_db)
        with as_role(queue_db, roles["reader"]):
            batch = open_batch(queue_db, consumer="r")
            assert queue_db.run("select ev_data from pgq.get_batch_events(%s)", [batch]) == [("for the reader",)]
            assert call(queue_db, "event_retry", batch, value(queue_db, "select max(ev_id) from pgq.event_1"), 5) == 1
            assert call(queue_db, "finish_batch", batch) == 1
        with as_role(queue_db, nobody):
            assert call(queue_db, "version").startswith("3")
            assert len(queue_db.run("select * from pgq.get_queue_info()")) == 2
            assert len(queue_db.run("select * from pgq.get_consumer_info()")) == 1
            assert len(queue_db.run("select * from pgq.tick")) >= 2
            for sql in ("select pgq.insert_event('q', 't', 'd')", "select * from pgq.event_1"):
                with denied:
                    queue_db.run(sql)
    finally:
        for role in (*roles.values(), nobody):
            drop_role(queue_db, role)


def test_definer_functions__do_not_run_what_the_caller_put_in_the_way(
    queue_db: Database, open_connection, server
) -> None:
    """A caller's search_path may hold operators, functions and types that shadow the built-in ones."""
    eager_queue(queue_db)
    queue_db.script("update pgq.queue set queue_per_tx_limit = 100")
    writer = make_role(queue_db, "evil", "pgq_writer")
    queue_db.script(f'grant pgq_reader to "{writer}"; create schema evil authorization "{writer}"')
    try:
        with as_role(queue_db, writer):
            queue_db.script("""
                create table evil.ran (who text);
                create function evil.hit() returns void language plpgsql as $$
                begin
                    if current_user like 'postgres' then
                        insert into evil.ran values (current_user);
                    end if;
                end $$;
                create function evil.eq(text, text) returns bool language plpgsql as
                    $$ begin perform evil.hit(); return $1 operator(pg_catalog.=) $2; end $$;
                create operator evil.= (leftarg = text, rightarg = text, function = evil.eq);
                create operator evil.<> (leftarg = text, rightarg = text, function = evil.eq);
                create function evil.cmp(int, int) returns bool language plpgsql as
                    $$ begin perform evil.hit(); return $1 operator(pg_catalog.>) $2; end $$;
                create operator evil.> (leftarg = int, rightarg = int, function = evil.cmp);
                create operator evil.>= (leftarg = int, rightarg = int, function = evil.cmp);
                create operator evil.= (leftarg = int, rightarg = int, function = evil.cmp);
                create function evil.add(int, int) returns int language plpgsql as
                    $$ begin perform evil.hit(); return $1 operator(pg_catalog.+) $2; end $$;
                create operator evil.+ (leftarg = int, rightarg = int, function = evil.add);
                create function evil.cmp8(int8, int8) returns bool language plpgsql as
                    $$ begin perform evil.hit(); return $1 operator(pg_catalog.=) $2; end $$;
                create operator evil.= (leftarg = int8, rightarg = int8, function = evil.cmp8);
                create operator evil.> (leftarg = int8, rightarg = int8, function = evil.cmp8);
                create operator evil.>= (leftarg = int8, rightarg = int8, function = evil.cmp8);
                create function evil.sub8(int8, int8) returns int8 language plpgsql as
                    $$ begin perform evil.hit(); return $1 operator(pg_catalog.-) $2; end $$;
                create operator evil.- (leftarg = int8, rightarg = int8, function = evil.sub8);
                create function evil.now() returns timestamptz language plpgsql as
                    $$ begin perform evil.hit(); return pg_catalog.now(); end $$;
                create function evil.txid_current() returns int8 language plpgsql as
                    $$ begin perform evil.hit(); return 5; end $$;
                create function evil.nextval(regclass) returns int8 language plpgsql as
                    $$ begin perform evil.hit(); return pg_catalog.nextval($1); end $$;
                create function evil.catcat(text, text) returns text language plpgsql as
                    $$ begin perform evil.hit(); return pg_catalog.concat($1, $2); end $$;
                create operator evil.|| (leftarg = text, rightarg = text, function = evil.catcat);
                create domain evil.bool as text;
                """)
        attacker = open_connection(server.dsn(dbname(queue_db), user=writer))
        attacker.script("set search_path = evil, pg_catalog")
        insert_sql = "select pgq.insert_event('q', 't', 'd')"
        assert attacker.run(insert_sql) == [(1,)]
        assert attacker.run("select pgq.insert_event('q', 't', 'd', '1', '2', '3', '4')") == [(2,)]
        attacker.run("select pgq.current_event_table('q')")
        attacker.run("select * from pgq.next_batch_custom('q', 'c', '0', 1, '0')")
        tick(queue_db)
        batch = attacker.run("select batch_id from pgq.next_batch_custom('q', 'c', '0', 1, '1 day')")[0][0]
        attacker.run("select pgq.next_batch('q', 'c')")
        attacker.run("select * from pgq.next_batch_info('q', 'c')")
        attacker.run(f"select * from pgq.get_batch_info({batch})")
        attacker.run(f"select pgq.event_retry({batch}, 1, 0)")
        attacker.run(f"select pgq.batch_retry({batch}, 0)")
        attacker.run(f"select pgq.finish_batch({batch})")
        attacker.run("select pgq.force_tick('q')")
        attacker.run("select pgq.register_consumer('q', 'x'), pgq.unregister_consumer('q', 'x')")
        attacker.run("select * from pgq.get_consumer_info()")
        attacker.run("select pgq_coop.next_batch('q', 'm', 's', '1 hour')")
        assert queue_db.run("select * from evil.ran") == []
        # The trap itself works.
        queue_db.script("set search_path = evil, pg_catalog")
        queue_db.run("select 1 from pgq.queue where queue_name = 'q'::text")
        queue_db.script("set search_path = public, pg_catalog")
        assert queue_db.run("select distinct who from evil.ran") == [("postgres",)]
    finally:
        drop_role(queue_db, writer)
