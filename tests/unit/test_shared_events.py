"""Events that are read once for all nodes: who gets which, and how many are kept."""

from __future__ import annotations

from londiste_lite.nodes import shared_events
from londiste_lite.nodes.shared_events import SharedEvents

MANY = 1000


def row(number: int, node: str | None, text: str = "(1)", kind: str = "I{id}") -> tuple[object, ...]:
    return (number, "public.t", kind, None, text, node)


def numbers(found: list[tuple[object, ...]] | None) -> list[object] | None:
    return None if found is None else sorted(each[0] for each in found)  # type: ignore[type-var]


def test_between__gives_a_node_its_own_and_those_for_all() -> None:
    events = SharedEvents()
    events.add(10, 12, [row(1, "a"), row(2, "b"), row(3, None)])
    events.add(12, 13, [])
    events.add(13, 15, [row(4, "a")])
    assert numbers(events.between(10, 15, "a", MANY)) == [1, 3, 4]
    assert numbers(events.between(10, 15, "c", MANY)) == [3]
    assert numbers(events.between(10, 15, None, MANY)) == [1, 2, 3, 4]
    assert numbers(events.between(12, 13, "a", MANY)) == []
    assert numbers(events.between(15, 15, "a", MANY)) == []
    assert events.between(10, 15, None, 3) is None


def test_between__knows_what_it_does_not_have() -> None:
    events = SharedEvents()
    events.add(10, 12, [row(1, "a")])
    events.add(13, 14, [row(2, "a")])
    assert events.between(10, 14, "a", MANY) is None  # a gap
    assert events.between(11, 12, "a", MANY) is None  # begins inside
    assert events.between(10, 11, "a", MANY) is None  # ends inside
    assert events.between(9, 10, "a", MANY) is None
    events.add(12, 13, [row(3, "a", kind="EXECUTE")])
    assert events.between(10, 14, "a", MANY) is None  # a script
    events.clear()
    assert events.between(10, 12, "a", MANY) is None


def test_kept__is_bounded_by_rows_and_by_ticks_without_any() -> None:
    events = SharedEvents()
    long = "x" * 1_000_000
    for number in range(100):
        events.add(number, number + 1, [row(number, "a", long)])
    assert events.between(0, 1, "a", MANY) is None
    assert numbers(events.between(99, 100, "a", MANY)) == [99]
    most = shared_events.MOST_BYTES_KEPT // 500
    for number in range(100, most):
        events.add(number, number + 1, [])
    assert events.between(99, 100, "a", MANY) is None
    assert events.between(most - 1, most, "a", MANY) == []
