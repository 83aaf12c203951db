"""`trace`: what is known of one row, and the verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from londiste_lite import event_queue, trace
from londiste_lite.errors import ObjectNotFound, RegistrationError, ReplayError
from londiste_lite.names import QualifiedName
from londiste_lite.trace import Trace
from londiste_lite.triggers.capture_table import Route
from tests.fixtures.nodes import Nodes
from tests.fixtures.pair import QUEUE, Pair
from tests.fixtures.servers import ServerPool


def traced(nodes: Nodes, node: str, *key: str) -> Trace:
    name = QualifiedName("public", "t")
    settings = nodes.settings[node]
    return trace.trace(nodes.provider, nodes.databases[node], QUEUE, settings.consumer, node, name, key)


def fates(found: Trace) -> list[tuple[str, str | None, str]]:
    return [(change.operation, change.node, change.fate) for change in found.changes]


def test_trace__of_rows_that_come_move_and_go(pair: Pair, pool: ServerPool) -> None:
    nodes = Nodes(pair, pool, ["1", "it's 2"])
    ddl = "create table t (a int, b text, node text, primary key (a, b))"
    nodes.table(ddl, "t", Route("column", "node"))
    first = 'x, "y\\" (z)'
    nodes.provider.run("insert into t values (1, %s, '1'), (2, 'two', '1')", [first])
    assert traced(nodes, "1", "1", first).verdict.startswith("the table is being copied")
    nodes.replay()
    found = traced(nodes, "1", "01", first)
    assert found.key == {"a": "1", "b": first}
    assert (found.here, found.targets, found.rule, found.state) == (True, ["1"], "node", "ok")
    assert found.verdict == "the row belongs here, and is here"

    nodes.provider.run("update t set node = %s where a = 1", ["it's 2"])
    assert fates(traced(nodes, "1", "1", first))[-2:] == [("delete", "1", "pending"), ("insert", "it's 2", "filtered")]
    assert traced(nodes, "1", "1", first).verdict == "changes of this row wait to be applied"
    nodes.replay()
    found = traced(nodes, "1", "1", first)
    assert fates(found)[-2:] == [("delete", "1", "applied"), ("insert", "it's 2", "filtered")]
    assert found.verdict == 'the row is for "it\'s 2", not for this one'
    last = found.changes[-1]
    assert last.tick is not None
    assert found.applied_tick is not None
    assert last.tick <= found.applied_tick
    assert fates(traced(nodes, "it's 2", "1", first))[-2:] == [
        ("delete", "1", "filtered"),
        ("insert", "it's 2", "applied"),
    ]

    nodes.databases["1"].script("delete from t where a = 2")
    assert traced(nodes, "1", "2", "two").verdict.startswith("the row belongs here and is missing")
    nodes.provider.script("delete from t")
    nodes.replay()
    assert traced(nodes, "1", "2", "two").verdict == "the provider has no such row"
    event_queue.unregister(nodes.provider, QUEUE, nodes.settings["1"].consumer)

    with pytest.raises(RegistrationError, match=r"is \(a, b\), 1 values are given"):
        traced(nodes, "1", "2")
    with pytest.raises(RegistrationError, match="no key of table"):
        traced(nodes, "1", "two", "two")
    with pytest.raises(ObjectNotFound, match="not published"):
        trace.trace(nodes.provider, nodes.databases["1"], QUEUE, "c", None, QualifiedName("public", "u"), ["1"])


def test_trace__of_rows_that_wait_aside_of_a_held_table_of_a_failing_route_and_of_a_parked_node(
    pair: Pair, pool: ServerPool
) -> None:
    nodes = Nodes(pair, pool, ["1"])
    nodes.settings["1"] = replace(nodes.settings["1"], on_error="park")
    nodes.table("create table t (id int primary key, a text)", "t", Route("expr", "(1 / a::int)::text", parks=True))
    nodes.databases["1"].script("alter table t add constraint small check (id < 100)")
    nodes.replay()
    nodes.provider.script("insert into t values (1, '1'), (2, '0'), (3, '2'), (101, '1'), (4, null)")
    nodes.provider.script("update t set a = '01' where id = 101")
    nodes.replay()
    assert nodes.keys("1") == [1, 4]

    applied = traced(nodes, "1", "1")
    assert (fates(applied), applied.verdict) == ([("insert", "1", "applied")], "the row belongs here, and is here")
    assert fates(traced(nodes, "1", "4")) == [("insert", None, "applied")]
    failing = traced(nodes, "1", "2")
    assert [change.fate for change in failing.changes] == ["unrouted"]
    assert failing.rule_error == "division by zero"
    assert failing.verdict == "the route cannot be worked out for this row, so it goes to no node: division by zero"
    filtered = traced(nodes, "1", "3")
    assert (fates(filtered), filtered.verdict) == (
        [("insert", "0", "filtered")],
        'the row is for "0", not for this one',
    )
    aside = traced(nodes, "1", "101")
    assert fates(aside) == [("insert", "1", "parked"), ("update", "1", "parked")]
    assert not aside.here
    assert "small" in (aside.refused or "")
    assert aside.verdict.startswith("changes of this row wait aside, see `parked list`: ")

    nodes.provider.script("alter table t add b int; insert into t values (5, '1', 7)")
    with pytest.raises(ReplayError, match="is held"):
        nodes.replay()
    held = traced(nodes, "1", "5")
    assert fates(held) == [("insert", "1", "held")]
    assert held.verdict.startswith("the table is held: ")
    assert fates(traced(nodes, "1", "1")) == [("insert", "1", "applied")]
    nodes.databases["1"].script("alter table t add b int")
    nodes.replay()
    assert fates(traced(nodes, "1", "5")) == [("insert", "1", "applied")]

    nodes.provider.script("update londiste.provider_subscriber set parked = now(), parked_reason = 'too far behind'")
    assert traced(nodes, "1", "5").verdict.startswith("this subscriber is parked (too far behind)")
