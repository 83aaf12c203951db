"""The exit codes of each command: done, already so, an unknown name, a server that is away, a right that is missing."""

from __future__ import annotations

import pytest

from londiste_lite.throwaway import free_port
from tests.fixtures.cli import PASSWORD, TICKER_INI, CommandLine, Roles, Site
from tests.fixtures.command_rows import LONDISTE, NONE, QUEUE, ROWS
from tests.fixtures.in_process import Call

TRIED = [row for row in ROWS if not row.alone]


@pytest.fixture
def entry(site: Site) -> Site:
    """A site with a table and a sequence on both sides, nothing published."""
    site.both("create table entry (id serial primary key, item text)")
    return site


def test_done_and_already_so(entry: Site, call: Call) -> None:
    for row in TRIED:
        first = call(entry.cli.folder, *row.command_line, code=row.code)
        assert row.said in first.out + first.err, str(first)
        if row.again is not None:
            second = call(entry.cli.folder, *row.command_line)
            assert row.again in second.out + second.err, str(second)


def test_unknown_name__exit_1_with_the_nearest(entry: Site, call: Call) -> None:
    folder = entry.cli.folder
    for path in ("provider add", "provider add-seq", "subscriber add", "subscriber add-seq", "create"):
        call(folder, *next(row for row in ROWS if row.path == path).command_line)
    for row in TRIED:
        if row.unknown is not None:
            done = call(folder, row.ini, *row.path.split(), *row.unknown, code=1)
            assert f'Did you mean "{row.nearest}"?' in done.err, str(done)
            assert done.out == "", str(done)


def test_server_away__exit_1(shell: CommandLine, call: Call) -> None:
    # Nobody listens on the ports; one DSN is of keywords, the other a URI.
    provider = f"host=127.0.0.1 port={free_port()} dbname=app user=me password={PASSWORD}"
    subscriber = f"postgresql://me:{PASSWORD}@127.0.0.1:{free_port()}/app"
    shell.write(QUEUE, TICKER_INI.format(provider=provider))
    lines = f"[londiste]\nprovider_db = {provider}\nsubscriber_db = {subscriber}\npgq_queue_name = q\n"
    shell.write(LONDISTE, lines)
    for row in TRIED:
        if row.ini != NONE:
            done = call(shell.folder, *row.command_line, code=1)
            assert 'cannot connect to database "app" at 127.0.0.1:' in done.err, str(done)
            assert done.out == "", str(done)


def test_right_missing__exit_1_with_a_hint(entry: Site, roles: Roles, call: Call) -> None:
    folder = entry.cli.folder
    for path in ("provider add", "provider add-seq", "create", "register"):
        call(folder, *next(row for row in ROWS if row.path == path).command_line)
    name = f"nobody_{entry.provider.dbname}"
    provider = roles.make(entry, entry.provider_dsn, name)
    entry.ini(LONDISTE, provider_db=provider, subscriber_db=roles.make(entry, entry.subscriber_dsn, name))
    entry.cli.write(QUEUE, TICKER_INI.format(provider=provider))
    for row in TRIED:
        done = call(folder, *row.command_line, code=row.stranger)
        if row.stranger:
            assert any(word in done.err for word in ("ermission", "must be owner", "may not")), str(done)
            assert "hint: " in done.err, str(done)
            assert done.out == "", str(done)
    assert entry.run("provider", "tables", ini=LONDISTE, code=1).out == ""
