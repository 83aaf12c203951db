"""What a command that waits is told of copies and a backlog, as the database knows them."""

from __future__ import annotations

import pytest

from londiste_lite import copies, progress_watch
from londiste_lite.copies import Job
from londiste_lite.db import Database
from londiste_lite.names import QualifiedName
from londiste_lite.progress_watch import BACKLOG, ProgressWatch


class Heard:
    """A report that keeps what it was told."""

    def __init__(self) -> None:
        self.lines: list[tuple[object, ...]] = []

    def update(self, table: str, rows: int, bytes: int = 0, total: int | None = None, total_bytes: int = 0) -> None:
        self.lines.append((table, rows, bytes, total, total_bytes))

    def finish(self, table: str) -> None:
        self.lines.append((table, "done"))


def test_copies_and_backlog__are_told_and_ended(subscriber_db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    table = QualifiedName("public", "big one")
    told = Heard()
    watch = ProgressWatch(subscriber_db, "q", told, 500, 5500)
    watch.look(lambda: 600)
    assert told.lines == []  # too early: what is fast needs no bar
    monkeypatch.setattr(progress_watch, "LOOK_SECONDS", 0.0)
    watch = ProgressWatch(subscriber_db, "q", told, 500, 5500)
    with subscriber_db.transaction():
        copies.begin(subscriber_db, "q", table, Job(None, "", 1000, 80000, ()))
    copies.note(subscriber_db, "q", table, "copy", 250, 20000)
    watch.look(lambda: 1500)
    assert told.lines == [("copy of public.big one", 250, 20000, 1000, 80000), (BACKLOG, 1000, 0, 5000, 0)]
    told.lines.clear()
    copies.end(subscriber_db, "q", table)
    watch.look(lambda: 5600)
    copied = "copy of public.big one"
    assert [line for line in told.lines if line[0] == copied] == [(copied, 1000, 80000, 1000, 80000), (copied, "done")]
    assert [line for line in told.lines if line[0] == BACKLOG] == [(BACKLOG, "done")]
    told.lines.clear()
    watch.look(lambda: 5600)
    watch.end()
    ProgressWatch(subscriber_db, "q", told, 500, 501).look(lambda: 500)  # one event is no backlog
    assert told.lines == []
