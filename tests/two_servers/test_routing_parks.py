"""`--node-errors park`: rows for which the route fails are captured as unrouted, listed, and routed when that works."""

from __future__ import annotations

import pytest

from londiste_lite import event_queue, publication, registration, unrouted
from londiste_lite.errors import RegistrationError, UsageError
from londiste_lite.names import QualifiedName
from londiste_lite.routing import given
from londiste_lite.triggers.capture_table import Route
from tests.fixtures.nodes import Nodes
from tests.fixtures.pair import QUEUE, Pair, succeed
from tests.fixtures.servers import ServerPool

T = QualifiedName("public", "t")
RULE = "(100 / a::int)::text"


@pytest.fixture
def nodes(pair: Pair, pool: ServerPool) -> Nodes:
    return Nodes(pair, pool, ["1", "2"])


def listed(nodes: Nodes) -> dict[str, str]:
    found = unrouted.find(nodes.provider, QUEUE)
    assert all(one.rows == len(one.listed) for one in found)
    return {row.key: row.error for one in found for row in one.listed}


def test_parks__rows_that_cannot_be_routed_are_listed_and_go_where_they_belong_later(nodes: Nodes) -> None:
    ddl = "create table t (id int, k text, a text, gone int, primary key (id, k)); alter table t drop column gone"
    nodes.provider.script(f"{ddl}; insert into t values (1, 'x', '100'), (2, 'x', '0'), (3, 'x', '50')")
    route = given(None, RULE, errors="park")
    succeed(registration.publish(nodes.provider, QUEUE, ["t"], key=None, route=route, lock_timeout=10))
    # What was there before is listed too, and no obstacle for the first copy.
    assert listed(nodes) == {"(2,x)": "division by zero"}
    for node in nodes.databases:
        nodes.subscribe(node, ddl, "t")
    nodes.replay()
    assert (nodes.keys("1"), nodes.keys("2")) == ([1], [3])

    # A row alone and among others; the writer goes on, also in the same transaction.
    nodes.provider.script(
        "insert into t values (4, 'it''s, \"q\"', 'word'), (5, 'x', '100'); insert into t values (6, 'x', '50');"
        "update t set a = '0' where id = 1; update t set a = null where id = 6"
    )
    assert sorted(listed(nodes)) == ["(1,x)", "(2,x)", '(4,"it\'s, ""q""")']
    assert listed(nodes)['(4,"it\'s, ""q""")'] == 'invalid input syntax for type integer: "word"'
    nodes.replay()
    assert (nodes.keys("1"), nodes.keys("2")) == ([5, 6], [3, 6])

    # The next change for which it works: with the key, among rows that still fail, and back.
    nodes.provider.script(
        "update t set a = '100', id = 11 where id = 1; update t set a = case id when 2 then '50' else a end || '';"
        "delete from t where id = 4; update t set a = '0' where id = 5; update t set a = '50' where id = 5"
    )
    assert listed(nodes) == {}
    nodes.replay()
    assert (nodes.keys("1"), nodes.keys("2")) == ([6, 11], [2, 3, 5, 6])
    assert nodes.databases["2"].run("select a from t where id = 2") == [("50",)]
    nodes.provider.script("insert into t values (7, 'x', '0'); truncate t; insert into t values (8, 'x', '0')")
    assert listed(nodes) == {"(8,x)": "division by zero"}
    nodes.replay()
    assert (nodes.keys("1"), nodes.keys("2")) == ([], [])

    # Not to fail any more needs rows for which it works, or another rule.
    with pytest.raises(RegistrationError, match="fails for a row that is there"):
        publication.add_table(nodes.provider, QUEUE, T, parks=False)
    assert publication.add_table(nodes.provider, QUEUE, T, route=Route("expr", "coalesce(a, '1')")).rerouted == 2
    assert listed(nodes) == {}
    publication.remove_table(nodes.provider, QUEUE, T)
    assert nodes.provider.run("select proname from pg_proc where proname like 'capture%route%'") == []


def test_parks__a_lookup_that_works_again(nodes: Nodes) -> None:
    nodes.provider.script("create table place (a text, node text); insert into place values ('x', '1'), ('x', '2')")
    ddl = "create table t (id int primary key, a text)"
    rule = "(select p.node from public.place p where p.a = t.a)"
    nodes.table(ddl, "t", Route("expr", rule, parks=True))
    nodes.replay()
    nodes.provider.script("insert into t values (1, 'x'), (2, 'y'), (3, 'x')")
    assert sorted(listed(nodes)) == ["(1)", "(3)"]
    nodes.replay()
    assert (nodes.keys("1"), nodes.keys("2")) == ([2], [2])
    assert publication.add_table(nodes.provider, QUEUE, T).settled == 0
    nodes.provider.script("delete from place where node = '1'; update t set a = 'x' where id = 3")
    assert sorted(listed(nodes)) == ["(1)"]
    assert publication.add_table(nodes.provider, QUEUE, T).settled == 2
    assert listed(nodes) == {}
    assert publication.add_table(nodes.provider, QUEUE, T).settled is None
    nodes.replay()
    assert (nodes.keys("1"), nodes.keys("2")) == ([2], [1, 2, 3])
    # Nothing works any more: the writer goes on.
    nodes.provider.script("drop table place; update t set a = 'z' where id = 2; delete from t where id = 1")
    assert list(listed(nodes)) == ["(2)"]


def test_parks__in_partitions_of_another_shape(nodes: Nodes) -> None:
    root = "create table t (id int, a text, primary key (id)) partition by range (id)"
    ddl = f"""{root}; create table p1 partition of t for values from (0) to (10);
              create table p2 (a text, gone int, id int not null); alter table p2 drop column gone;
              alter table t attach partition p2 for values from (10) to (20)"""
    nodes.table(ddl, "t", Route("expr", f"array[{RULE}]", parks=True))
    nodes.replay()
    nodes.provider.script(
        "insert into p2 (id, a) values (11, '100'), (12, '0'), (13, '0'); insert into t values (1, '0'), (14, '50');"
        "update p2 set a = '50' where id = 13; update t set a = '100' where id = 1; insert into t values (2, '0')"
    )
    assert sorted(listed(nodes)) == ["(12)", "(2)"]
    nodes.replay()
    assert (nodes.keys("1"), nodes.keys("2")) == ([1, 11], [13, 14])
    nodes.provider.script("truncate p2")
    assert sorted(listed(nodes)) == ["(2)"]
    nodes.replay()
    assert (nodes.keys("1"), nodes.keys("2")) == ([1], [])


def test_parks__subscribers_without_a_node_get_the_row_and_nobody_is_counted(nodes: Nodes, pair: Pair) -> None:
    nodes.table("create table t (id int primary key, a text)", "t", Route("expr", RULE, parks=True))
    pair.subscriber.script("create table t (id int primary key, a text)")
    pair.subscribe("t")
    pair.start()
    nodes.provider.script("insert into t values (1, '0'), (2, '100'); update t set a = '00' where id = 1")
    pair.wait()
    pair.assert_equal("t")
    found = pair_status(pair)
    assert [(one.table, one.rows) for one in found.unrouted] == [("public.t", 1)]
    assert [one.node for one in found.unknown_nodes] == ["1"]
    event_queue.make_tick(nodes.provider, QUEUE)


def test_parks__is_for_expressions(nodes: Nodes) -> None:
    for column, ended in (("node", False), (None, True)):
        with pytest.raises(UsageError, match="--node-errors goes with --node-expr"):
            given(column, None, ended, "park")
    nodes.provider.script("create table t (id int primary key, node text)")
    with pytest.raises(RegistrationError, match="has no route that could fail"):
        publication.add_table(nodes.provider, QUEUE, T, parks=True)


def pair_status(pair: Pair):  # type: ignore[no-untyped-def]
    from londiste_lite import progress

    return progress.status(pair.provider, pair.subscriber, QUEUE, pair.settings.consumer, None)
