"""ALTER TABLE on both sides in the middle of traffic: nothing is lost, and replay goes on by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fixtures.pair import Pair, both_modes, every_version

ENTRY = "create table entry (id int primary key, item text, price int)"


class Traffic:
    """Writes rows to `entry` by the columns that it has at the moment."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._next = 0

    def write(self, key: str = "id", column: str | None = "item") -> None:
        """Insert two rows, update half of all, delete one; every row keeps some values that no later event repeats."""
        first, self._next = self._next, self._next + 2
        sets = f"{column} = coalesce({column}, '') || '!'" if column else "price = price + 1"
        names = f"{key}, price" + (f", {column}" if column else "")
        values = ", ".join(f"({n}, {n * 10}{f', $$row {n}$$' if column else ''})" for n in (first, first + 1))
        self._pair.provider.script(f"insert into entry ({names}) values {values}")
        self._pair.provider.script(f"update entry set {sets} where {key} <= {first} and {key} % 4 < 2")
        self._pair.provider.script(f"delete from entry where {key} = {first - 1}")


CHANGES: dict[str, tuple[str, dict[str, str | None]]] = {
    "add": ("alter table entry add extra text default 'filled'", {"column": "extra"}),
    "drop": ("alter table entry drop item", {"column": None}),
    "rename": ("alter table entry rename item to label", {"column": "label"}),
    "rename_key": ("alter table entry rename id to nr", {"key": "nr"}),
    "type": ("alter table entry alter price type numeric(12,2)", {}),
    "drop_and_add": ("alter table entry drop item; alter table entry add item text", {}),
    "swap_names": (
        """alter table entry rename item to swapping; alter table entry add item int;
        alter table entry drop swapping; alter table entry rename item to item_2; alter table entry add item text""",
        {},
    ),
}

WAITS = {"add", "rename", "rename_key"}  # the subscriber cannot go on without the same change


@both_modes
@pytest.mark.parametrize("what", CHANGES)
def test_alter__provider_first(pair: Pair, what: str, mode: str) -> None:
    ddl, columns = CHANGES[what]
    pair.detours = True
    pair.setup_table(ENTRY, "entry")
    traffic = Traffic(pair)
    traffic.write()
    pair.start(apply=mode)
    pair.wait()
    traffic.write()
    pair.provider.script(ddl)
    traffic.write(**columns)  # type: ignore[arg-type]
    if what in WAITS:
        pair.logged("ALTER TABLE")
        pair.until(lambda: pair.table("entry").error, "the table says what it waits for")
        traffic.write(**columns)  # type: ignore[arg-type]
    elif what not in ("drop_and_add", "swap_names"):
        pair.wait()
    pair.subscriber.script(ddl)
    pair.wait()
    if what in ("drop_and_add", "swap_names"):
        # What was written between the two changes went into the column that the subscriber dropped.
        pair.resync("entry")
        pair.wait()
    pair.assert_equal("entry")
    traffic.write(**columns)  # type: ignore[arg-type]
    pair.wait()
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0
    assert pair.table("entry").error is None


@both_modes
@pytest.mark.parametrize("what", CHANGES)
def test_alter__subscriber_first(pair: Pair, what: str, mode: str) -> None:
    ddl, columns = CHANGES[what]
    pair.detours = True
    pair.setup_table(ENTRY, "entry")
    traffic = Traffic(pair)
    traffic.write()
    pair.start(apply=mode)
    pair.wait()
    traffic.write()
    pair.wait()
    pair.subscriber.script(ddl)
    if what in ("drop", "rename", "rename_key"):
        traffic.write()
        pair.logged("ALTER TABLE")
    elif what in ("add", "type"):
        traffic.write()
    pair.provider.script(ddl)
    traffic.write(**columns)  # type: ignore[arg-type]
    pair.wait()
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0


@both_modes
@pytest.mark.parametrize("what", CHANGES)
def test_alter__both_sides_while_events_of_the_old_shape_wait(pair: Pair, what: str, mode: str) -> None:
    ddl, columns = CHANGES[what]
    pair.setup_table(ENTRY, "entry")
    traffic = Traffic(pair)
    traffic.write()
    pair.start(apply=mode)
    pair.wait()
    with pair.stopped():
        traffic.write()
        traffic.write()
        pair.provider.script(ddl)
        traffic.write(**columns)  # type: ignore[arg-type]
        pair.subscriber.script(ddl)
    pair.detours = True
    pair.wait()
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0
    traffic.write(**columns)  # type: ignore[arg-type]
    pair.wait()
    pair.assert_equal("entry")


def test_alter__while_the_replay_has_seen_the_table_as_it_was(pair: Pair) -> None:
    """What is cached of the provider's table must not let a new column pass for one that was dropped."""
    pair.detours = True
    pair.setup_table(ENTRY, "entry")
    pair.start()
    pair.provider.script("insert into entry values (1, 'a', 1)")
    pair.wait()
    pair.provider.script("update entry set price = 2")
    pair.wait()
    pair.provider.script("alter table entry add extra text")
    pair.provider.script("update entry set extra = 'not to be lost'")
    pair.logged('ADD COLUMN "extra" text')
    pair.subscriber.script("alter table entry add extra text")
    pair.wait()
    pair.assert_equal("entry")


def test_alter__message_names_every_missing_column(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.start()
    pair.wait()
    pair.provider.script('alter table entry add "Two Words" numeric(8,2), add b int[]')
    pair.provider.script("insert into entry values (1, 'a', 1, 2.5, '{1}')")
    pair.logged('Run on the subscriber: ALTER TABLE "public"."entry" ADD COLUMN "Two Words" numeric(8,2);')
    pair.logged('ALTER TABLE "public"."entry" ADD COLUMN "b" integer[];')
    assert "lacks columns" in str(pair.table("entry").error)


def test_alter__message_knows_that_a_column_may_have_been_renamed(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.start()
    pair.wait()
    pair.provider.script("alter table entry rename item to label; insert into entry values (1, 'a', 1)")
    pair.logged('ALTER TABLE "public"."entry" RENAME COLUMN "item" TO "label";')


def test_alter__copy_waits_for_missing_columns_too(pair: Pair) -> None:
    pair.setup_table(ENTRY, "entry")
    pair.provider.script("alter table entry add extra text; insert into entry values (1, 'a', 1, 'x')")
    pair.start()
    pair.logged('ALTER TABLE "public"."entry" ADD COLUMN "extra" text;')
    pair.subscriber.script("alter table entry add extra text")
    pair.wait()
    pair.assert_equal("entry")


@both_modes
def test_alter__key_column_renamed_where_the_key_was_named(pair: Pair, mode: str) -> None:
    pair.detours = True
    pair.setup_table("create table entry (code text not null unique, item text)", "entry", key=["code"])
    pair.provider.script("insert into entry values ('a', '1'), ('b', '2')")
    pair.start(apply=mode)
    pair.wait()
    pair.provider.script("update entry set item = 'old shape'")
    pair.provider.script("alter table entry rename code to label; update entry set item = 'new' where label = 'a'")
    pair.logged("ALTER TABLE")
    pair.subscriber.script("alter table entry rename code to label")
    pair.provider.script("delete from entry where label = 'b'; insert into entry values ('c', '3')")
    pair.wait()
    pair.assert_equal("entry")
    assert len(pair.rows("entry")[1]) == 2
    assert pair.conflicts("entry") == 0


def test_alter__table_gone_from_the_subscriber_and_back(pair: Pair) -> None:
    pair.detours = True
    pair.setup_table(ENTRY, "entry")
    pair.provider.script("insert into entry values (1, 'a', 1)")
    pair.start()
    pair.wait()
    pair.subscriber.script("alter table entry rename to hidden")
    pair.provider.script("update entry set price = 2")
    pair.logged("does not exist on the subscriber")
    pair.subscriber.script("alter table hidden rename to entry")
    pair.wait()
    pair.assert_equal("entry")


@every_version
def test_alter__under_writers_that_do_not_stop(pair: Pair) -> None:
    """Columns come and go on the provider, a moment later on the subscriber, while rows are written."""
    pair.detours = True
    pair.setup_table(ENTRY, "entry")
    pair.provider.script("insert into entry select n, 'row', 0 from generate_series(1, 20) n")
    pair.start()
    pair.wait()
    from tests.fixtures.pair import in_background

    def write(number: int) -> Callable[..., None]:
        def work(ended) -> None:  # type: ignore[no-untyped-def]
            conn = pair.connect_provider()
            step = 0
            while not ended.is_set():
                step += 1
                conn.script(
                    f"update entry set price = price + 1 where id = {step % 20 + 1};"
                    f"insert into entry (id, price) values ({number * 100000 + step}, {step})"
                )

        return work

    with in_background(write(1), write(2)):
        for step in range(3):
            ddl = f"alter table entry add c{step} int default {step}"
            pair.provider.script(ddl)
            pair.provider.script(f"update entry set c{step} = id where id < 5")
            pair.subscriber.script(ddl)
            if step:
                ddl = f"alter table entry drop c{step - 1}"
                pair.provider.script(ddl)
                pair.wait()
                pair.subscriber.script(ddl)
    pair.wait()
    pair.assert_equal("entry")
    assert pair.conflicts("entry") == 0


@both_modes
def test_alter__precision_widened_on_both_sides_under_a_running_replay(pair: Pair, mode: str) -> None:
    pair.setup_table(
        "create table sized (id numeric(4,1) primary key, n numeric(8,2), t varchar(3), c char(2))", "sized"
    )
    pair.start(apply=mode)
    pair.provider.script("insert into sized values (1.5, 1.25, 'abc', 'a')")
    pair.wait()
    pair.both(
        "alter table sized alter n type numeric(12,4), alter t type varchar(9), alter c type char(5), "
        "alter id type numeric(8,3)"
    )
    pair.provider.script("insert into sized values (2.125, 1.2345, 'abcdefg', 'abcde'); update sized set n = 9.8765")
    pair.wait()
    pair.assert_equal("sized")
    assert pair.subscriber.run("select id::text, n::text from sized order by 1") == [
        ("1.500", "9.8765"),
        ("2.125", "9.8765"),
    ]
