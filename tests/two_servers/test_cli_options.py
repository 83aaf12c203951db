"""Options of adding tables, and moving a subscriber's position: run as a user runs them."""

from __future__ import annotations

import pytest

from tests.fixtures.cli import Site, until
from tests.fixtures.in_process import Call


def test_key__instead_of_a_primary_key(site: Site) -> None:
    site.both("create table pair (a int not null, b text not null, v text); create unique index on pair (b, a)")
    site.provider.script("insert into pair values (1, 'x', 'one'), (2, 'y', 'two')")
    assert "--key" in site.run("provider", "add", "pair", code=1).err
    assert "not unique" in site.run("provider", "add", "--key", "a", "pair", code=1).err
    assert 'no column "c"' in site.run("provider", "add", "--key", "a,c", "pair", code=1).err
    site.run("provider", "add", "--key", "a, b", "pair")
    assert site.run("provider", "tables", "--json").json()[0]["key"] == ["a", "b"]
    assert "already there" in site.run("provider", "add", "pair").err
    site.run("subscriber", "add", "pair")
    site.once()
    site.provider.script(
        "update pair set v = 'changed' where a = 1; update pair set a = 9 where a = 2; insert into pair values (3, 'z')"
    )
    site.once()
    site.assert_equal("pair")
    site.provider.script("delete from pair where a = 9")
    site.once()
    site.assert_equal("pair")
    assert len(site.rows(site.subscriber, "pair")) == 2
    # Another key is a change that is said.
    site.provider.script("create unique index on pair (a)")
    assert "key is now (a)" in site.run("provider", "add", "--key", "a", "pair").err


def test_expect_sync__no_copy(site: Site) -> None:
    site.both("create table entry (id int primary key, item text)")
    site.provider.script("insert into entry values (1, 'provider')")
    site.subscriber.script("insert into entry values (1, 'subscriber'), (2, 'local')")
    site.run("provider", "add", "entry")
    both = site.run("subscriber", "add", "entry", "--expect-sync", "--skip-truncate", code=2)
    assert "exclude each other" in both.err
    site.run("subscriber", "add", "entry", "--expect-sync")
    assert site.run("subscriber", "tables").lines[1].split() == ["public.entry", "ok"]
    site.once()
    site.provider.script("insert into entry values (3, 'new')")
    site.once()
    assert site.rows(site.subscriber, "entry") == [(1, "subscriber"), (2, "local"), (3, "new")]


def test_skip_truncate__the_copy_keeps_rows(site: Site) -> None:
    site.both("create table kept (id int primary key); create table replaced (id int primary key)")
    site.provider.script("insert into kept values (1); insert into replaced values (1)")
    site.subscriber.script("insert into kept values (2); insert into replaced values (2)")
    site.run("provider", "add", "--all")
    site.run("subscriber", "add", "kept", "--skip-truncate")
    site.run("subscriber", "add", "replaced")
    site.once()
    assert site.rows(site.subscriber, "kept") == [(1,), (2,)]
    assert site.rows(site.subscriber, "replaced") == [(1,)]


def test_where_and_dest_table__other_rows_in_another_table(site: Site) -> None:
    site.provider.script("create table entry (id int primary key, item text)")
    site.subscriber.script(
        'create schema "My Archive"; create table "My Archive"."Old Entries" (item text, id int primary key)'
    )
    site.provider.script("insert into entry select g, 'item ' || g from generate_series(1, 10) g")
    site.run("provider", "add", "entry")
    needs_one = site.run("subscriber", "add", "entry", "nonesuch", "--dest-table", "x", code=2)
    assert "exactly one table" in needs_one.err
    site.run("subscriber", "add", "entry", "--where", "id % 2 = 0", "--dest-table", "My Archive.Old Entries")
    site.once()
    assert [row[1] for row in site.rows(site.subscriber, "My Archive.Old Entries", "2")] == [2, 4, 6, 8, 10]
    site.provider.script("update entry set item = 'changed' where id = 4; delete from entry where id = 6")
    site.once()
    found = site.rows(site.subscriber, "My Archive.Old Entries", "2")
    assert [row[1] for row in found] == [2, 4, 8, 10]
    assert found[1][0] == "changed"


def test_unregister__then_register_then_replay(site: Site) -> None:
    site.both("create table entry (id int primary key, item text)")
    site.run("provider", "add", "entry")
    site.run("subscriber", "add", "entry")
    replay = site.replay()
    site.provider.script("insert into entry values (1, 'one')")
    site.wait()
    # A running replay would claim the queue again.
    refused = site.run("subscriber", "unregister", code=1)
    assert "replay" in refused.err
    assert "-s" in refused.err
    site.run("-s")
    until(lambda: site.cli.owner("replica.pid") != replay, "replay ends")
    site.run("subscriber", "unregister")
    assert site.provider.run("select consumer_name from pgq.get_consumer_info()") == []
    site.provider.script("insert into entry values (2, 'while unregistered')")
    site.provider.script("select pgq.force_tick('londiste.write'), pgq.ticker()")
    site.subscriber.script("insert into entry values (9, 'left over')")
    site.run("subscriber", "register")
    site.replay()
    site.provider.script("insert into entry values (3, 'three')")
    site.wait()
    site.assert_equal("entry")
    assert "lost position" not in site.cli.log().lower()


def test_rewind_and_reset__only_while_replay_rests(site: Site) -> None:
    site.both("create table entry (id int primary key, item text)")
    site.run("provider", "add", "entry")
    assert "no position" in site.cli.run("replica.ini", "--rewind", code=1).err
    assert "nothing to forget" in site.cli.run("replica.ini", "--reset").err
    site.run("subscriber", "add", "entry")
    site.once()
    stands = site.run("status", "--json").json()["applied_tick"]
    # The provider has gone on without us: a consumer that was moved by hand.
    site.provider.script("insert into entry values (1, 'unseen')")
    site.provider.script("select pgq.force_tick('londiste.write'), pgq.ticker()")
    site.provider.script(
        "select pgq.register_consumer_at('londiste.write', 'replica', (select max(tick_id) from pgq.tick))"
    )
    assert str(stands) in site.cli.run("replica.ini", "--rewind").err
    at = "select last_tick from pgq.get_consumer_info('londiste.write', 'replica')"
    assert site.provider.run(at) == [(stands,)]
    site.once()
    site.assert_equal("entry")

    assert "forgotten" in site.cli.run("replica.ini", "replay", "--reset").err
    assert site.run("status", "--json").json()["applied_tick"] is None
    site.provider.script("insert into entry values (2, 'after reset')")
    replay = site.replay()
    site.wait()
    site.assert_equal("entry")
    for option in ("--rewind", "--reset"):
        assert "at work" in site.cli.run("replica.ini", option, code=1).err
    assert site.cli.owner("replica.pid") == replay


def test_rewind__to_a_tick_that_is_gone(site: Site) -> None:
    site.both("create table entry (id int primary key)")
    site.run("provider", "add", "entry")
    site.run("subscriber", "add", "entry")
    site.once()
    site.subscriber.script("update londiste.completed set last_tick_id = 4000")
    lost = site.cli.run("replica.ini", "--rewind", code=1)
    assert "4000" in lost.err
    assert "--reset" in lost.err
    assert "4000" in site.run("replay", "--once", code=1).err
    site.cli.run("replica.ini", "--reset")
    site.run("subscriber", "resync", "--all")
    site.once()
    site.assert_equal("entry")


def test_resync__of_a_table_in_any_state(site: Site) -> None:
    site.both("create table entry (id int primary key, item text)")
    site.provider.script("insert into entry values (1, 'one')")
    site.run("provider", "add", "entry")
    site.run("subscriber", "add", "entry")
    for state in ("in-copy", "catching-up:1:1:", "ok"):
        site.subscriber.run("update londiste.subscriber_table set merge_state = %s", [state.partition(":")[0]])
        assert "copied anew" in site.run("subscriber", "resync", "entry").err
        assert site.run("subscriber", "tables").lines[1].split() == ["public.entry", "-"]
    site.once()
    site.subscriber.script("delete from entry")
    site.run("subscriber", "resync", "entry")
    site.once()
    site.assert_equal("entry")


def test_completion__offers_names_of_tables(site: Site, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    site.both('create table entry (id int primary key); create table "Two words" (id int primary key)')
    site.both("create schema sales; create table sales.entry (id int primary key)")
    call(site.cli.folder, "replica.ini", "provider", "add", "--all")
    call(site.cli.folder, "replica.ini", "subscriber", "add", "*.entry")

    def offered(words: str) -> list[str]:
        with monkeypatch.context() as patch:
            patch.setenv("_LONDISTE_LITE_COMPLETE", "complete_bash")
            patch.setenv("COMP_WORDS", f"londiste_lite {words}")
            patch.setenv("COMP_CWORD", str(len(words.split(" "))))
            return call(site.cli.folder).out.splitlines()

    assert offered("replica.ini subscriber add ") == ["Two words", "entry", "sales.entry"]
    assert offered("replica.ini subscriber resync --force ") == ["entry", "sales.entry"]
    assert offered("replica.ini compare entry s") == ["sales.entry"]
    assert offered("replica.ini provider remove public.") == ["public.Two words", "public.entry"]


def test_index__that_cannot_be_made_again_is_shown(site: Site, call: Call) -> None:
    site.both("create table entry (id int primary key, item text); insert into entry values (1, 'pear'), (2, 'pear')")
    site.subscriber.script(
        """insert into londiste.subscriber_pending_indexes (table_name, index_name, index_def)
           values ('public.entry', 'Unique!', 'create unique index "Unique!" on public.entry (item)')"""
    )
    call(site.cli.folder, "replica.ini", "provider", "add", "entry")
    call(site.cli.folder, "replica.ini", "subscriber", "add", "entry", "--expect-sync")

    def shown() -> list[str | None]:
        (table,) = call(site.cli.folder, "replica.ini", "subscriber", "tables", "--json").json()
        (same,) = call(site.cli.folder, "replica.ini", "status", "--json").json()["tables"]
        assert table["state"] == same["state"] == "ok"
        return [table["error"], same["error"]]

    error, same = shown()
    assert error is not None
    assert error == same
    assert error.startswith('index "Unique!" could not be made again: ')
    assert error.endswith('; to make it: create unique index "Unique!" on public.entry (item)')
    assert "pear" not in error  # a row's values are not for everybody who may see a status
    assert 'index "Unique!" could not be' in call(site.cli.folder, "replica.ini", "status").out
    site.subscriber.script("delete from entry where id = 2")
    # Made by hand: nothing is wrong any more, whoever notices first.
    site.subscriber.script('create unique index "Unique!" on entry (item)')
    (table,) = call(site.cli.folder, "replica.ini", "status", "--json").json()["tables"]
    assert table["error"] is None
    assert shown() == [None, None]
    assert site.subscriber.run("select index_name from londiste.subscriber_pending_indexes") == []
