"""The tutorial and the README, word for word: their commands run in order, on two servers, with real daemons."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from londiste_lite import db
from londiste_lite.errors import LondisteError
from londiste_lite.names import quote_ident
from londiste_lite.throwaway import ThrowawayServer, binaries
from tests.conftest import dbname_of, need
from tests.fixtures import docs
from tests.fixtures.pair import UP
from tests.fixtures.servers import ServerPool, connect

ROLE = "tutorial"
SHOWN = ("host=db1 dbname=shop user=repl", "host=db2 dbname=shop user=repl")


@dataclass(frozen=True)
class Reader:
    """Somebody who follows a page: a folder for the files, and the connection strings in place of those shown."""

    folder: Path
    dsns: tuple[str, ...]

    def own(self, text: str) -> str:
        for shown, mine in zip(SHOWN, self.dsns, strict=True):
            text = text.replace(shown, mine)
        return text

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), str(binaries()[UP[1]]), os.environ["PATH"]])
        variables = dict(zip(("PROVIDER", "SUBSCRIBER"), self.dsns, strict=True))
        return subprocess.run(
            ["bash", "-c", self.own(command)],
            check=False,
            cwd=self.folder,
            env={**os.environ, **variables, "PATH": path, "PSQLRC": os.devnull, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )


@pytest.fixture
def reader(pool: ServerPool, new_database: Callable[..., str], tmp_path: Path) -> Iterator[Reader]:
    """A reader with two databases and, as the pages promise, an ordinary role that owns them."""
    found = Reader(tmp_path, tuple(_ordinary(new_database, need(pool, version)) for version in UP))
    yield found
    for ini in tmp_path.glob("*.ini"):
        found.run(f"londiste_lite {ini.name} -k")


def _ordinary(new_database: Callable[..., str], server: ThrowawayServer) -> str:
    dsn = new_database(server)
    admin = connect(server.dsn())
    try:
        if not admin.run("select 1 from pg_catalog.pg_roles where rolname = %s", [ROLE]):
            admin.script(f"create role {quote_ident(ROLE)} login")
        admin.script(f"alter database {quote_ident(dbname_of(dsn))} owner to {quote_ident(ROLE)}")
    finally:
        admin.close()
    return dsn.replace("user=postgres", f"user={ROLE}")


@pytest.mark.parametrize("page", ["docs/tutorial.md", "docs/routing.md", "README.md"])
def test_page__followed_word_for_word(reader: Reader, page: str) -> None:
    done = 0
    for block in docs.blocks(docs.ROOT / page):
        if block.language == "ini" and block.info:
            (reader.folder / block.info).write_text(reader.own(block.text))
        elif block.language == "console":
            for step in docs.steps(block):
                result = reader.run(step.command)
                told = f"$ {step.command}\n{result.stdout}\n{_logs(reader.folder)}"
                assert result.returncode == step.exit_code, told
                assert docs.matches(step.output, result.stdout), told
                done += 1
    assert done > 10


def _logs(folder: Path) -> str:
    return "\n".join(f"== {path.name}\n{path.read_text()[-4000:]}" for path in sorted(folder.glob("*.log")))


@pytest.mark.chaos  # a minute of real daemons, and a page that changes rarely
def test_upgrade__no_acknowledged_row_is_lost(reader: Reader) -> None:
    """The page on upgrading, with somebody who writes until the old server refuses."""
    old = connect(reader.dsns[0])
    old.script("create table entry (id serial primary key, item text); insert into entry (item) select 'x'")
    acknowledged: list[int] = []
    refused = threading.Event()

    def write() -> None:
        # Like an application: without the settings by which the program's own sessions may write all the same.
        writer = db.connect(reader.dsns[0], job="shop", role="shop", settings={"application_name": "shop"})
        with contextlib.suppress(LondisteError):
            while not refused.is_set():
                acknowledged.append(writer.run("insert into public.entry (item) values ('y') returning id")[0][0])
                time.sleep(0.02)
        refused.set()
        writer.close()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        for block in docs.blocks(docs.ROOT / "docs/upgrading.md"):
            if block.language == "ini":
                (reader.folder / block.info).write_text(reader.own(block.text))
            elif block.language == "console":
                for step in docs.steps(block):
                    result = reader.run(step.command)
                    told = f"$ {step.command}\n{result.stdout}\n{_logs(reader.folder)}"
                    assert result.returncode == step.exit_code, told
                    assert docs.matches(step.output, result.stdout), told
                    assert "-d" not in step.command or not refused.is_set()
        assert refused.wait(40)
    finally:
        refused.set()
        thread.join(40)
    new = connect(reader.dsns[1])
    held = {row[0] for row in new.run("select id from entry")}
    assert len(acknowledged) > 10
    assert set(acknowledged) <= held
    # The sequence goes on where it was, so the application's next row fits.
    assert new.run("insert into entry (item) values ('new') returning id")[0][0] not in held
    old.close()
    new.close()
