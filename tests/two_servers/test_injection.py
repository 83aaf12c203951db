"""Text that would be SQL if anybody took it for that: as every argument, option, INI value, name, key and row."""

from __future__ import annotations

import pytest

from londiste_lite import options
from londiste_lite.names import QualifiedName, quote_ident
from tests.fixtures.cli import Site
from tests.fixtures.command_rows import LONDISTE, QUEUE, ROWS
from tests.fixtures.in_process import Call

# Each ends one kind of quoting and goes on with a statement; the percent signs and braces are for formatting.
HOSTILE = (
    "x'; drop table victim; select '%s",
    'x"; drop table victim; select "{0}',
    "x\\'); drop table victim; --$londiste$%(queue)s",
    "$londiste$; drop table victim; $$; */ drop table victim; /*",
)

# Options that take a name, a key, a number or a text; SQL that a user gives on purpose is not among them.
OPTIONS = (
    ("provider", "add", "entry", "--key"),
    ("provider", "add", "entry", "--node-column"),
    ("subscriber", "add", "entry", "--dest-table"),
    ("parked", "list", "--key"),
    ("parked", "drop", "entry", "--key"),
    ("wait", "--timeout"),
    ("status", "--node"),
)
# These hold SQL by their meaning, or where files are written.
OWN_SQL = {"compare_sql"}
FILES = {"pidfile", "logfile"}


@pytest.fixture
def guarded(site: Site) -> Site:
    """A site with tables that must outlive everything."""
    site.both("create table victim (id int primary key); insert into victim values (1)")
    site.both("create table entry (id text primary key, node text, body text, n int)")
    return site


def unharmed(site: Site) -> bool:
    return all(db.run("select count(*)::int from public.victim") == [(1,)] for db in (site.provider, site.subscriber))


def test_every_argument_and_option(guarded: Site, call: Call) -> None:
    folder = guarded.cli.folder
    for text in HOSTILE:
        for row in ROWS:
            places = [
                n for n, word in enumerate(row.words) if not word.startswith("-") and row.path != "provider execute"
            ]
            if row.alone:
                continue
            for place in places:
                words = [*row.words]
                words[place] = text
                call(folder, row.ini, *row.path.split(), *words, code=None)
            assert unharmed(guarded), f"{row.path}: {text}"
        for words in OPTIONS:
            call(folder, LONDISTE, *words, text, code=None)
            assert unharmed(guarded), f"{words}: {text}"
        call(folder, QUEUE, "config", "orders", f"ticker_max_lag={text}", code=1)
        call(folder, QUEUE, "config", "orders", f"{text}=1", code=1)
    assert unharmed(guarded)


def test_every_key_of_the_ini(guarded: Site, call: Call) -> None:
    call(guarded.cli.folder, LONDISTE, "provider", "add", "entry")
    call(guarded.cli.folder, LONDISTE, "subscriber", "add", "entry")
    keys = [o.name for o in options.OPTIONS if options.LONDISTE in o.sections and o.name not in OWN_SQL | FILES]
    assert len(keys) > 12
    for key in keys:
        for text in HOSTILE[:2]:
            given = {"job_name": "h", "pidfile": "h.pid", "logfile": "h.log", key: text}
            ini = guarded.ini("hostile.ini", **given)
            call(guarded.cli.folder, ini, "status", code=None)
            assert unharmed(guarded), f"{key} = {text}"


@pytest.mark.parametrize("mode", ["bulk", "ordered"])
def test_every_row_key_node_and_name(guarded: Site, call: Call, mode: str) -> None:
    """A table, its columns, its node, queue and job of such names; rows of such values through replay and mending."""
    folder, text = guarded.cli.folder, HOSTILE[0 if mode == "bulk" else 1]
    name = QualifiedName("public", "t " + text)
    column = quote_ident("c " + text)
    guarded.both(f"create table {name.quoted} ({column} text primary key, node text, body text)")
    guarded.subscriber.script(f"alter table {name.quoted} add check (body <> 'refused')")
    ini = guarded.ini(
        "rows.ini", job_name="job " + text, pgq_queue_name="q " + text, node=text, apply=mode, on_error="park",
        pidfile="rows.pid", logfile="rows.log",
    )  # fmt: skip

    def run(*words: str, code: int = 0) -> str:
        done = call(folder, ini, *words, code=code)
        return done.out

    run("provider", "install")
    run("provider", "add", str(name), "--node-column", "node")
    run("subscriber", "add", str(name))
    run("replay", "--once")
    # Doubled, for these statements have parameters.
    table, key_column = name.quoted.replace("%", "%%"), column.replace("%", "%%")
    insert = f"insert into {table} values (%s, %s, %s)"
    for number, key in enumerate(HOSTILE):
        guarded.provider.run(insert, [key, text, key])
        guarded.provider.run(insert, [f"{number} {key}", None, "refused" if number == 3 else key])
        guarded.provider.run(insert, [f"other {key}", key + "!", key])
    guarded.provider.run(f"update {table} set body = body || %s where body <> 'refused'", [text])
    guarded.provider.run(f"update {table} set {key_column} = {key_column} || %s where {key_column} = %s", [text, text])
    run("replay", "--once")
    assert unharmed(guarded)
    mine = f"select {key_column}, body from {table} where body <> 'refused' and (node is null or node = %s) order by 1"
    every = f"select {column}, body from {name.quoted} order by 1"
    rows = guarded.subscriber.run(every)
    assert sorted(rows) == sorted(guarded.provider.run(mine, [text]))
    assert len(rows) == 7
    parked = f"3 {HOSTILE[3]}"
    assert parked in run("parked", "list", str(name), "--key", parked, "--json").replace('\\"', '"')
    run("parked", "retry", str(name), "--key", parked, code=1)
    run("trace", str(name), parked)
    run("status", "--json")
    guarded.subscriber.run(f"update {table} set body = %s where {key_column} = %s", [HOSTILE[2], f"0 {HOSTILE[0]}"])
    guarded.subscriber.run(f"delete from {table} where {key_column} = %s", [f"1 {HOSTILE[1]}"])
    run("compare", str(name), code=4)
    script = run("repair", str(name))
    assert script.count("drop table victim") >= 2
    guarded.subscriber.script("begin;" + script)
    guarded.subscriber.script("rollback")
    run("repair", str(name), "--apply", code=4)
    assert guarded.subscriber.run(every) == rows
    run("parked", "drop", str(name), "--key", parked)
    run("subscriber", "resync", str(name), "--force")
    run("subscriber", "remove", str(name))
    run("provider", "remove", str(name))
    assert unharmed(guarded)
