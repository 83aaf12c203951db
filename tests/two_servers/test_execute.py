"""`provider execute`: a script runs on each subscriber at exactly its place in the stream of changes."""

from __future__ import annotations

import pytest

from londiste_lite import event_queue, scripts, service, subscribed
from londiste_lite.errors import LondisteError
from londiste_lite.names import QualifiedName
from londiste_lite.scripts import ScriptFailed
from londiste_lite.stop_flag import StopFlag
from londiste_lite.tablecopy.worker import CopyWorker
from tests.fixtures.pair import CONSUMER, QUEUE, Pair, both_modes

TABLE = "create table entry (id int primary key, item text)"


def execute(pair: Pair, text: str) -> None:
    scripts.execute(pair.provider, QUEUE, "test.sql", text, 5.0)


@both_modes
def test_execute__changes_before_and_after_the_ddl_in_one_batch(pair: Pair, mode: str) -> None:
    pair.setup_table(TABLE, "entry")
    pair.start(apply=mode)
    pair.wait()
    pair.stop()
    pair.provider.script("insert into entry select i, 'old shape' from generate_series(1, 10) i")
    execute(pair, "alter table entry rename item to label; alter table entry add price numeric default 1.5")
    pair.provider.script("update entry set label = 'new shape', price = 7 where id > 5; delete from entry where id = 1")
    execute(pair, "alter table entry drop column label")
    pair.provider.script("insert into entry (id, price) values (99, 9)")
    pair.start()
    pair.wait()
    pair.assert_equal("entry")
    assert pair.subscriber.run("select id, price from entry where id in (5, 6, 99) order by 1") == [
        (5, 1.5),
        (6, 7),
        (99, 9),
    ]
    assert pair.conflicts("entry") == 0


def test_execute__row_changes_of_the_script_happen_once(pair: Pair) -> None:
    pair.setup_table("create table counter (id int primary key, n int)", "counter")
    pair.provider.script("insert into counter values (1, 0)")
    pair.start()
    pair.wait()
    execute(pair, "update counter set n = n + 1; insert into counter values (2, 5)")
    pair.provider.script("update counter set n = n + 10")
    pair.wait()
    assert pair.subscriber.run("select id, n from counter order by 1") == [(1, 11), (2, 15)]
    pair.assert_equal("counter")


def test_execute__table_in_copy_holds_the_scripts_changes_once(pair: Pair) -> None:
    pair.setup_table("create table counter (id int primary key, n int)")
    pair.publish("counter")
    pair.provider.script("insert into counter values (1, 0)")
    execute(pair, "update counter set n = n + 1")  # before the subscription: not for us
    pair.start()
    pair.wait()
    pair.stop()
    # The copy sees the script's changes while the replay has yet to pass the script.
    execute(pair, "update counter set n = n + 1")
    pair.subscribe("counter")
    pair.start()
    pair.wait()
    pair.until(lambda: pair.states() == ["ok"], "sync")
    pair.wait()
    pair.assert_equal("counter")


def test_execute__copies_wait_for_the_scripts_that_are_known_to_come(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each script ends the copies under way, so a copy that begins among scripts begins again and again."""
    pair.setup_table(TABLE, "entry")
    pair.provider.script("insert into entry select i, 'item' from generate_series(1, 1000) i")
    service.run_once(pair.settings, StopFlag())
    for number in range(5):
        execute(pair, f"alter table entry add c{number} int")
        pair.provider.script(f"update entry set c{number} = {number} where id < 5")
        event_queue.make_tick(pair.provider, QUEUE)
    pair.resync("entry")
    begun: list[CopyWorker] = []
    start = CopyWorker.start

    def noted(worker: CopyWorker) -> None:
        begun.append(worker)
        start(worker)

    monkeypatch.setattr(CopyWorker, "start", noted)
    service.run_once(pair.settings, StopFlag())
    pair.assert_equal("entry")
    assert len(begun) == 1


def test_execute__failing_on_the_provider_leaves_nothing(pair: Pair) -> None:
    pair.setup_table(TABLE, "entry")
    with pytest.raises(ScriptFailed, match="line 3"):
        execute(pair, "create table other (id int primary key);\n\ninsert into no_such_table values (1);")
    assert pair.provider.run("select to_regclass('other')") == [(None,)]
    assert pair.event_count() == 0


def test_execute__failing_on_the_subscriber_stops_there_with_the_line(pair: Pair) -> None:
    pair.setup_table(TABLE, "entry")
    pair.start()
    pair.wait()
    pair.subscriber.script("create table other (id int)")
    execute(pair, "create table fine (id int);\ncreate table other (id int primary key)")
    pair.provider.script("insert into entry values (1, 'after')")
    pair.logged("line 2")
    assert pair.subscriber.run("select to_regclass('fine'), (select count(*) from entry)") == [(None, 0)]
    error = pair.subscriber.run("select last_error from londiste.completed where consumer_id = %s", [CONSUMER])
    assert "line 2" in str(error[0][0])
    pair.subscriber.script("drop table other")
    pair.wait()
    pair.assert_equal("entry")
    assert subscribed.tables(pair.subscriber, QUEUE)[0].table == QualifiedName("public", "entry")


@pytest.mark.parametrize("text", ["commit", "select 1; begin; select 2", "rollback", "\\d entry", "", "-- nothing"])
def test_execute__script_that_cannot_be_replayed_is_refused(pair: Pair, text: str) -> None:
    with pytest.raises(LondisteError):
        execute(pair, text)
    assert pair.event_count() == 0
