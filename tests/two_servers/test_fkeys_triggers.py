"""`subscriber fkeys`, `triggers`, `restore-triggers`: what is there, what was taken away and waits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.pair import QUEUE, Pair

Run = Callable[..., subprocess.CompletedProcess[str]]

TABLES = """create table parent (id int primary key);
    create table child (id int primary key, parent int references parent, note text);
    create table apart (id int primary key, child int references child)"""
NOTE = """create function public.note() returns trigger language plpgsql as
    $$begin new.note = coalesce(new.note, '') || tg_name; return new; end$$"""


@pytest.fixture
def run(pair: Pair, tmp_path: Path) -> Run:
    """Run a command line of the installed program against the pair."""
    ini = tmp_path / "replica.ini"
    ini.write_text(
        f"[londiste]\njob_name = replica\nprovider_db = {pair.settings.provider_dsn}\n"
        f"subscriber_db = {pair.settings.subscriber_dsn}\npgq_queue_name = {QUEUE}\n"
    )

    def runner(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "londiste_lite", str(ini), *words],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "NO_COLOR": "1"},
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    return runner


def pend(pair: Pair, table: str, name: str, definition: str) -> None:
    pair.subscriber.run(
        "insert into londiste.subscriber_pending_triggers values (%s, %s, %s)", [table, name, definition]
    )


def test_fkeys__layout_of_the_original(pair: Pair, run: Run) -> None:
    assert run("subscriber", "fkeys").stderr == "no tables are subscribed\n"
    pair.both(TABLES)
    pair.publish("parent", "child")
    pair.subscribe("parent", "child")
    pair.subscriber.run(
        "insert into londiste.subscriber_pending_fkeys values ('public.child', 'public.parent', 'gone', 'FOREIGN KEY')"
    )
    assert run("subscriber", "fkeys").stdout.splitlines() == [
        "pending fkeys",
        "from_table       to_table         fkey_name        fkey_def",
        "---------------  ---------------  ---------------  ---------------",
        "public.child     public.parent    gone             FOREIGN KEY",
        "",
        "",
        "active fkeys",
        "from_table       to_table         fkey_name          fkey_def",
        "---------------  ---------------  ---------------    ---------------",
        "public.apart     public.child     apart_child_fkey   FOREIGN KEY (child) REFERENCES public.child(id)",
        "public.child     public.parent    child_parent_fkey  FOREIGN KEY (parent) REFERENCES public.parent(id)",
        "",
        "",
    ]
    only = run("subscriber", "fkeys", "pending").stdout
    assert "gone" in only
    assert "active" not in only
    found = json.loads(run("subscriber", "fkeys", "active", "--json").stdout)
    assert [key["fkey_name"] for key in found["active"]] == ["apart_child_fkey", "child_parent_fkey"]
    assert found["active"][0]["from_table"] == "public.apart"
    assert "pending" not in found
    run("subscriber", "fkeys", "wrong", code=2)


def test_triggers__pending_and_active(pair: Pair, run: Run) -> None:
    pair.both(TABLES)
    pair.publish("child")
    pair.subscribe("child")
    pair.subscriber.script(
        f"{NOTE}; create trigger mine before insert on child for each row execute function public.note();"
        "create trigger other before insert on apart for each row execute function public.note()"
    )
    pend(pair, "public.child", "old", "CREATE TRIGGER old ...")
    lines = run("subscriber", "triggers").stdout.splitlines()
    assert lines[0] == "pending triggers"
    assert lines[3].split() == ["public.child", "old", "CREATE", "TRIGGER", "old", "..."]
    found = json.loads(run("subscriber", "triggers", "--json").stdout)
    assert found["pending"] == [
        {"table_name": "public.child", "trigger_name": "old", "trigger_def": "CREATE TRIGGER old ..."}
    ]
    assert [(t["table_name"], t["trigger_name"]) for t in found["active"]] == [("public.child", "mine")]
    assert "public.note()" in found["active"][0]["trigger_def"]


def test_restore_triggers__all_some_and_again(pair: Pair, run: Run) -> None:
    pair.both(TABLES)
    pair.publish("child")
    pair.subscribe("child")
    pair.subscriber.script(NOTE)
    for name in ("one", "two", 'th"ree'):
        quoted = '"' + name.replace('"', '""') + '"'
        # As Londiste 2.1 stored it: without the schema that was on its search_path.
        pend(
            pair,
            "public.child",
            name,
            f"CREATE TRIGGER {quoted} BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION note()",
        )
    assert 'trigger "two" restored' in run("subscriber", "restore-triggers", "child", "two").stderr
    assert 'trigger "two" is active already' in run("subscriber", "restore-triggers", "child", "two").stderr
    wrong = run("subscriber", "restore-triggers", "child", "on", code=1).stderr
    assert 'table "public.child" has no trigger "on"' in wrong
    assert 'Did you mean "one"?' in wrong
    run("subscriber", "restore-triggers", "public.child")
    assert "no pending triggers" in run("subscriber", "restore-triggers", "child").stderr
    pair.subscriber.script("insert into child values (1)")
    assert pair.subscriber.run("select note from child") == [('oneth"reetwo',)]


def test_restore_triggers__unknown_table_and_one_that_was_removed(pair: Pair, run: Run) -> None:
    pair.both(TABLES)
    pair.publish("child")
    pair.subscribe("child")
    error = run("subscriber", "restore-triggers", "chld", code=1).stderr
    assert 'table "public.chld" is not subscribed and has no pending triggers' in error
    assert 'Did you mean "public.child"?' in error
    assert "Traceback" not in error
    pair.subscriber.script(NOTE)
    pend(
        pair, "public.apart", "kept", "CREATE TRIGGER kept BEFORE INSERT ON apart FOR EACH ROW EXECUTE FUNCTION note()"
    )
    run("subscriber", "restore-triggers", "apart")
    assert pair.subscriber.run("select tgname::text from pg_trigger where not tgisinternal") == [("kept",)]


def test_restore_triggers__one_that_cannot_be_made_stays(pair: Pair, run: Run) -> None:
    pair.both(TABLES)
    pair.publish("child")
    pair.subscribe("child")
    pair.subscriber.script(NOTE)
    pend(
        pair,
        "public.child",
        "a_bad",
        "CREATE TRIGGER a_bad BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION gone()",
    )
    pend(
        pair, "public.child", "good", "CREATE TRIGGER good BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION note()"
    )
    error = run("subscriber", "restore-triggers", "child", code=1).stderr
    assert "gone() does not exist" in error
    left = pair.subscriber.run("select trigger_name from londiste.subscriber_pending_triggers")
    assert left == [("a_bad",)]
    assert pair.subscriber.run("select tgname::text from pg_trigger where not tgisinternal") == [("good",)]
