"""What is printed: plain and stable without a terminal, rich on one."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import enum
import io
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from londiste_lite import output, progress_report
from londiste_lite.errors import LondisteError
from londiste_lite.names import QualifiedName


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal()


@contextlib.contextmanager
def shown_on(terminal: Terminal) -> Iterator[None]:
    with contextlib.redirect_stdout(terminal), contextlib.redirect_stderr(terminal):
        yield


@dataclass
class Outcome:
    name: str
    note: str = "added"
    error: LondisteError | None = None


def test_table_states__two_columns_as_in_londiste(capsys: pytest.CaptureFixture[str]) -> None:
    output.table_states([("public.entry", "ok"), ("public." + "x" * 30, "-")])
    assert capsys.readouterr().out.splitlines() == [
        "Table                            " + "               State",
        "public.entry                     " + "                  ok",
        "public." + "x" * 30 + "   " + "                   -",
    ]


def test_table__layout_of_londiste(capsys: pytest.CaptureFixture[str]) -> None:
    output.table("pending fkeys", ("from_table", "fkey_def"), [("public.a_long_table_name", None), ("b", 7)])
    assert capsys.readouterr().out.split("\n") == [
        "pending fkeys",
        f"{'from_table':<26}fkey_def",
        f"{'-' * 15:<26}{'-' * 15}",
        "public.a_long_table_name  -",
        f"{'b':<26}7",
        "",
        "",
        "",
    ]
    output.table("nothing", ("a",), [])
    assert capsys.readouterr().out == ""


def test_json__sorted_and_complete(capsys: pytest.CaptureFixture[str]) -> None:
    class Colour(enum.Enum):
        RED = "red"

    @dataclass
    class Inner:
        table: QualifiedName
        when: datetime.datetime

    data = {
        "b": [Inner(QualifiedName("public", "käse"), datetime.datetime(2026, 1, 2, 3, 4, 5))],
        "a": (decimal.Decimal("3.0"), decimal.Decimal("3.5"), Colour.RED, None, True),
        "c": {"y": Path("/x"), "x": datetime.timedelta(seconds=90)},
        "d": {"z", "a"},
    }
    output.json(data)
    text = capsys.readouterr().out
    assert "käse" in text
    assert json.loads(text) == {
        "a": [3, 3.5, "red", None, True],
        "b": [{"table": "public.käse", "when": "2026-01-02T03:04:05"}],
        "c": {"x": 90.0, "y": "/x"},
        "d": ["a", "z"],
    }
    assert list(json.loads(text)) == ["a", "b", "c", "d"]


def test_messages__are_not_data(capsys: pytest.CaptureFixture[str]) -> None:
    output.lines(["data"])
    output.message("done")
    output.warning("careful")
    output.be_quiet()
    try:
        output.message("not said")
        output.warning("still said")
    finally:
        output.be_quiet(False)
    captured = capsys.readouterr()
    assert captured.out == "data\n"
    assert captured.err == "done\nwarning: careful\nwarning: still said\n"


def test_outcomes__one_failure_alone_is_raised_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    failure = LondisteError("no key", hint="Add one.")
    with pytest.raises(LondisteError) as caught:
        output.outcomes([Outcome("a", error=failure)])
    assert caught.value is failure
    assert capsys.readouterr().err == ""


def test_outcomes__failures_do_not_hide_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LondisteError, match="1 of 3 failed"):
        output.outcomes([Outcome("a"), Outcome("b", error=LondisteError("no key", hint="Add one.")), Outcome("c")])
    assert capsys.readouterr().err == "a: added\nc: added\nerror: no key\nhint: Add one.\n"


def test_terminal__gets_tables_and_no_control_characters_of_names(terminal: Terminal) -> None:
    with shown_on(terminal):
        output.table_states([("public.[red]x\x1b[2J", "ok")])
        output.table("", ("a",), [("[bold]b",)])
    text = terminal.getvalue()
    assert "┏" in text
    assert "[red]x" in text
    assert "[bold]b" in text
    assert "\x1b[2J" not in text


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_terminal__that_wants_no_colours(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with shown_on(terminal):
        output.table_states([("a", "ok")])
        output.error("x")
    assert terminal.getvalue() == f"{'Table':<30}   {'State':>20}\n{'a':<30}   {'ok':>20}\nerror: x\n"


def test_terminal__errors_are_coloured_and_keep_their_text(terminal: Terminal) -> None:
    with shown_on(terminal):
        output.error("[x] failed: really")
    assert "\x1b[" in terminal.getvalue()
    assert "[x] failed: really" in terminal.getvalue()


def test_progress__log_lines_without_a_terminal(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(progress_report.time, "monotonic", lambda: now[0])
    with caplog.at_level(logging.INFO), output.progress("copy") as progress:
        progress.update("public.a", 0, total=300)
        now[0] += 5
        progress.update("public.a", 50, total=300)
        assert caplog.messages == []
        now[0] += 5
        progress.update("public.a", 100, total=300)
        progress.update("public.a", 101, 2_500_000, total=300)
        now[0] += 20
        progress.finish("public.a")
    assert caplog.messages == [
        "copy of public.a: 100 of 300 rows, 10 rows/s, 20 s left",
        "copy of public.a: done, 101 rows, 2.5 MB in 30.0 s",
    ]


def test_progress__bars_on_a_terminal(terminal: Terminal) -> None:
    with shown_on(terminal), output.progress("copy") as progress:
        progress.update("public.[a]", 1000, total=4000)
        progress.finish("public.[a]")
        progress.finish("never started")
    assert "copy public.[a]" in terminal.getvalue()
    assert "1,000 rows" in terminal.getvalue()


def test_progress__bars_fit_80_columns_with_pace_and_time_left(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    now = [1000.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    with shown_on(terminal), output.progress("copy") as progress:
        progress.update("public." + "long" * 12, 0, total_bytes=4_000_000_000)
        now[0] += 100
        progress.update("public." + "long" * 12, 12_000_000, 1_000_000_000, total_bytes=4_000_000_000)
    text = terminal.getvalue()
    assert "12,000,000 rows, 1.0 GB, 120,000 rows/s, 5:00 left" in text
    drawn = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", line) for line in text.splitlines()]
    assert max(len(line) for line in drawn) <= 80


def test_progress__pace_by_rows_by_bytes_or_unknown() -> None:
    pace = progress_report.Pace
    assert pace(0, 10, rows=100, total=400).seconds_left == 30
    assert pace(0, 10, rows=100, bytes=50, total_bytes=100).seconds_left == 10
    assert pace(0, 10, rows=100).seconds_left is None
    late = pace(0, 10, rows=300, total=400, first_rows=200)  # who looks on from the middle sees its pace, not the past
    assert (late.rows_per_second, late.seconds_left) == (10, 10)
    assert pace(0, 10, rows=300, total=400, first_rows=300).seconds_left is None
    assert pace(0, 10, rows=500, total=400).part == 1  # an estimate that was too low
    assert pace(5, 5).rows_per_second == 0
    assert [progress_report.size_text(n) for n in (0, 999, 1500, 2 * 10**15)] == ["0 B", "999 B", "1.5 kB", "2000.0 TB"]


def test_progress__to_several_reports_and_to_none(caplog: pytest.LogCaptureFixture) -> None:
    both = progress_report.Both(progress_report.Silent(), progress_report.LoggedProgress("copy"))
    with caplog.at_level(logging.INFO):
        both.update("public.a", 7)
        both.finish("public.a")
        both.finish("never started")
    assert [text.partition(" in ")[0] for text in caplog.messages] == ["copy of public.a: done, 7 rows"]
