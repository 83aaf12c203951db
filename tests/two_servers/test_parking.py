"""Rows that cannot be applied: named exactly, waiting aside with all later events of their keys, applied in order."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from londiste_lite import event_queue, parked
from londiste_lite.compare.repair import Repair, repair
from londiste_lite.compare.run import Comparison, compare
from londiste_lite.errors import ReplayError
from londiste_lite.names import TableName
from londiste_lite.progress_report import Silent
from londiste_lite.replay.loop import Replay, Session
from londiste_lite.replay.parking import Parking
from londiste_lite.replay.retry import drop, retry
from londiste_lite.stop_flag import StopFlag
from tests.fixtures.cli import Done
from tests.fixtures.in_process import Call
from tests.fixtures.pair import CONSUMER, QUEUE, Pair, both_modes

ENTRY = "create table entry (id int primary key, item text, price int)"
STRICT = ENTRY.replace("price int", "price int check (price >= 0)")


OTHERS = "select * from entry where id not in (7, 4007) order by id"


def waiting(pair: Pair) -> list[tuple[str, str, str, str | None]]:
    return [(str(e.table), e.key, e.operation, e.sqlstate) for e in parked.events(pair.subscriber, QUEUE)]


@both_modes
def test_park__one_key_waits_and_everything_else_goes_on(pair: Pair, mode: str) -> None:
    pair.detours = True
    pair.setup_table(ENTRY, "entry", other_ddl=STRICT)
    pair.provider.script("insert into entry select n, 'row', n from generate_series(1, 3000) n")
    pair.start(apply=mode, on_error="park")
    pair.wait()
    with pair.stopped():
        pair.provider.script(
            """insert into entry select n, 'new', n from generate_series(3001, 5000) n;
            update entry set price = -1 where id in (7, 4007); delete from entry where id = 8;
            update entry set item = 'changed' where id <= 2500"""
        )
    pair.wait()
    assert waiting(pair) == [
        ("public.entry", "7", "update", "23514"),
        ("public.entry", "4007", "update", "23514"),
        ("public.entry", "7", "update", None),
    ]
    assert pair.provider.run(OTHERS) == pair.subscriber.run(OTHERS)
    assert pair.subscriber.run("select * from entry where id in (7, 4007)") == [(7, "row", 7), (4007, "new", 4007)]
    assert pair.table("entry").parked == 3
    # Later events of the key wait behind, also over batches; the key moves away, and another row takes it.
    pair.provider.script("update entry set item = 'later' where id in (7, 9)")
    pair.wait()
    pair.provider.script("update entry set id = 7000, price = 1 where id = 7; insert into entry values (7, 'again', 1)")
    pair.wait()
    assert [one[1:3] for one in waiting(pair)[3:]] == [("7", "update"), ("7", "delete"), ("7", "insert")]
    assert pair.provider.run(OTHERS) == pair.subscriber.run(OTHERS)
    assert retry(pair.settings, None, None).remaining == (1 if mode == "bulk" else 6)
    # The last state of key 7 is fine set by set; event by event its first step is still refused.
    pair.subscriber.script("alter table entry drop constraint entry_price_check")
    result = retry(pair.settings, None, None)
    assert result.remaining == 0
    assert waiting(pair) == []
    pair.wait()
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0


@both_modes
def test_park__causes_of_every_kind(pair: Pair, mode: str) -> None:
    """A cast, a trigger, a unique value, a NULL; a swap of unique values in the same batch is no error."""
    pair.detours = True
    provider = """create table a (k numeric primary key, v text);
        create table b (k text, l int, v int, u int unique deferrable, primary key (k, l))"""
    pair.setup_table(
        provider,
        "a",
        "b",
        other_ddl="""create type mood as enum ('sad', 'happy'); create table a (k numeric primary key, v mood);
        create table b (k text, l int, v int not null, u int unique, primary key (k, l));
        create function refuse() returns trigger language plpgsql as $$ begin
            if new.v = 13 then raise exception 'not thirteen' using errcode = 'LL013'; end if; return new; end $$;
        create trigger refuse before insert or update on b for each row execute function refuse();
        alter table b enable always trigger refuse""",
    )
    pair.start(apply=mode, on_error="park")
    pair.wait()
    pair.provider.script("insert into b values ('x', 1, 1, 1), ('x', 2, 2, 2), ('x''y', 3, 3, 3)")
    pair.wait()
    with pair.stopped():
        pair.provider.script(
            """insert into a values (1.0, 'sad'), (2.0, 'angry'), (3.0, 'happy');
            update b set u = 3 - u where u in (1, 2);
            insert into b values ('y', 1, 13, 10), ('y', 2, null, 11), ('y', 3, 3, 12)"""
        )
        pair.subscriber.script("insert into b values ('mine', 1, 1, 12)")
    pair.wait()
    expected = [
        ("public.a", "2.0", "insert", "22P02"),
        ("public.b", "(y, 1)", "insert", "LL013"),
        ("public.b", "(y, 2)", "insert", "23502"),
        ("public.b", "(y, 3)", "insert", "23505"),
    ]
    found = waiting(pair)
    if mode == "bulk":
        assert found == expected
        assert pair.subscriber.run("select l, u from b where k = 'x' order by l") == [(1, 2), (2, 1)]
    else:  # event by event the swap cannot be applied
        assert set(expected) <= set(found)
    # The same number written otherwise is the same key.
    pair.provider.script("update a set k = 2.00, v = 'still angry' where k = 2")
    pair.wait()
    behind = [one[1:3] for one in waiting(pair) if one[0] == "public.a"][1:]
    assert behind[0] == ("2.0", "delete")
    assert behind[1][0] == "2.00"
    # A TRUNCATE discards what waits, a copy too.
    pair.provider.script("truncate a; insert into a values (2, 'happy')")
    pair.wait()
    pair.assert_equal("a")
    assert {one[0] for one in waiting(pair)} == {"public.b"}
    pair.provider.script("update b set v = 1 where v = 13 or v is null")
    pair.subscriber.script("delete from b where k = 'mine'")
    pair.resync("b")
    assert waiting(pair) == []
    pair.wait()
    pair.assert_equal("a", "b")


@both_modes
def test_park__whatever_a_trigger_says(pair: Pair, mode: str) -> None:
    """These say of the server or of rights, where they come from it: then nothing is parked."""
    states = ["0A000", "28000", "3F000", "42501", "42P01", "54000", "55000", "58000", "XX000"]
    pair.setup_table("create table t (id int primary key, v text)", "t")
    pair.subscriber.script(
        """create function refuse() returns trigger language plpgsql as $$ begin
            if new.v <> 'good' then raise exception 'not %', new.v using errcode = new.v; end if; return new; end $$;
        create trigger refuse before insert on t for each row execute function refuse();
        alter table t enable always trigger refuse"""
    )
    pair.start(apply=mode, on_error="park")
    pair.wait()
    rows = ", ".join(f"({n}, 'good'), ({100 + n}, '{state}')" for n, state in enumerate(states))
    pair.provider.script(f"insert into t values {rows}")
    pair.wait()
    assert waiting(pair) == [("public.t", str(100 + n), "insert", state) for n, state in enumerate(states)]
    assert pair.subscriber.run("select count(*) from t") == [(len(states),)]


def test_park__a_value_too_long_for_an_index(pair: Pair) -> None:
    pair.setup_table("create table t (id int primary key, v text)", "t")
    pair.subscriber.script("create index on t (v)")
    pair.start(on_error="park")
    pair.wait()
    long = "(select string_agg(md5(g::text), '') from generate_series(1, 1000) g)"
    pair.provider.script(f"insert into t values (1, 'a'), (2, {long}), (3, 'b')")
    pair.wait()
    assert waiting(pair) == [("public.t", "2", "insert", "54000")]


def test_park__children_of_a_parked_parent_where_foreign_keys_are_checked(pair: Pair) -> None:
    pair.detours = True
    ddl = """create table entry (id int primary key, v int {});
        create table part (id int primary key, entry int references entry deferrable initially deferred)"""
    pair.setup_table(ddl.format(""), "entry", "part", other_ddl=ddl.format("check (v > 0)"))
    pair.subscribe_as("owner_of_parked")
    pair.start(on_error="park")
    pair.wait()
    pair.provider.script("insert into entry values (1, 1), (2, -2); insert into part values (10, 1), (20, 2)")
    pair.wait()
    assert waiting(pair) == [("public.entry", "2", "insert", "23514"), ("public.part", "20", "insert", "23503")]
    pair.subscriber.script("alter table entry drop constraint entry_v_check")
    assert retry(pair.settings, None, None).remaining == 0
    pair.wait()
    pair.assert_equal("entry", "part")


def test_drop__discards_keys_and_says_what_is_different(pair: Pair) -> None:
    pair.detours = True
    pair.setup_table(ENTRY, "entry", other_ddl=STRICT)
    pair.start(on_error="park")
    pair.wait()
    pair.provider.script("insert into entry values (1, 'a', -1), (2, 'b', -1), (3, 'c', 1)")
    pair.wait()
    pair.provider.script("delete from entry where id = 2")
    pair.wait()
    table = TableName.parse("public.entry")
    done = drop(pair.subscriber, QUEUE, [table], ["2"])
    assert [(d.key, d.operation, d.events) for d in done] == [("2", "delete", 2)]
    assert [one[1] for one in waiting(pair)] == ["1"]
    # A key that waits no more follows the provider again.
    pair.provider.script("insert into entry values (2, 'b', 5); update entry set price = 1 where id = 1")
    pair.wait()
    assert pair.subscriber.run("select id, price from entry order by id") == [(2, 5), (3, 1)]
    assert [(d.key, d.events) for d in drop(pair.subscriber, QUEUE, [table], None)] == [("1", 2)]


def test_park__not_when_a_whole_table_is_refused(pair: Pair) -> None:
    pair.detours = True
    pair.setup_table(ENTRY, "entry", other_ddl=STRICT)
    pair.start(on_error="park")
    pair.wait()
    pair.provider.script("insert into entry select n, 'x', -1 from generate_series(1, 200) n")
    pair.logged("so many keys of one batch cannot be applied")
    assert waiting(pair) == []
    pair.subscriber.script("alter table entry drop constraint entry_price_check")
    pair.wait()
    pair.assert_equal("entry")


def test_stop__names_the_event_among_many_and_goes_on_when_it_is_repaired(pair: Pair) -> None:
    pair.detours = True
    pair.setup_table(
        "create table entry (id int primary key, place int unique deferrable)",
        "entry",
        other_ddl="create table entry (id int primary key, place int unique check (place <> 7777))",
    )
    with pair.stopped():
        Replay(pair.settings, StopFlag()).run_once()
        pair.provider.script("insert into entry select n, n from generate_series(1, 20000) n where n <> 7777")
        pair.provider.script("update entry set place = 3 - place where id < 3")
        pair.provider.script("update entry set place = 7777 where id = 12224")
        begun = time.monotonic()
        with pytest.raises(ReplayError) as found:
            Replay(pair.settings, StopFlag()).run_once()
        assert time.monotonic() - begun < 60
    assert found.value.table == "public.entry"
    assert found.value.sqlstate == "23514"
    assert found.value.key == "12224"
    pair.until(lambda: "of key 12224" in str(pair.table("entry").error), "the table says so")
    pair.subscriber.script("alter table entry drop constraint entry_place_check")
    pair.wait()
    pair.assert_equal("entry")
    assert pair.table("entry").error is None


def test_stop__ordered_names_the_event_at_once_unless_the_table_has_changed(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ordered way knows the event; searching for it would take as long again."""
    searched: list[str] = []
    sift = Parking.sift

    def noted(parking: Parking, *given: object, **named: object) -> object:
        searched.append("once")
        return sift(parking, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Parking, "sift", noted)
    pair.setup_table(ENTRY, "entry", other_ddl=STRICT)
    ordered = replace(pair.settings, apply="ordered")
    session = Session(ordered, StopFlag())
    try:
        Replay(ordered, StopFlag()).run_once()
        session.open()
        pair.provider.script("insert into entry select i, 'item', 1 from generate_series(1, 300) i")
        session.run_to(event_queue.make_tick(pair.provider, QUEUE))
        # What is known of the table may be why an event does not go.
        pair.subscriber.script("alter table entry alter item type varchar(100)")
        pair.provider.script("update entry set price = -1 where id = 7; update entry set item = 'x'")
        for _ in range(2):
            with pytest.raises(ReplayError, match="update of key 7: ") as found:
                session.run_to(event_queue.make_tick(pair.provider, QUEUE))
            assert (found.value.table, found.value.key, found.value.sqlstate) == ("public.entry", "7", "23514")
            assert found.value.event_id == 301
            assert searched == ["once"]
        pair.subscriber.script("alter table entry drop constraint entry_price_check")
        session.run_to(event_queue.make_tick(pair.provider, QUEUE))
        pair.assert_equal("entry")
    finally:
        session.close()


def test_commands__list_retry_and_drop(pair: Pair, tmp_path: Path, call: Call) -> None:
    pair.detours = True
    pair.setup_table(ENTRY, "entry", other_ddl=STRICT)
    ini = tmp_path / "replica.ini"
    ini.write_text(
        f"[londiste]\njob_name = {CONSUMER}\nprovider_db = {pair.settings.provider_dsn}\n"
        f"subscriber_db = {pair.settings.subscriber_dsn}\npgq_queue_name = {QUEUE}\non_error = park\n"
        f"pidfile = {tmp_path}/x.pid\nlogfile = {tmp_path}/x.log\n"
    )

    def run(*words: str, code: int = 0) -> Done:
        return call(tmp_path, "replica.ini", *words, code=code)

    run("replay", "--once")
    pair.provider.script("insert into entry values (1, 'a', -1), (2, 'b', -1), (3, 'c', 1)")
    run("replay", "--once")
    listed = run("parked", "list", "entry", "--key", "1", "--json").json()
    assert [{name: one[name] for name in ("table", "key", "operation", "sqlstate")} for one in listed] == [
        {"table": "public.entry", "key": "1", "operation": "insert", "sqlstate": "23514"}
    ]
    assert "entry_price_check" in listed[0]["message"]
    differs = run("compare", code=4)
    assert "public.entry: missing (2), parked" in differs.out
    assert "1 of 1 tables differ, 1 of them only in rows that are parked" in differs.err
    assert "2 rows are left alone, for their events are parked" in run("repair", "--apply", code=4).err
    assert "2 events were refused again" in run("parked", "retry", "entry", code=1).err
    run("parked", "drop", code=1)
    assert run("parked", "drop", "entry", "--key", "2").out == (
        "public.entry, key 2: 1 events discarded; the provider's row is not on the subscriber, or an older one is\n"
    )
    pair.subscriber.script("alter table entry drop constraint entry_price_check")
    assert "1 parked events applied, 0 still wait" in run("parked", "retry").err
    assert pair.subscriber.run("select id from entry order by id") == [(1,), (3,)]


def test_compare_and_repair__name_parked_rows_and_leave_them_alone(pair: Pair) -> None:
    """The same key may be written in two ways, and the subscriber's key may have another order."""
    pair.detours = True
    ddl = "create table entry (a text, n numeric, price int {}, primary key ({}))"
    pair.setup_table(ddl.format("", "a, n"), "entry", other_ddl=ddl.format("check (price >= 0)", "n, a"))
    pair.provider.script("insert into entry select 'x', k + 0.50, k from generate_series(1, 9) k")
    pair.start(on_error="park")
    pair.wait()
    pair.provider.script("update entry set price = -1 where n in (1.5, 2.5); insert into entry values ('y', 1.5, -1)")
    pair.wait()
    pair.subscriber.script("update entry set n = 1.500 where n = 1.5; update entry set price = 7 where n = 9.5")
    (found,) = compare(pair.settings, [], "", StopFlag(), Silent())
    assert isinstance(found, Comparison)
    assert (found.missing, found.extra, found.changed, found.parked) == (1, 0, 3, 3)
    assert {d.key: d.parked for d in found.differences} == {
        ("x", "1.50"): True,
        ("x", "2.50"): True,
        ("y", "1.5"): True,
        ("x", "9.50"): False,
    }
    for apply in (False, True):
        (done,) = repair(pair.settings, [], StopFlag(), Silent(), apply=apply)
        assert isinstance(done, Repair)
        assert (len(done.statements), done.parked) == (1, 3)
        assert "9.50" in done.statements[0]
    assert done.after is not None
    assert (done.after.changed, done.after.missing, done.after.parked) == (2, 1, 3)
    assert len(waiting(pair)) == 3
    pair.subscriber.script("alter table entry drop constraint entry_price_check")
    assert retry(pair.settings, None, None).remaining == 0
    pair.wait()
    pair.assert_equal("entry", columns=["a", "price"])
    (equal,) = compare(pair.settings, [], "", StopFlag(), Silent())
    assert isinstance(equal, Comparison)
    assert equal.equal
