"""Small tables are copied together; whatever is out of the ordinary has a copy of its own and holds nobody up."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from londiste_lite import copies, event_queue, parked, registration, service, subscribed
from londiste_lite.copies import Request
from londiste_lite.db import Database
from londiste_lite.errors import RegistrationChanged
from londiste_lite.names import QualifiedName
from londiste_lite.replay.loop import Session
from londiste_lite.routing import Route
from londiste_lite.stop_flag import StopFlag
from londiste_lite.subscribed import Subscribed
from londiste_lite.table_state import TableState
from londiste_lite.tablecopy import coordinator, together, worker
from londiste_lite.tablecopy.connections import Connections
from londiste_lite.tablecopy.together import LoadTogether
from londiste_lite.tablecopy.worker import CopyWorker
from tests.fixtures.nodes import Nodes
from tests.fixtures.pair import QUEUE, Pair, every_version, in_background, succeed
from tests.fixtures.servers import ServerPool
from tests.two_servers.test_copy import FAMILY, fkeys, writer

NAMES = ("one", "two", "three", "four", "five", "six")


def small(pair: Pair, *names: str, **options: object) -> None:
    """Small tables with 50 rows each on the provider."""
    ddl = "; ".join(f"create table {name} (id int primary key, item text, price int)" for name in names)
    pair.setup_table(ddl, *names, **options)
    for name in names:
        pair.provider.script(f"insert into {name} select n, '{name}', 0 from generate_series(1, 50) n")


def went_together(pair: Pair) -> dict[str, int]:
    """The tables that came along with others, as the replay said, and how many these were with it."""
    assert pair.replay is not None
    found = re.findall(r"copied public\.(\w+): \d+ rows, one of (\d+) tables copied", pair.replay.output())
    return {name: int(all_of_them) for name, all_of_them in found}


@every_version
def test_together__two_groups_while_writers_work(pair: Pair) -> None:
    small(pair, *NAMES)
    with in_background(*(writer(pair, n + 1, name) for n, name in enumerate(NAMES[:4]))):
        pair.start(parallel_copies=2)
        pair.until(lambda: pair.states() == ["ok"] * 6, "the copies")
    pair.wait()
    assert went_together(pair) == dict.fromkeys(NAMES, 3)
    pair.assert_equal(*NAMES)
    assert [pair.conflicts(name) for name in NAMES] == [0] * 6
    analyzed = "select count(*) from pg_catalog.pg_class where relname = any (%s) and reltuples > 0"
    assert pair.subscriber.run(analyzed, [list(NAMES)]) == [(6,)]
    copy_consumer = pair.settings.copy_consumer
    pair.until(lambda: event_queue.position(pair.provider, QUEUE, copy_consumer) is None, "the queue's release")


def test_together__as_a_role_that_may_not_switch_off_foreign_keys(pair: Pair) -> None:
    pair.setup_table(FAMILY, "child", "parent")
    pair.subscribe_as("plain")
    before = fkeys(pair)
    pair.provider.script("insert into parent select n, 'x' from generate_series(1, 20) n")
    pair.provider.script("insert into child select n, n from generate_series(1, 20) n")
    pair.start(parallel_copies=1)
    pair.wait()
    assert went_together(pair) == {"child": 2, "parent": 2}
    pair.assert_equal("parent", "child")
    pair.until(lambda: fkeys(pair) == before, "foreign keys are back")


@pytest.mark.parametrize("what", ["large", "filled", "locked", "locked here", "lacks", "refused", "gone", "unindexed"])
def test_together__one_that_needs_its_own_way_does_not_hold_up_the_others(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    small(pair, *NAMES)
    other = pair.connect_subscriber() if what == "locked here" else pair.connect_provider()
    if what == "large":
        monkeypatch.setattr(together, "SMALL_BYTES", 100_000)
        pair.provider.script("insert into two select n, repeat('x', 1000), 0 from generate_series(51, 300) n")
    elif what == "filled":
        pair.subscriber.script("insert into two values (1, 'mine', 7), (99, 'mine', 7)")
    elif what.startswith("locked"):
        other.script("begin; lock table two in access exclusive mode")
    elif what == "lacks":
        pair.subscriber.script("alter table two drop column price")
    elif what == "refused":
        pair.subscriber.script("alter table two add constraint few check (id < 50)")
    elif what == "gone":
        pair.subscriber.script("alter table two rename to other")
    elif what == "unindexed":
        # What a copy that was killed leaves: an index that waits to be made again.
        pair.subscriber.run(
            "insert into londiste.subscriber_pending_indexes (table_name, index_name, index_def) values (%s, %s, %s)",
            ["public.two", "two_price", "create index two_price on public.two (price)"],
        )
    others = [name for name in NAMES if name != "two"]
    # Three are tried together, and without a lock or a row that is refused the other two of them go on at once.
    pair.start(parallel_copies=2)
    pair.until(lambda: all(pair.table(name).state is TableState.OK for name in others), "the others' copies")
    pair.assert_equal(*others)
    assert "two" not in went_together(pair)
    assert set(went_together(pair)) >= {"four", "five", "six"}
    if what in ("large", "filled", "lacks", "gone", "unindexed"):
        assert went_together(pair)["one"] == went_together(pair)["three"] == 2
    assert pair.replay is not None
    wrong = {"lacks": "lacks columns", "refused": 'violates check constraint "few"', "gone": "does not exist"}
    if what in wrong:
        pair.logged("the copy of public.two failed")
        pair.until(lambda: wrong[what] in (pair.table("two").error or ""), "the stored error")
        mend = {"lacks": "add column price int", "refused": "drop constraint few", "gone": "rename to two"}
        pair.subscriber.script(f"alter table {'other' if what == 'gone' else 'two'} {mend[what]}")
    if what.startswith("locked"):
        time.sleep(0.3)
        assert pair.table("two").state is TableState.IN_COPY
        other.script("rollback")
    pair.wait()
    pair.assert_equal(*NAMES)
    if what == "unindexed":
        assert pair.subscriber.run("select to_regclass('public.two_price') is not null") == [(True,)]


def test_together__one_that_is_refused_is_not_tried_with_others_again(pair: Pair) -> None:
    """With one slot, where the same tables would be the next group."""
    small(pair, *NAMES)
    pair.subscriber.script("alter table two add constraint few check (id < 50)")
    pair.start(parallel_copies=1)
    others = [name for name in NAMES if name != "two"]
    pair.until(lambda: all(pair.table(name).state is TableState.OK for name in others), "the others' copies")
    assert went_together(pair) == {}


def test_together__no_more_than_are_worth_it(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator, "MOST_TABLES", 2)
    small(pair, *NAMES)
    pair.start(parallel_copies=1)
    pair.wait()
    assert went_together(pair) == dict.fromkeys(NAMES, 2)


def test_together__rows_that_are_to_be_kept_stay(pair: Pair) -> None:
    small(pair, *NAMES, skip_truncate=True)
    pair.subscriber.script("insert into two values (99, 'mine', 7)")
    pair.start(parallel_copies=1)
    pair.wait()
    assert went_together(pair) == dict.fromkeys(NAMES, 6)
    pair.assert_equal(*(name for name in NAMES if name != "two"))
    assert pair.rows("two")[1] == sorted([*pair.rows("two")[0], "(99,mine,7)"])


def test_together__each_table_by_its_route(pair: Pair, pool: ServerPool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    pair.settings = replace(pair.settings, parallel_copies=1)
    nodes = Nodes(pair, pool, ["1", "2"])
    for name in ("one", "two"):
        nodes.table(f"create table {name} (id int primary key, node text)", name, Route("column", "node"))
        nodes.provider.script(f"insert into {name} select n, n % 3 from generate_series(1, 30) n")
    nodes.replay()
    assert caplog.text.count("one of 2 tables") == 4
    for name in ("one", "two"):
        for node in ("1", "2"):
            found = nodes.databases[node].run(f"select array_agg(id order by id) from {name}")
            assert found == [([n for n in range(1, 31) if n % 3 == int(node)],)], (name, node)


@pytest.mark.parametrize("point", ["copy-started", "copy-loaded", "copy-committed", "join-applied", "join-committed"])
def test_together__killed(pair: Pair, point: str) -> None:
    small(pair, *NAMES)
    process = pair.start_process(crash_at=point, parallel_copies=1)
    process.died()
    if point == "copy-loaded":
        assert [pair.rows(name)[1] for name in NAMES] == [[]] * 6
    if point == "copy-committed":
        assert went_together(pair) == {}  # that is said after it
        assert [len(pair.rows(name)[1]) for name in NAMES] == [50] * 6
    for name in NAMES:
        pair.provider.script(f"update {name} set price = 1 where id < 10; delete from {name} where id = 20")
    pair.start_process()
    pair.wait()
    pair.assert_equal(*NAMES)
    assert [pair.conflicts(name) for name in NAMES] == [0] * 6


def in_copy(pair: Pair) -> list[Subscribed]:
    """All tables, as a replay that begins their copies puts them."""
    event_queue.register(pair.provider, QUEUE, pair.settings.copy_consumer)
    subscribed.set_states(pair.subscriber, QUEUE, subscribed.tables(pair.subscriber, QUEUE), TableState.IN_COPY)
    return subscribed.tables(pair.subscriber, QUEUE)


def test_together__nothing_is_loaded_when_one_registration_changed(pair: Pair) -> None:
    small(pair, *NAMES)
    wanted = in_copy(pair)
    pair.resync("five")
    connections = Connections(pair.settings)
    with connections.lent() as sides:
        queue = event_queue.find_queue(sides.provider, QUEUE)
        with pytest.raises(RegistrationChanged):
            LoadTogether(pair.settings, wanted, queue, sides).run()
    connections.release()
    assert [pair.rows(name)[1] for name in NAMES] == [[]] * 6
    assert pair.states() == ["in-copy"] * 4 + ["-", "in-copy"]


def test_together__catching_up_by_one_window(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far behind after the load, and with an event that waits aside: later ones of its key wait behind it."""
    monkeypatch.setattr(worker, "SMALL_GAP", -1)
    small(pair, "one", "two")
    pair.subscriber.script("alter table two add check (price >= 0)")
    pair.settings = replace(pair.settings, on_error="park", max_batch_rows=1)
    wanted = in_copy(pair)
    connections = Connections(pair.settings)
    with connections.lent() as sides:
        queue = event_queue.find_queue(sides.provider, QUEUE)
        loaded = LoadTogether(pair.settings, wanted, queue, sides).run()
    assert [one.state for one in loaded] == [TableState.CATCHING_UP] * 2
    event_queue.make_tick(pair.provider, QUEUE)
    for price in (-1, 5):
        pair.provider.script(
            f"update one set price = {price} where id = 1; update two set price = {price} where id = 1"
        )
        event_queue.make_tick(pair.provider, QUEUE)
    late = CopyWorker(pair.settings, loaded, None, connections, StopFlag(), lambda: None)
    late.start()
    late.join(30)
    connections.release()
    assert (late.error, late.apart) == (None, set())
    assert [e.sqlstate for e in parked.events(pair.subscriber, QUEUE)] == ["23514", None]
    pair.assert_equal("one")
    assert "(1,two,0)" in pair.rows("two")[1]
    snapshots = {str(one.snapshot) for one in subscribed.tables(pair.subscriber, QUEUE)}
    assert len(snapshots) == 1
    assert snapshots != {str(loaded[0].snapshot)}


def test_together__the_others_join_when_one_cannot(pair: Pair) -> None:
    pair.detours = True
    small(pair, *NAMES)
    wanted = in_copy(pair)
    connections = Connections(pair.settings)
    with connections.lent() as sides:
        queue = event_queue.find_queue(sides.provider, QUEUE)
        LoadTogether(pair.settings, wanted, queue, sides).run()
    connections.release()
    pair.subscriber.script("alter table two add check (price >= 0)")
    for name in NAMES:
        pair.provider.script(f"update {name} set price = -1 where id = 1")
    event_queue.make_tick(pair.provider, QUEUE)  # where the replay begins, so that the tables join with these changes
    pair.start()
    others = [name for name in NAMES if name != "two"]
    pair.until(lambda: all(pair.table(name).state is TableState.OK for name in others), "the others' joins")
    pair.until(lambda: pair.table("two").held, "the held table")
    pair.assert_equal(*others)
    pair.subscriber.script("alter table two drop constraint two_price_check")
    pair.wait()
    pair.assert_equal(*NAMES)


def test_together__a_resync_that_came_in_between_is_done_by_itself(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After the look at what resyncs asked for, and before the tables' states change."""
    caplog.set_level("INFO")
    small(pair, *NAMES)
    pair.subscriber.script("insert into two values (7, 'mine', 7)")
    moving = subscribed.set_states
    truncated: list[str] = []
    begin = CopyWorker.start

    def late(db: Database, queue: str, tables: Sequence[Subscribed], after: TableState, *rest: str | None) -> object:
        if not truncated:
            copies.ask(pair.subscriber, QUEUE, QualifiedName.parse("two"), Request(truncate=True))
            truncated.append("asked")
        return moving(db, queue, tables, after, *rest)

    def noted(one: CopyWorker) -> None:
        if one._request is not None:
            truncated.append(" ".join(map(str, one.tables)))
        begin(one)

    monkeypatch.setattr(subscribed, "set_states", late)
    monkeypatch.setattr(CopyWorker, "start", noted)
    service.run_once(pair.settings, StopFlag())
    assert truncated == ["asked", "public.two"]
    assert [name for name in NAMES if f"copied public.{name}: 50 rows, one of" in caplog.text] == ["one", *NAMES[2:]]
    pair.assert_equal(*NAMES)


def test_together__a_table_that_is_removed_meanwhile_takes_nobody_along(pair: Pair) -> None:
    small(pair, *NAMES)
    blocker = pair.connect_subscriber()
    blocker.script("begin; lock table six in exclusive mode")
    pair.start(parallel_copies=1)
    pair.until(lambda: "in-copy" in pair.states(), "the copies")
    succeed(registration.unsubscribe(pair.subscriber, QUEUE, ["three"]))
    blocker.script("rollback")
    pair.wait()
    left = [name for name in NAMES if name != "three"]
    assert pair.states() == ["ok"] * 5
    pair.assert_equal(*left)


def test_together__tables_far_behind_ask_for_few_connections(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by itself, for one of them was refused before."""
    small(pair, *NAMES)
    begun: list[CopyWorker] = []
    monkeypatch.setattr(CopyWorker, "start", lambda one: begun.append(one))
    session = Session(pair.settings, StopFlag())
    session.open()
    try:
        assert session._copies is not None
        tables = in_copy(pair)
        session._copies.catch_up(tables)
        assert [len(one.tables) for one in begun] == [6]
        session._copies._apart.update(one.table for one in tables)
        session._copies.catch_up(tables)
        assert [len(one.tables) for one in begun] == [6, 1, 1, 1]
        session._copies._workers.clear()
    finally:
        session.close()
