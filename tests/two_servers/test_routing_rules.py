"""Another rule for a table that is published: its rows follow to where they belong now, and nothing else is sent."""

from __future__ import annotations

import threading

import pytest

from londiste_lite import publication, registration
from londiste_lite.errors import DatabaseError, LockNotGranted, ObjectNotFound, RegistrationError
from londiste_lite.names import QualifiedName
from londiste_lite.triggers.capture_table import Route
from tests.fixtures.nodes import Nodes
from tests.fixtures.pair import QUEUE, Pair, in_background
from tests.fixtures.servers import ServerPool

T = QualifiedName("public", "t")
DDL = "create table t (id int primary key, a text, b text)"
BY_A = "a is null or a = %(node)s"
BY_B = "b is null or b = %(node)s"


@pytest.fixture
def nodes(pair: Pair, pool: ServerPool) -> Nodes:
    return Nodes(pair, pool, ["1", "2"])


def reroute(nodes: Nodes, route: Route | None) -> int | None:
    return publication.add_table(nodes.provider, QUEUE, T, route=route, all_nodes=route is None).rerouted


def test_new_rule__sends_each_node_the_differences_and_nothing_else(nodes: Nodes) -> None:
    nodes.table(DDL, "t", Route("column", "a"))
    nodes.provider.script(
        "insert into t values (1, '1', '1'), (2, '1', '2'), (3, null, '1'), (4, '2', null), (5, null, null),"
        "                     (6, '9', '2')"
    )
    nodes.replay()
    nodes.assert_routed(BY_A)
    before = nodes.event_count()
    # 2: delete and row; 3: delete for all and row; 4: delete and row for all; 6: delete and row.
    assert reroute(nodes, Route("column", "b")) == 8
    assert nodes.event_count() == before + 8
    nodes.provider.script("update t set b = '2' where id = 1")
    nodes.replay()
    nodes.assert_routed(BY_B)
    assert reroute(nodes, Route("column", "b")) is None

    assert reroute(nodes, Route("expr", "string_to_array(a || ',' || b, ',')"))
    nodes.provider.script("insert into t values (7, '1', '2')")
    nodes.replay()
    nodes.assert_routed("a is null or b is null or %(node)s in (a, b)")

    assert reroute(nodes, None)
    nodes.provider.script("insert into t values (8, '7', '8')")
    nodes.replay()
    nodes.assert_routed("true")


def test_new_rule__of_a_partitioned_table_with_hostile_names(nodes: Nodes) -> None:
    name = "od\"d ta'ble"
    quoted = '"od""d ta\'ble"'
    ddl = f"""create table {quoted} (id int, "no de" text, "b" text, primary key (id)) partition by range (id);
              create table p1 partition of {quoted} for values from (0) to (10);
              create table p2 (b text, gone int, "no de" text, id int not null);
              alter table p2 drop column gone; alter table {quoted} attach partition p2 for values from (10) to (20)"""
    nodes.table(ddl, name, Route("column", "no de"))
    nodes.provider.script(f"insert into {quoted} select i, '1', '2' from generate_series(5, 14) i")
    nodes.replay()
    assert (
        publication.add_table(nodes.provider, QUEUE, QualifiedName("public", name), route=Route("column", "b")).rerouted
        == 20
    )
    nodes.replay()
    nodes.assert_routed("b = %(node)s", quoted)
    assert nodes.databases["2"].run(f"select count(*) from {quoted}") == [(10,)]


def test_new_rule__while_others_write(nodes: Nodes, pair: Pair) -> None:
    nodes.table(DDL, "t", Route("column", "a"))
    nodes.provider.script("insert into t select i, (i % 3)::text, (i % 4)::text from generate_series(1, 200) i")

    def write(ended: threading.Event) -> None:
        db = pair.connect_provider()
        step = 0
        while not ended.is_set():
            step += 1
            db.script(
                f"update t set a = '{step % 3}', b = '{step % 4}' where id % 7 = {step % 7};"
                f"delete from t where id = {step % 200}; insert into t values ({1000 + step}, '{step % 3}', '1')"
            )

    with in_background(write, write_more(pair)):
        for number in range(8):
            assert reroute(nodes, Route("column", "ab"[(number + 1) % 2]))
            nodes.replay("1")
    nodes.replay()
    nodes.assert_routed(BY_A)


def write_more(pair: Pair):  # type: ignore[no-untyped-def]
    def write(ended: threading.Event) -> None:
        db = pair.connect_provider()
        step = 0
        while not ended.is_set():
            step += 1
            with db.transaction():  # one that is open for a while
                db.script(f"insert into t values ({-step}, '2', '1')")
                ended.wait(0.02)
                db.script(f"update t set a = '1', b = null where id = {-step}")

    return write


def test_new_rule__where_the_former_one_cannot_be_worked_out_any_more(nodes: Nodes) -> None:
    nodes.provider.script("create table place (a text primary key, node text); insert into place values ('x', '1')")
    nodes.table(DDL, "t", Route("expr", "(select p.node from public.place p where p.a = t.a)"))
    nodes.provider.script("insert into t values (1, 'x', '2'), (2, 'y', '1'), (3, 'x', '1'), (4, 'x', null)")
    nodes.replay()
    nodes.provider.script("drop table place")
    assert reroute(nodes, Route("column", "b")) == 7
    nodes.replay()
    nodes.assert_routed(BY_B)


def test_no_route_any_more__where_the_former_one_cannot_be_worked_out(nodes: Nodes) -> None:
    nodes.provider.script("create table place (a text primary key, node text); insert into place values ('x', '1')")
    nodes.table(DDL, "t", Route("expr", "(select p.node from public.place p where p.a = t.a)"))
    nodes.provider.script("insert into t values (1, 'x', '2'), (2, 'y', '1')")
    nodes.replay()
    nodes.provider.script("drop table place")
    assert reroute(nodes, None) == 2
    nodes.replay()
    nodes.assert_routed("true")


def test_rule__that_fails_for_a_row_names_table_route_and_remedy(nodes: Nodes) -> None:
    nodes.table(DDL, "t", Route("expr", "(100 / a::int)::text"))
    nodes.provider.script("insert into t values (1, '50', 'x')")
    for sql in ("insert into t values (2, '0', 'x')", "update t set a = '0'", "update t set a = 'word'"):
        with pytest.raises(
            DatabaseError, match=r'the route of table "public.t" cannot be worked out for a row'
        ) as error:
            nodes.provider.script(sql)
        assert error.value.detail == "The route is: (100 / a::int)::text"
        assert "provider add public.t --node-expr" in (error.value.hint or "")
        assert "--node-errors park" in (error.value.hint or "")
    assert error.value.sqlstate == "22P02"
    nodes.provider.script("alter table t rename column a to c")
    with pytest.raises(DatabaseError, match=r'the route of table "public.t" cannot be .* "a" does not exist'):
        nodes.provider.script("insert into t values (3, '50', 'x')")
    assert reroute(nodes, Route("expr", "(100 / c::int)::text"))
    nodes.provider.script("insert into t values (3, '100', 'x')")
    for db in nodes.databases.values():
        db.script("alter table t rename column a to c")
    nodes.replay()
    nodes.assert_routed("%(node)s = (100 / c::int)::text")


def test_rule__that_is_no_expression_over_one_row_is_refused(pair: Pair) -> None:
    pair.provider.script(f"{DDL}; create table other (id int)")
    for rule in (
        *("max(a)", "row_number() over ()::text", "unnest(array[a])", "1); drop table public.other; --"),
        *("1); create table public.made (); select (1", "a -- by a", "a)", "'a", "(a", "a /* never ends", ""),
    ):
        with pytest.raises(RegistrationError, match="the route of table"):
            publication.add_table(pair.provider, QUEUE, T, route=Route("expr", rule))
    there = pair.provider.run("select to_regclass('public.other') is null, to_regclass('public.made')")
    assert there == [(False, None)]


def test_rule__with_semicolons_in_its_texts(pair: Pair) -> None:
    pair.provider.script(DDL)
    for number, rule in enumerate(("a || ';--'", "a /* its own */ || $x$;)$x$", "(array['1', a])[2]", "E'\\';'"), 1):
        publication.add_table(pair.provider, QUEUE, T, route=Route("expr", rule))
        pair.provider.script(f"insert into t values ({number}, 'x', 'y')")
    assert pair.provider.run("select count(ev_extra3) from pgq.event_1 where ev_type like 'I%'")[0][0] >= 4


def test_rule__is_not_blamed_for_a_lock(pair: Pair) -> None:
    pair.provider.script(DDL)
    other = pair.connect_provider()
    other.script("begin; lock table t")
    with pytest.raises(LockNotGranted):
        publication.add_table(pair.provider, QUEUE, T, route=Route("expr", "a"), lock_timeout=0.2)


def test_new_rule__that_fails_for_a_row_changes_nothing(nodes: Nodes) -> None:
    nodes.table(DDL, "t", Route("column", "a"))
    nodes.provider.script("insert into t values (1, '1', '0')")
    with pytest.raises(
        RegistrationError, match=r'route of table "public.t" fails for a row that is there: .*division by zero'
    ):
        reroute(nodes, Route("expr", "1 / b::int"))
    nodes.provider.script("insert into t values (2, '2', '0')")
    nodes.replay()
    nodes.assert_routed(BY_A)


def test_rule__follows_a_renamed_column_and_says_when_it_is_gone(nodes: Nodes) -> None:
    ddl = 'create table t (id int primary key, a text, "b""c" text)'
    nodes.table(ddl, "t", Route("column", 'b"c'))
    nodes.provider.script("insert into t values (1, 'x', '1'), (2, 'x', '2')")
    nodes.replay()
    rename = 'alter table t rename "b""c" to "Pla""ce"; alter table t rename a to "b""c"'
    for db in nodes.databases.values():
        db.script(rename)
    nodes.provider.script(f"{rename}; insert into t values (3, '2', '1')")  # before anybody has noticed
    done = publication.refresh_table(nodes.provider, QUEUE, T)
    assert done[-1] == 'rows go by column Pla"ce now'
    assert publication.refresh_table(nodes.provider, QUEUE, T) == []
    nodes.provider.script('update t set "Pla""ce" = 2 where id = 1')
    nodes.replay()
    by_place = '"Pla""ce" = %(node)s'
    nodes.assert_routed(by_place)
    # Copies and `provider add` know the new name too.
    registration.resync(nodes.databases["1"], QUEUE, ["t"])
    nodes.replay()
    nodes.assert_routed(by_place)
    assert not publication.add_table(nodes.provider, QUEUE, T).new

    nodes.provider.script('alter table t drop "Pla""ce"')
    with pytest.raises(
        DatabaseError, match=r'the route of table "public.t" cannot be worked out: it has no column'
    ) as gone:
        nodes.provider.script("insert into t values (4, 'x')")
    assert gone.value.sqlstate == "42703"
    assert "provider add public.t --node-column" in (gone.value.hint or "")
    with pytest.raises(ObjectNotFound, match='has no column "Pla"ce"'):
        publication.refresh_table(nodes.provider, QUEUE, T)
