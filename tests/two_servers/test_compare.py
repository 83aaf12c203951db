"""Compare: equal tables are equal whatever their shape, and every damaged row is found, while writers go on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from londiste_lite import event_queue, locks, meeting, pausing, publication
from londiste_lite.compare.checksums import Hashing
from londiste_lite.compare.moment import NotComparable, Sides
from londiste_lite.compare.run import Comparing, Comparison, Failed, choose_hashing, compare
from londiste_lite.names import QualifiedName
from londiste_lite.progress_report import Silent
from londiste_lite.stop_flag import StopFlag
from londiste_lite.triggers.capture_table import Route
from tests.fixtures.compared import DAMAGE, HOSTILE, SHAPES, fill, moves
from tests.fixtures.pair import CONSUMER, DEBIAN, DOWN, QUEUE, Pair, in_background

ENTRY = "create table entry (id int primary key, item text, price numeric(8,2))"


def compared(pair: Pair, *tables: str, query: str = "", **settings: object) -> dict[str, Comparison]:
    """The results of a comparison by table; a table that could not be compared raises its error."""
    found = {}
    chosen = replace(pair.settings, **settings)  # type: ignore[arg-type]
    for each in compare(chosen, tables, query, StopFlag(), Silent()):
        if isinstance(each, Failed):
            raise each.error
        found[str(each.table)] = each
    return found


def one(pair: Pair, table: str = "entry", **options: object) -> Comparison:
    return compared(pair, table, **options)[f"public.{table}"]  # type: ignore[arg-type]


def counts(found: Comparison) -> tuple[int | None, int | None, int | None]:
    return found.missing, found.extra, found.changed


@pytest.mark.parametrize("versions", [DOWN, DEBIAN], ids=["18to16", "15to18"])
def test_compare__finds_exactly_the_damaged_rows(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.provider.script("insert into entry select n, 'item ' || n, n / 7.0 from generate_series(1, 5000) n")
    pair.start()
    pair.wait()
    equal = one(pair)
    assert (equal.source_rows, equal.target_rows, counts(equal), equal.equal) == (5000, 5000, (0, 0, 0), True)
    pair.subscriber.script(
        "delete from entry where id in (7, 4999); insert into entry values (0, 'mine', 1), (6000, null, null);"
        "update entry set price = price + 0.01 where id = 17; update entry set item = null where id = 18"
    )
    found = one(pair)
    assert not found.equal
    assert (found.source_rows, found.target_rows) == (5000, 5000)
    assert sorted((d.kind, d.key) for d in found.differences) == [
        ("changed", ("17",)),
        ("changed", ("18",)),
        ("extra", ("0",)),
        ("extra", ("6000",)),
        ("missing", ("4999",)),
        ("missing", ("7",)),
    ]
    assert counts(found) == (2, 2, 2)


def test_compare__tables_of_every_shape(pair: Pair) -> None:
    fill(pair)
    pair.start()
    pair.wait()
    found = compared(pair)
    assert {name: f.equal for name, f in found.items()} == dict.fromkeys(found, True)
    assert len(found) == len(SHAPES)
    assert found["public.empty"].source_rows == 0
    assert found["public.parted"].target_rows == 300
    pair.subscriber.script(DAMAGE)
    found = compared(pair)
    differences = {name.partition(".")[2]: [(d.kind, d.key) for d in f.differences] for name, f in found.items()}
    assert {name: sorted(rows) for name, rows in differences.items()} == {
        "empty": [("extra", ("1",))],
        "plain": [("changed", ("3",)), ("changed", ("5",))],
        "order": [("changed", ("9",))],
        "types": [("changed", ("1",)), ("changed", ("4",))],
        "generated": [],
        "composite": [("missing", ("k77", "7", "2020-01-01"))],
        "numbers": [("changed", ("7.50",))],
        "words": [("extra", ("WORT5",)), ("missing", ("Wort5",))],
        "parted": [("missing", ("42",))],
        HOSTILE: [("changed", ("8", "8"))],
        "keys only": [("extra", ("3", "4")), ("missing", ("3", "3"))],
    }


def test_compare__no_false_difference_at_thefirst_look_while_writers_work(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.provider.script("insert into entry select n, 'item', 0 from generate_series(0, 999) n")
    pair.start()
    pair.wait()
    stop = StopFlag()
    with in_background(moves(pair, 1), moves(pair, 2)), Sides(pair.settings, stop) as sides:
        comparing = Comparing(sides, stop, Silent())
        for _ in range(10):
            rows, same, found = comparing.first_look(QualifiedName("public", "entry"))
            assert (rows, found) == (same, [])
        pair.subscriber.script("insert into entry values (-1, 'mine', 0)")
        found = comparing.table(QualifiedName("public", "entry"))
        assert [(d.kind, d.key) for d in found.differences] == [("extra", ("-1",))]


def test_compare__routed_table_has_this_nodes_rows(pair: Pair) -> None:
    ddl = "create table entry (id int primary key, item text, node text)"
    pair.both(ddl)
    publication.add_table(pair.provider, QUEUE, QualifiedName("public", "entry"), route=Route("column", "node"))
    pair.subscribe("entry")
    pair.provider.script("insert into entry select n, 'x', nullif(n % 3, 0)::text from generate_series(1, 90) n")
    pair.start(node="1")
    pair.wait()
    found = one(pair)
    assert (found.source_rows, found.target_rows, found.equal) == (60, 60, True)
    pair.subscriber.script(
        "insert into entry values (2, 'x', '2'), (900, 'x', '1'); update entry set node = '2' where id = 1"
    )
    found = one(pair)
    assert (counts(found), found.misplaced) == ((0, 2, 1), 1)


def test_compare__without_a_replay_at_work(pair: Pair) -> None:
    pair.setup_table(ENTRY + "; create table other (id int primary key)", "entry", "other")
    with pytest.raises(NotComparable, match="not in sync"):
        one(pair)
    pair.provider.script("insert into entry values (1, 'a', 1)")
    pair.start()
    pair.wait()
    pair.stop()
    assert one(pair).equal
    pair.provider.script("update entry set price = 2")
    with pytest.raises(NotComparable, match="not applied yet, and no replay is at work"):
        one(pair)
    assert one(pair, "other").equal
    pausing.pause(pair.subscriber, CONSUMER)
    pair.start()
    with pytest.raises(NotComparable, match="not applied yet"):
        one(pair)
    pausing.resume(pair.subscriber, CONSUMER)
    pair.wait()
    assert one(pair).equal


def test_compare__query_of_the_users_own(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.provider.script("insert into entry values (1, 'a', 1), (2, 'b', 2)")
    pair.start()
    pair.wait()
    query = "select count(1), sum(price) from only _TABLE_ where item like 'a%'"
    found = one(pair, query=query)
    assert (found.equal, found.source, found.target) == (True, "1, 1.00", "1, 1.00")
    pair.subscriber.script("update entry set price = 5")
    found = one(pair, query=query)
    assert (found.equal, found.source, found.target) == (False, "1, 1.00", "1, 5.00")


def test_meeting__that_nobody_ends_does_not_hold_the_replay(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.start()
    pair.wait()
    caller = pair.connect_subscriber()
    # A caller without its lock is a dead one: what it left in the table holds nobody.
    meeting.call(caller, CONSUMER, (pair.position() or 0) + 1)
    pair.provider.script("insert into entry values (1, 'a', 1)")
    pair.wait()
    assert locks.try_meeting(caller, CONSUMER)
    goal = event_queue.make_tick(pair.provider, QUEUE).id + 1
    meeting.call(caller, CONSUMER, goal)
    assert event_queue.make_tick(pair.provider, QUEUE).id >= goal
    pair.until(lambda: pair.position() == goal, "the tick of the meeting")
    pair.provider.script("insert into entry values (2, 'b', 1); select londiste.tick('londiste.test')")
    assert pair.position() == goal
    caller.close()
    pair.wait()
    pair.assert_equal("entry")


def test_hash__is_the_same_in_both_ways_of_the_checksums(pair: Pair) -> None:
    hashing = choose_hashing(pair.provider, pair.subscriber)
    assert not hashing.portable
    portable = Hashing(portable=True)
    assert pair.provider.run(f"select {portable.of(chr(39) + 'a' + chr(39))}")[0][0] == 919145239626757800
