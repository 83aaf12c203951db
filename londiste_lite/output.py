"""What a person or a script sees: data on standard output, messages on standard error.

The only module that imports rich, and only for a terminal: elsewhere the output is plain and stable, in Londiste 2.1's
layouts where those exist.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import decimal
import enum
import json as json_module
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

from londiste_lite.errors import DifferencesFound, LondisteError
from londiste_lite.names import QualifiedName
from londiste_lite.progress_report import LoggedProgress, Pace, ProgressReport, size_text

log = logging.getLogger(__name__)


class Named(Protocol):
    """What became of one name: see `registration.Outcome`."""

    @property
    def name(self) -> object: ...
    @property
    def note(self) -> str: ...
    @property
    def error(self) -> LondisteError | None: ...


def on_terminal(stream: TextIO | None = None) -> bool:
    """Tell whether `stream`, standard output by default, is a terminal that takes colours."""
    stream = stream or sys.stdout
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return not plain and stream is not None and stream.isatty()


# --- data -------------------------------------------------------------------------------------------------------------


def lines(items: Iterable[object]) -> None:
    """Print one item a line."""
    text = "".join(f"{item}\n" for item in items)
    sys.stdout.write(text)


_gathering: list[list[object]] = []


def json(data: object) -> None:
    """Print `data` as JSON with sorted keys; times in ISO form, dataclasses as objects, names as text."""
    if _gathering:
        _gathering[-1].append(data)
    else:
        lines([json_text(data)])


@contextlib.contextmanager
def gathered_json() -> Iterator[list[object]]:
    """Collect what is printed as JSON in the block instead of printing it."""
    found: list[object] = []
    _gathering.append(found)
    try:
        yield found
    finally:
        _gathering.remove(found)


def json_text(data: object) -> str:
    """Return the text that `json` prints."""
    # Where the terminal's encoding has no room for all names, they are written as JSON's own escapes.
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
    return json_module.dumps(_plain(data), ensure_ascii=encoding != "utf8", sort_keys=True, indent=2)


def _plain(data: object) -> object:
    # Dataclasses are taken apart here: json would take a name for an object, or a named tuple for a list.
    if isinstance(data, QualifiedName | Path):
        return str(data)
    if isinstance(data, enum.Enum):
        return _plain(data.value)
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        return {each.name: _plain(getattr(data, each.name)) for each in dataclasses.fields(data)}
    if isinstance(data, Mapping):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple | set | frozenset):
        return [_plain(value) for value in (sorted(data, key=str) if isinstance(data, set | frozenset) else data)]
    if isinstance(data, decimal.Decimal):
        return int(data) if data == data.to_integral_value() else float(data)
    if isinstance(data, datetime.datetime | datetime.date):
        return data.isoformat()
    if isinstance(data, datetime.timedelta):
        return data.total_seconds()
    return data


def table_states(rows: Sequence[tuple[str, str]]) -> None:
    """Print tables and their states, two columns under `Table` and `State`."""
    if on_terminal():
        _rich_table("", ("Table", "State"), rows)
    else:
        lines(f"{name:<30}   {state:>20}" for name, state in (("Table", "State"), *rows))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table under a title, in Londiste's layout when not on a terminal; nothing when there is no row."""
    if not rows:
        return
    if on_terminal():
        _rich_table(title, columns, rows)
        return
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(15, *(len(row[at]) for row in (columns, *cells))) + 2 for at in range(len(columns))]
    if title:
        lines([title])
    for row in (list(columns), ["-" * 15] * len(columns), *cells):
        lines(["".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()])
    lines(["", ""])


def pairs(items: Sequence[tuple[str, object]]) -> None:
    """Print names and values, one pair a line, the values in one column."""
    width = max((len(name) for name, _ in items), default=0)
    lines(f"{name + ':':<{width + 1}} {_cell(value)}" for name, value in items)


Line = list[tuple[str, str]]
"""Pieces of text with the names of their styles: see `status_screen`."""


def screen_width() -> int:
    """Return how many columns a screen may have."""
    return max(60, min(shutil.get_terminal_size().columns, 120))


def screen(shown: Sequence[Line]) -> None:
    """Print a screen once, on a terminal."""
    from rich.console import Console

    Console(soft_wrap=True).print(_styled(shown))


@contextlib.contextmanager
def live() -> Iterator[Callable[[Sequence[Line]], None]]:
    """Show screens one after the other in the same place; the block gets the function that shows one.

    On a terminal the screen is one of its own, so that nothing stays behind; elsewhere the text is printed anew.
    """
    if not on_terminal():

        def printed(shown: Sequence[Line]) -> None:
            lines(["".join(text for text, _ in line).rstrip() for line in shown])
            lines([""])
            sys.stdout.flush()

        yield printed
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(), screen=True, auto_refresh=False, vertical_overflow="crop") as place:
        yield lambda shown: place.update(_styled(shown), refresh=True)


def _styled(shown: Sequence[Line]) -> Any:
    from rich.text import Text

    text = Text(no_wrap=True, overflow="crop")
    for number, line in enumerate(shown):
        if number:
            text.append("\n")
        for piece, style in line:
            text.append(_printable(piece), style=style or None)
    return text


def _cell(value: object) -> str:
    if isinstance(value, enum.Enum):
        value = value.value
    return "-" if value is None else str(value)


def _rich_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=title or None, title_justify="left")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        # Text, not markup: a name may hold square brackets; control characters must not reach the terminal.
        shown.add_row(*(Text(_printable(_cell(value)), style=_STYLES.get(_cell(value), "")) for value in row))
    Console().print(shown)


_STYLES = {
    "ok": "green",
    "in-copy": "yellow",
    "catching-up": "yellow",
    "-": "dim",
    "held": "red",
    "error": "red",
    "warning": "yellow",
}


def _printable(text: str) -> str:
    return "".join(ch if ch.isprintable() or ch == "\n" else "\N{REPLACEMENT CHARACTER}" for ch in text)


# --- messages ---------------------------------------------------------------------------------------------------------

_quiet = False


def be_quiet(quiet: bool = True) -> None:
    """Leave out messages, not data and not warnings: the -q option."""
    global _quiet
    _quiet = quiet


def message(text: str) -> None:
    """Say something to the person: what was done, what is to be done next."""
    if not _quiet:
        _to_stderr(text)


def warning(text: str) -> None:
    """Say something that should not be overlooked."""
    _to_stderr(f"warning: {text}", "yellow")


def error(text: str) -> None:
    """Say what went wrong; the hint, if there is one, follows with `hint`."""
    _to_stderr(f"error: {text}", "bold red")


def detail(text: str) -> None:
    """Add what the server said beyond its message."""
    _to_stderr(f"detail: {text}")


def hint(text: str) -> None:
    """Say what can be done about the error just shown."""
    _to_stderr(f"hint: {text}")


def _to_stderr(text: str, style: str = "") -> None:
    # A message that nobody can read is no reason to end, or to end otherwise.
    with contextlib.suppress(OSError, ValueError):
        _written_to_stderr(text, style)


def _written_to_stderr(text: str, style: str) -> None:
    if style and on_terminal(sys.stderr):
        from rich.console import Console
        from rich.text import Text

        word, colon, rest = text.partition(":")
        shown = Text.assemble((word + colon, style), _printable(rest))
        Console(stderr=True, soft_wrap=True).print(shown)
    else:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def outcomes(done: Iterable[Named], dry_run: bool = False) -> None:
    """Say what became of each name; raise LondisteError with all failures, if there were any, at the end.

    `dry_run` tells that nothing of it stays.
    """
    if dry_run:
        message("dry run, nothing is changed:")
    failed: list[LondisteError] = []
    count = 0
    for each in done:
        count += 1
        if each.error is None:
            message(f"{each.name}: {each.note}")
        else:
            failed.append(each.error)
    if failed and count == 1:
        raise failed[0]
    if failed:
        for number, one in enumerate(failed):
            error(one.message)
            # One hint for several failures of one kind is said once, behind the last of them.
            if one.hint and [later.hint for later in failed[number + 1 : number + 2]] != [one.hint]:
                hint(one.hint)
        raise LondisteError(f"{len(failed)} of {count} failed")
    if not count:
        message("nothing to do")


class Found(Protocol):
    """One finding of a check: see `preflight.findings`."""

    @property
    def check(self) -> str: ...
    @property
    def severity(self) -> object: ...
    @property
    def object(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def hint(self) -> str: ...


def findings(found: Sequence[Found], as_json: bool) -> None:
    """Print what checks found, or that they found nothing. Raises DifferencesFound when there is anything."""
    if as_json:
        json(found)
    elif not found:
        lines(["no findings"])
    elif on_terminal():
        rows = [(f.severity, f.check, f.object, f.message + (f"\n{f.hint}" if f.hint else "")) for f in found]
        _rich_table("", ("Severity", "Check", "Object", "Finding"), rows)
    else:
        for f in found:
            lines([f"{_cell(f.severity)}: {f.check}: {f.object}: {f.message}", *([f"    {f.hint}"] if f.hint else [])])
    if found:
        raise DifferencesFound(f"{len(found)} finding{'s' if len(found) > 1 else ''}")


def installed(components: Mapping[str, str]) -> None:
    """Say what `schema.install` did with each component."""
    words = {"present": "is up to date", "extension": "is there as an extension, left alone"}
    for name, what in components.items():
        message(f"schema {name} {words.get(what, what)}")


# --- progress ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def progress(what: str) -> Iterator[ProgressReport]:
    """Show the progress of `what` (`repair`, `compare`): bars on a terminal, log lines now and then elsewhere.

    It is empty where the report's names say what they are about.
    """
    if not on_terminal(sys.stderr) or _quiet:
        yield LoggedProgress(what)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars
    from rich.table import Column

    columns = (
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
        BarColumn(bar_width=12),
        TextColumn("{task.fields[done]}", markup=False, justify="right", table_column=Column(no_wrap=True)),
    )
    with Bars(*columns, console=Console(stderr=True), expand=True) as bars:
        yield _BarProgress(what, bars)


class _BarProgress:
    """Progress as one bar per table, with rows, bytes, pace and time left."""

    def __init__(self, what: str, bars: Any) -> None:
        self._what = what
        self._bars = bars
        self._tasks: dict[str, tuple[Any, Pace]] = {}
        self._lock = threading.Lock()

    def update(self, table: str, rows: int, bytes: int = 0, total: int | None = None, total_bytes: int = 0) -> None:
        now = time.monotonic()
        with self._lock:
            if table not in self._tasks:
                task = self._bars.add_task(f"{self._what} {_printable(table)}".strip(), total=None, done="")
                self._tasks[table] = task, Pace(now, now, first_rows=rows, first_bytes=bytes)
            task, first = self._tasks[table]
            begun = (first.first_rows, first.first_bytes)
            pace = Pace(first.started, now, rows, bytes, total, total_bytes, *begun)
            self._tasks[table] = task, pace
        part = pace.part
        left = None if part is None or part == 1 else pace.seconds_left
        shown = {"total": None} if part is None else {"total": 1.0, "completed": part}
        self._bars.update(task, done=self._text(pace, left), **shown)

    def finish(self, table: str) -> None:
        with self._lock:
            task, pace = self._tasks.pop(table, (None, Pace(0, 0)))
        if task is not None:
            pace.now = time.monotonic()
            self._bars.update(task, total=1.0, completed=1.0, done=self._text(pace, None))

    @staticmethod
    def _text(pace: Pace, left: float | None) -> str:
        parts = [f"{pace.rows:,} rows", *([size_text(pace.bytes)] if pace.bytes else [])]
        if pace.seconds >= 0.5 and pace.rows_per_second:
            parts.append(f"{pace.rows_per_second:,.0f} rows/s")
        if left is not None:
            parts.append(f"{_clock(left)} left")
        return ", ".join(parts)


def _clock(seconds: float) -> str:
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def roles(made: Mapping[str, bool], purpose: Mapping[str, str]) -> None:
    """Say which roles there are now and what for; nothing when none were asked for."""
    for name, new in made.items():
        message(f"role {name} {'created' if new else 'is there'}: {purpose[name]}")
