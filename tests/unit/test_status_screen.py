"""The status screen: what it says, that it keeps to its width, and the live screen's memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from londiste_lite.progress import CopyStatus, SequenceStatus, Status, TableStatus
from londiste_lite.status_screen import History, screen, spark

TABLE = TableStatus("public.entry", "ok", 1234567, 20, 3, conflicts=0, parked=0, error=None)
STATUS = Status(
    queue="londiste.write",
    consumer="replica",
    node="7",
    lag_seconds=0.4,
    pending_events=12,
    last_tick=4711,
    applied_tick=4710,
    ticker_alive=True,
    replay_alive=True,
    paused=False,
    parked=None,
    unknown_nodes=[],
    unrouted=[],
    tables=[TABLE],
    sequences=[SequenceStatus("public.entry_id_seq", 5, 5)],
    last_error=None,
)
SIDES = ('database "shop" at db1', 'database "shop" at db2')


def text(
    status: Status, copies: list[CopyStatus] | None = None, width: int = 80, history: History | None = None
) -> str:
    lines = screen(status, copies or [], SIDES, width, history)
    assert all(sum(len(piece) for piece, _ in line) <= width for line in lines)
    return "\n".join("".join(piece for piece, _ in line).rstrip() for line in lines)


def test_screen__flow_lag_tables() -> None:
    shown = text(STATUS)
    first = shown.splitlines()[0]
    assert first.index("db1") < first.index("──▶") < first.index("db2")
    for part in (
        "queue londiste.write",
        "replica, node 7",
        "ticker running",
        "replay running",
        "tick 4711",
        "tick 4710",
    ):
        assert part in shown
    assert "lag 0.4 s  12 events wait" in shown
    assert "public.entry" in shown
    assert "1,234,567" in shown
    assert "1 sequence in step" in shown
    assert "Errors" not in shown


def test_screen__what_is_wrong_is_seen() -> None:
    bad = replace(TABLE, error="event 77 of table public.entry " * 6, state="catching-up", conflicts=4, parked=2)
    shown = text(
        replace(
            STATUS, tables=[bad], ticker_alive=False, replay_alive=False, lag_seconds=None, pending_events=None,
            last_error="cannot connect", applied_tick=None, sequences=[SequenceStatus("public.s", 5, None)],
        )
    )  # fmt: skip
    for part in (
        "ticker not running",
        "replay not running",
        "─ ─",
        "lag unknown",
        "no tick yet",
        "2 rows are set aside",
    ):
        assert part in shown
    assert "replay: cannot connect" in shown
    assert "public.entry: event 77" in shown
    assert "1 not in step: public.s" in shown
    assert "paused" in text(replace(STATUS, paused=True))
    assert "no tables are subscribed" in text(replace(STATUS, tables=[]))


def test_screen__copy_with_bar_and_time_left() -> None:
    copying = replace(STATUS, tables=[replace(TABLE, state="in-copy")])
    half = CopyStatus("public.entry", "copy", 5_000_000, 10**9, 10_000_000, 2 * 10**9, 60.0)
    assert "████░░░░  50% 5,000,000 rows, 1:00 left" in text(copying, [half])
    assert "7 rows, 0 B" in text(copying, [CopyStatus("public.entry", "copy", 7, 0, None, None, 1.0)])


def test_screen__rates_and_spark_line_of_a_live_screen() -> None:
    history = History()
    history.add(STATUS, 100.0)
    history.add(replace(STATUS, lag_seconds=4.0, tables=[replace(TABLE, rows_inserted=1234567 + 500)]), 102.0)
    shown = text(STATUS, history=history)
    assert "ins/s" in shown
    assert " 250 " in shown
    assert "▁█" in shown
    history.add(replace(STATUS, tables=[replace(TABLE, rows_inserted=0)]), 103.0)
    assert history.rates["public.entry"] == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(("values", "shown"), [([], ""), ([0, 0], "▁▁"), ([0, 1, 8], "▁▁█"), ([3.0], "█")])
def test_spark(values: list[float], shown: str) -> None:
    assert spark(values) == shown


@pytest.mark.parametrize("width", [60, 80, 120])
def test_screen__long_names_keep_the_width(width: int) -> None:
    long = replace(TABLE, name="public." + "n" * 63, rows_inserted=10**15)
    text(replace(STATUS, tables=[long], queue="q" * 70, consumer="c" * 70), width=width)
