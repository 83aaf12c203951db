"""Foreign keys that copies dropped come back as they were, beside a replay that goes on; none is ever lost."""

from __future__ import annotations

import pytest

from londiste_lite import foreign_keys
from londiste_lite.names import QualifiedName
from londiste_lite.tablecopy import foreign_key_restore
from tests.fixtures.pair import DOWN, Pair
from tests.two_servers.test_copy import FAMILY, fkeys

# Two with one name, one that was never validated, one to a table that is not replicated, one of a partitioned table.
ODD = """create table parent (id int primary key);
create table child (id int primary key, p int constraint same references parent, looked_up int);
create table pet (id int primary key, p int constraint same references parent);
create table part (id int, p int constraint in_parts references parent, primary key (id)) partition by range (id);
create table part_1 partition of part for values from (0) to (10);
create table part_2 partition of part for values from (10) to (100) partition by range (id);
create table part_21 partition of part_2 for values from (10) to (100)"""
LOOKUP = "create table lookup (id int primary key)"
PENDING = "select from_table || ' ' || fkey_name from londiste.subscriber_pending_fkeys order by 1"


def drop(pair: Pair, *tables: str) -> None:
    """Drop foreign keys as a copy does that is then killed."""
    pair.subscriber.script("set search_path = pg_catalog")  # as the program's own connections
    for table in tables:
        foreign_keys.drop_for_copy(pair.subscriber, QualifiedName.parse(table), 10.0)
    pair.subscriber.script("set search_path = public, pg_catalog")


@pytest.mark.parametrize("versions", [DOWN], ids=["18to16"])
def test_foreign_keys__of_every_kind_come_back(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_key_restore, "RESTORE_SECONDS", 0.2)
    pair.setup_table(ODD, "parent", "child", "pet", "part", expect_sync=True)
    pair.both(
        "insert into parent values (1); insert into child values (1, 1, 1); insert into pet values (1, 1);"
        "insert into part values (1, 1), (20, 1)"
    )
    pair.subscriber.script(
        f"""{LOOKUP}; insert into lookup values (1); alter table child add constraint up foreign key (looked_up)
            references lookup;
        alter table pet add constraint loose foreign key (id) references parent not valid"""
    )
    before = fkeys(pair)
    drop(pair, "child", "pet", "part", "parent")
    assert fkeys(pair) == []
    assert pair.subscriber.run(PENDING) == [
        (f"public.{name}",) for name in ("child same", "child up", "part in_parts", "pet loose", "pet same")
    ]
    pair.subscriber.script("drop table lookup")
    pair.start()
    pair.wait()
    pair.assert_equal("parent", "child", "pet", "part")
    pair.until(lambda: pair.subscriber.run(PENDING) == [("public.child up",)], "all others are restored")
    pair.logged('foreign key "up" of "public.child" cannot be restored yet')
    pair.logged('"public.lookup" does not exist')
    # The table is there again, but not what the rows refer to.
    pair.subscriber.script(LOOKUP)
    pair.logged("violates foreign key constraint")
    pair.provider.script("insert into child values (2, 1, null)")
    pair.wait()
    assert pair.subscriber.run(PENDING) == [("public.child up",)]
    pair.subscriber.script("insert into lookup values (1)")
    pair.until(lambda: pair.subscriber.run(PENDING) == [], "all are restored")
    assert fkeys(pair) == before


def test_foreign_keys__are_validated_beside_the_replay(pair: Pair) -> None:
    pair.setup_table(FAMILY, "parent", "child", expect_sync=True)
    pair.subscribe_as("plain")
    before = [key for key in fkeys(pair) if "parent_id" in key[1]]
    waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and query ~ "

    def validating() -> bool:
        return bool(pair.subscriber.run(waiting + "'validate constraint'"))

    # As after a crash between its two halves.
    drop(pair, "child")
    pair.subscriber.script(
        "alter table child add constraint child_parent_id_fkey foreign key (parent_id) references parent not valid"
    )
    blocker = pair.connect_subscriber()
    blocker.script("begin; lock table child in share update exclusive mode")
    pair.start()
    pair.until(validating, "the validation waits")
    pair.provider.script("insert into parent values (1, 'a'); insert into child values (1, 1)")
    pair.wait()
    pair.assert_equal("parent", "child")
    assert validating()
    pair.stop()
    assert not validating()
    pair.start()
    pair.until(validating, "the validation waits again")
    # A copy drops the foreign key, and does not wait for a validation that has lost its purpose.
    pair.resync("child")
    pair.until(lambda: pair.subscriber.run(waiting + "'drop constraint'"), "the copy waits")
    pair.until(lambda: not validating(), "the validation gives way")
    pair.provider.script("update parent set name = 'goes on'")
    pair.until(lambda: pair.subscriber.run("select 1 from parent where name = 'goes on'"), "the other table's change")
    blocker.script("rollback")
    pair.wait()
    pair.assert_equal("parent", "child")
    pair.until(lambda: pair.subscriber.run(PENDING) == [], "nothing is pending")
    assert [key for key in fkeys(pair) if "parent_id" in key[1]] == before
