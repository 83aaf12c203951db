"""Routing: each node holds exactly the rows that its name is in, through copies, changes, moves and truncates."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from londiste_lite import claims, registration
from londiste_lite.routing import GivenRoute
from londiste_lite.subscription import AddOptions
from londiste_lite.triggers.capture_table import Route
from tests.fixtures.nodes import Nodes, random_history
from tests.fixtures.pair import QUEUE, Pair, succeed
from tests.fixtures.servers import ServerPool

HOSTILE = 'it\'s "7"; drop table t; --'


@pytest.fixture
def nodes(pair: Pair, pool: ServerPool) -> Nodes:
    return Nodes(pair, pool, ["1", "2", HOSTILE])


DDL = "create table t (id int primary key, item text, node text)"
BY_COLUMN = "node is null or node = %(node)s"


def test_route__copy_and_changes_reach_only_the_nodes_they_name(nodes: Nodes) -> None:
    nodes.provider.script(DDL)
    nodes.provider.run("insert into t values (1, 'a', '1'), (2, 'b', '2'), (3, 'all', null), (4, 'x', %s)", [HOSTILE])
    nodes.provider.script("alter table t rename to made; drop table if exists t")
    nodes.table(DDL, "t", Route("column", "node"))
    nodes.provider.script("insert into t select * from made")
    nodes.replay()
    nodes.assert_routed(BY_COLUMN)
    assert (nodes.keys("1"), nodes.keys("2"), nodes.keys(HOSTILE)) == ([1, 3], [2, 3], [3, 4])
    nodes.provider.script(
        "update t set item = item || '!' ; delete from t where id = 2; insert into t values (5, 'n', '2')"
    )
    nodes.replay()
    nodes.assert_routed(BY_COLUMN)


def test_route__first_copy_takes_the_nodes_rows(nodes: Nodes) -> None:
    nodes.provider.script(DDL)
    nodes.provider.script("insert into t select i, 'row ' || i, nullif(i % 3, 0)::text from generate_series(1, 300) i")
    succeed(
        registration.publish(
            nodes.provider, QUEUE, ["t"], key=None, route=GivenRoute(Route("column", "node")), lock_timeout=10
        )
    )
    for db in nodes.databases.values():
        db.script(DDL)
        db.script("insert into t values (999, 'was here before', '1')")
        succeed(registration.subscribe(nodes.provider, db, QUEUE, ["t"], AddOptions()))
    nodes.replay()
    nodes.assert_routed(BY_COLUMN)
    assert len(nodes.keys("1")) == 200


def test_route__a_move_is_one_unit_whatever_else_changes(nodes: Nodes) -> None:
    nodes.table(DDL, "t", Route("column", "node"))
    nodes.provider.script("insert into t values (1, 'a', '1'), (2, 'b', '2'), (3, 'c', '1'), (4, 'd', '1')")
    nodes.replay()
    nodes.provider.script(
        "update t set node = '2' where id = 1;"  # moves
        "update t set node = '1', id = 20, item = 'moved' where id = 2;"  # moves with its key
        "update t set node = '2' where id = 3; update t set node = '1' where id = 3;"  # there and back
        "update t set node = null where id = 4"  # to all
    )
    nodes.replay()
    nodes.assert_routed(BY_COLUMN)
    assert (nodes.keys("1"), nodes.keys("2"), nodes.keys(HOSTILE)) == ([3, 4, 20], [1, 4], [4])


def test_route__lists_of_nodes(nodes: Nodes) -> None:
    nodes.table("create table t (id int primary key, nodes int[])", "t", Route("expr", "nodes"))
    nodes.provider.script("insert into t values (1, '{1,2,3}'), (2, '{2}'), (3, null), (4, '{}'), (5, '{1,1}')")
    nodes.replay()
    condition = "nodes is null or %(node)s = any (nodes::text[])"
    nodes.assert_routed(condition)
    nodes.provider.script("update t set nodes = '{2,4}' where id = 1; update t set nodes = '{1}' where id in (2, 3, 4)")
    nodes.replay()
    nodes.assert_routed(condition)


@pytest.mark.parametrize("apply", ["bulk", "ordered"])
def test_route__lists_for_a_subscriber_without_a_node(nodes: Nodes, pair: Pair, apply: str) -> None:
    """It has every row, those that are for no node too, and finds each as it expects it."""
    ddl = "create table t (id int primary key, nodes text[], v int)"
    nodes.table(ddl, "t", Route("column", "nodes"))
    pair.subscriber.script(ddl)
    pair.subscribe("t")
    nodes.provider.script("insert into t values (1, '{1}', 0), (2, '{}', 0), (3, null, 0), (4, '{1,2}', 0)")
    pair.start(apply=apply)
    pair.wait()
    lists = ["{}", "{1}", "{1,2}", "{2,1}", "{3,1}", "{1,NULL}", None, "{1,1}"]
    for step, before in enumerate(lists):
        for after in lists:
            nodes.provider.run("update t set nodes = %s::text[] returning 1", [before])
            if step % 2:
                pair.wait()
            nodes.provider.run("update t set nodes = %s::text[], v = v + 1 returning 1", [after])
    nodes.provider.script("update t set nodes = '{}'; delete from t where id = 1; insert into t values (5, '{}', 5)")
    pair.wait()
    pair.assert_equal("t")
    nodes.replay()
    nodes.assert_routed("nodes is null or %(node)s = any (nodes)")
    if apply == "bulk":
        assert pair.conflicts("t") == 0
    assert [node.node for node in claims.unknown_nodes(pair.provider, QUEUE)] == ["3"]


def test_route__expression_that_looks_elsewhere(nodes: Nodes) -> None:
    nodes.provider.script(
        "create table region (code text primary key, node text); insert into region values ('n', '1'), ('s', '2')"
    )
    route = Route("expr", "(select r.node from public.region r where r.code = region_code)")
    nodes.table("create table t (id int primary key, region_code text)", "t", route)
    nodes.provider.script("insert into t values (1, 'n'), (2, 's'), (3, 'unknown')")
    nodes.replay()
    assert (nodes.keys("1"), nodes.keys("2")) == ([1, 3], [2, 3])


@pytest.mark.parametrize("parks", [False, True])
def test_route__lookup_that_names_the_table_in_a_copy_of_partitions_in_ranges(nodes: Nodes, parks: bool) -> None:
    ddl = """create table t (id int primary key, a text) partition by range (id);
             create table p1 partition of t for values from (0) to (1000);
             create table p2 partition of t for values from (1000) to (9000)"""
    nodes.provider.script(
        f"create table place (a text primary key, node text); insert into place values ('x', '1'), ('y', '2'); {ddl};"
        "insert into t select i, case i % 2 when 0 then 'x' else 'y' end from generate_series(1, 4000) i; analyze t"
    )
    route = GivenRoute(Route("expr", "(select p.node from public.place p where p.a = t.a)", parks))
    succeed(registration.publish(nodes.provider, QUEUE, ["t"], key=None, route=route, lock_timeout=10))
    nodes.subscribe("1", ddl, "t")
    nodes.settings["1"] = replace(nodes.settings["1"], copy_whole_bytes=32768, copy_range_bytes=32768)
    nodes.replay("1")
    assert nodes.keys("1") == list(range(2, 4001, 2))


def test_route__truncate_empties_every_node(nodes: Nodes) -> None:
    nodes.table(DDL, "t", Route("column", "node"))
    nodes.provider.script("insert into t values (1, 'a', '1'), (2, 'b', '2'), (3, 'c', null)")
    nodes.replay()
    nodes.provider.script("truncate t; insert into t values (4, 'd', '2')")
    nodes.replay()
    nodes.assert_routed(BY_COLUMN)


def test_route__node_that_is_away_misses_nothing_and_delays_nobody(nodes: Nodes) -> None:
    nodes.table(DDL, "t", Route("column", "node"))
    nodes.replay()
    for round_number in range(5):
        nodes.provider.script(
            f"insert into t select i, 'x', '2' from generate_series({round_number}0, {round_number}9) i"
        )
        nodes.replay("1")
    nodes.provider.script("update t set node = '1' where id % 2 = 0")
    nodes.replay("1")
    assert len(nodes.keys("1")) == 25
    assert nodes.keys("2") == []
    nodes.replay()
    nodes.assert_routed(BY_COLUMN)


@pytest.mark.parametrize("together", [False, True])
def test_route__random_history_with_killed_replays_ends_with_every_row_where_it_belongs(
    nodes: Nodes, together: bool
) -> None:
    nodes.table(DDL, "t", Route("column", "node"))
    del nodes.databases[HOSTILE], nodes.settings[HOSTILE]
    random_history(nodes, random.Random(7), changes=600, kills=4, together=together)
    nodes.assert_routed(BY_COLUMN)
