"""The status as a screen for people: lines of styled text, made without a terminal; `output` shows them.

A line is a list of pieces, each with a style's name, empty for none. Nothing is wider than the width asked for.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from londiste_lite.conflicts import MEETING
from londiste_lite.progress import CopyStatus, Status, TableStatus
from londiste_lite.progress_report import Pace, size_text

Line = list[tuple[str, str]]

MOST_REMEMBERED = 60
_BARS = " ▁▂▃▄▅▆▇█"
_STATE_STYLES = {"ok": "green", "in-copy": "yellow", "catching-up": "yellow"}
_NAME_WIDTH = 26


@dataclass
class History:
    """What a live screen remembers: lags for the spark line, and the counts of the last look for rates."""

    lags: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_REMEMBERED))
    _before: dict[str, tuple[float, int, int, int]] = field(default_factory=dict)
    rates: dict[str, tuple[float, float, float]] = field(default_factory=dict)

    def add(self, status: Status, now: float) -> None:
        """Remember one look at the time `now`, in seconds of a steady clock."""
        if status.lag_seconds is not None:
            self.lags.append(status.lag_seconds)
        for table in status.tables:
            counts = (table.rows_inserted, table.rows_updated, table.rows_deleted)
            before = self._before.get(table.name)
            if before is not None and now > before[0]:
                # A table that was added anew counts from 0 again.
                rates = [max(0.0, (n - o) / (now - before[0])) for n, o in zip(counts, before[1:], strict=True)]
                self.rates[table.name] = rates[0], rates[1], rates[2]
            self._before[table.name] = (now, *counts)


def screen(
    status: Status, copies: list[CopyStatus], sides: tuple[str, str], width: int, history: History | None = None
) -> list[Line]:
    """Return the screen's lines; `sides` are provider and subscriber in words, `history` is that of a live screen."""
    lines = [*_flow(status, sides, width), [], _lag(status, history)]
    lines += [[], *_tables(status, {c.table: c for c in copies}, width, history)]
    if status.sequences:
        behind = [s.name for s in status.sequences if s.provider_value != s.subscriber_value]
        count = f"{len(status.sequences)} sequence{'s' if len(status.sequences) > 1 else ''}"
        lines += [[], [(count, ""), (_behind(behind), "yellow" if behind else "green")]]
    for node in status.unknown_nodes:
        lines.append([("no subscriber is node ", "yellow"), (f'"{node.node}": {node.events} rows of {node.table}', "")])
    for table in status.unrouted:
        why = f"{table.rows} rows of {table.table}, as {table.listed[0].key}: {table.listed[0].error}"
        lines.append([("cannot be routed ", "yellow"), (why, "")])
    errors = [(t.name, t.error) for t in status.tables if t.error]
    if status.last_error and all(status.last_error != text for _, text in errors):
        errors.insert(0, ("replay", status.last_error))
    if errors:
        lines += [[], [("Errors", "bold red")]]
    for name, text in errors:
        lines += [[(each, "red")] for each in _wrapped(f"{name}: {text}", width)]
    return [_cut(line, width) for line in lines]


def _flow(status: Status, sides: tuple[str, str], width: int) -> list[Line]:
    """The way from the provider to the subscriber, and who works on it."""
    half = (width - 7) // 2
    alive = {True: ("running", "green"), False: ("not running", "red")}
    replay = ("paused", "yellow") if status.paused else alive[status.replay_alive]
    arrow = "──▶" if status.replay_alive and not status.paused else "─ ─"
    ticker = alive[status.ticker_alive]
    name = status.consumer + (f", node {status.node}" if status.node is not None else "")
    left = [_fit(sides[0], half), _fit(f"queue {status.queue}", half), f"ticker {ticker[0]}", _tick(status.last_tick)]
    right = [_fit(sides[1], half), _fit(f"consumer {name}", half), f"replay {replay[0]}", _tick(status.applied_tick)]
    styles = [("bold", "bold"), ("", ""), (ticker[1], replay[1]), ("", "")]
    lines: list[Line] = []
    for number, (a, b) in enumerate(zip(left, right, strict=True)):
        middle = f"  {arrow}  " if number == 0 else " " * 7
        lines.append([(a.ljust(half), styles[number][0]), (middle, "cyan"), (b, styles[number][1])])
    if status.parked:
        lines.append([(f"parked: {status.parked['reason']}", "bold red")])
    return lines


def _tick(number: int | None) -> str:
    return f"tick {number}" if number is not None else "no tick yet"


def _lag(status: Status, history: History | None) -> Line:
    if status.lag_seconds is None:
        return [("lag unknown: nothing was applied yet", "yellow")]
    style = "green" if status.lag_seconds < 10 else "yellow" if status.lag_seconds < 60 else "red"
    line: Line = [("lag ", ""), (f"{_duration(status.lag_seconds)}", style)]
    if history is not None and len(history.lags) > 1:
        line.append((f"  {spark(list(history.lags)[-30:])}", style))
    return [*line, (f"  {status.pending_events:,} events wait", "")]


def spark(values: list[float]) -> str:
    """Return one character per value, its height by the largest; a value above 0 always shows."""
    top = max(values, default=0.0)
    if top <= 0:
        return _BARS[1] * len(values)
    return "".join(_BARS[max(1, round(value / top * (len(_BARS) - 1)))] for value in values)


def _tables(status: Status, copies: dict[str, CopyStatus], width: int, history: History | None) -> list[Line]:
    unit = "/s" if history is not None else ""
    name = max(_NAME_WIDTH, width - 54)
    heads = f"{'ins' + unit:>9} {'upd' + unit:>9} {'del' + unit:>9} {'conflicts':>9}"
    lines: list[Line] = [[(f"{'Table':<{name}} {'State':<12} {heads}", "bold")]]
    if not status.tables:
        return [[("no tables are subscribed; `subscriber add` adds some", "yellow")]]
    for table in status.tables:
        style = "red" if table.error else _STATE_STYLES.get(table.state, "dim")
        line: Line = [(f"{_fit(table.name, name):<{name}} ", ""), (f"{table.state:<12} ", style)]
        copy = copies.get(table.name)
        if copy is not None and table.state != "ok":
            line.append((_bar(copy), "yellow"))
        else:
            line.append((_counts(table, history), ""))
            line.append((f" {table.conflicts:>9,}", "yellow" if table.conflicts else ""))
        lines.append(line)
        lines += [[(_fit(text, width), "yellow")] for text in trouble_lines(table)]
    return lines


def trouble_lines(table: TableStatus) -> list[str]:
    """Return a line for each kind of conflict that the table has seen, with the last keys, and for rows set aside."""
    lines = []
    for kind, count in table.conflict_kinds.items():
        if count:
            keys = ", ".join(table.conflict_keys.get(kind, []))
            lines.append(f"  {count:,} {kind}s {MEETING[kind]}{f', last keys: {keys}' if keys else ''}")
    if table.parked:
        rows = "1 row is" if table.parked == 1 else f"{table.parked:,} rows are"
        lines.append(f"  {rows} set aside, see `parked list`")
    return lines


def _counts(table: TableStatus, history: History | None) -> str:
    if history is None:
        counts: tuple[float, ...] = (table.rows_inserted, table.rows_updated, table.rows_deleted)
        return " ".join(f"{_short(n):>9}" for n in counts)
    return " ".join(f"{_short(n):>9}" for n in history.rates.get(table.name, (0.0, 0.0, 0.0)))


def _short(number: float) -> str:
    if number >= 10_000_000:
        return f"{number / 1e6:,.1f}M"
    return f"{number:,.0f}"


def _bar(copy: CopyStatus) -> str:
    pace = Pace(0.0, copy.seconds, copy.rows, copy.bytes, copy.total_rows, copy.total_bytes or 0)
    part = pace.part
    if part is None:
        return f"{_short(copy.rows)} rows, {size_text(copy.bytes)}"
    full = round(part * 8)
    left = ""
    if pace.seconds_left and part < 1:
        minutes, seconds = divmod(round(pace.seconds_left), 60)
        left = f", {minutes}:{seconds:02} left"
    return f"{'█' * full}{'░' * (8 - full)} {part:4.0%} {_short(copy.rows)} rows{left}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)}:{int(seconds % 60):02} min"
    return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02} h"


def _behind(names: list[str]) -> str:
    if not names:
        return " in step"
    shown = ", ".join(names[:3])
    return f", {len(names)} not in step: {shown}{', ...' if len(names) > 3 else ''}"


def _fit(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _wrapped(text: str, width: int) -> list[str]:
    words, lines = text.split(), [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("  " + word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return lines


def _cut(line: Line, width: int) -> Line:
    kept: Line = []
    for text, style in line:
        kept.append((text[:width], style))
        width -= len(text)
        if width <= 0:
            break
    return kept
