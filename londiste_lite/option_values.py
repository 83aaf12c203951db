"""Turning the text of one INI value into its type, or saying what was expected; pure, by the rows of `options`."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from londiste_lite.dsn import dsn_problem
from londiste_lite.options import Option

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?|[+-]?\.[0-9]+")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_BACKLOG = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[a-z]*)")
_KEYWORD_DSN = re.compile(r"\s*[a-z_]+\s*=")
_TIME_UNITS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_FLAGS = {"1": True, "on": True, "yes": True, "true": True, "0": False, "off": False, "no": False, "false": False}
LONGEST_NAME = 128


@dataclass(frozen=True)
class BacklogBound:
    """How much may wait for a node that is away: a number of events or a time in seconds; the other one is None."""

    events: int | None = None
    seconds: float | None = None


Value = str | int | float | bool | Path | BacklogBound | None


class BadValue(ValueError):
    """A value does not fit; the message is `expected ..., got "..."`."""


def parse(option: Option, text: str) -> tuple[Value, str]:
    """Return the value of `text` and a note about it, empty when there is nothing to say. Raises BadValue.

    An empty text is "not set": the option's default.
    """
    note = ""
    if not text:
        text = option.default
    elif option.lift:
        text, note = _lifted(option, text)
    return _PARSERS[option.kind](option, text), note


def _lifted(option: Option, text: str) -> tuple[str, str]:
    low = option.low or 0
    if _NUMBER.fullmatch(text) and 0 <= float(text) < low:
        return f"{low:g}", f"{text} is below the smallest value; {low:g} is used"
    return text, ""


def _bad(expected: str, text: str) -> BadValue:
    shown = "".join(ch if ch.isprintable() else "?" for ch in text)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return BadValue(f'expected {expected}, got "{shown}"')


def _between(option: Option) -> str:
    return f"between {_plain(option.low)} and {_plain(option.high)}"


def _plain(number: float | None) -> str:
    value = float(number or 0)
    return str(int(value)) if value.is_integer() else f"{value:.4g}"


def _in_range(option: Option, number: float) -> bool:
    return (option.low is None or number >= option.low) and (option.high is None or number <= option.high)


def _text(option: Option, text: str) -> Value:
    return text


def _seconds(option: Option, text: str) -> Value:
    if not text:
        return None
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)) or not _in_range(option, float(text)):
        raise _bad(f"a number of {option.unit or 'seconds'} {_between(option)}", text)
    return float(text) * option.factor


def _integer(option: Option, text: str) -> Value:
    # The length is looked at first: int() of a very long text is slow, and refused from 4301 digits on.
    if not _WHOLE.fullmatch(text) or len(text) > 20 or not _in_range(option, int(text)):
        raise _bad(f"a whole number{f' of {option.unit}' if option.unit else ''} {_between(option)}", text)
    return int(text)


def _flag(option: Option, text: str) -> Value:
    if text.lower() not in _FLAGS:
        raise _bad("0 or 1", text)
    return _FLAGS[text.lower()]


def _choice(option: Option, text: str) -> Value:
    if text.lower() not in option.choices:
        raise _bad(" or ".join(f'"{word}"' for word in option.choices), text)
    return text.lower()


def _name(option: Option, text: str) -> Value:
    if not text:
        return None
    if not text.isprintable():
        raise _bad("a name without control characters", text)
    if len(text) > LONGEST_NAME:
        raise _bad(f"a name of at most {LONGEST_NAME} characters", text)
    return text


def _file(option: Option, text: str) -> Value:
    if not text:
        return None
    if not text.isprintable():
        raise _bad("a file name without control characters", text)
    return Path(os.path.abspath(os.path.expanduser(text)))


def _dsn(option: Option, text: str) -> Value:
    # The value is not shown: it may hold a password.
    if text and not text.startswith(("postgresql://", "postgres://")) and not _KEYWORD_DSN.match(text):
        raise BadValue('expected keywords such as "dbname=shop host=db1" or a postgresql:// URI')
    reason = dsn_problem(text) if text else None
    if reason is not None:
        raise BadValue(f"not a connection string: {reason}")
    return text


def _backlog(option: Option, text: str) -> Value:
    if not text:
        return None
    match = _BACKLOG.fullmatch(text.lower())
    number = float(match["number"]) if match and len(text) <= 20 else 0.0
    if match and number > 0:
        if not match["unit"] and number.is_integer():
            return BacklogBound(events=int(number))
        if match["unit"] in _TIME_UNITS:
            return BacklogBound(seconds=number * _TIME_UNITS[match["unit"]])
    raise _bad('a number of events (5000000) or a time (90m, 24h, 7d), or "" for never', text)


_PARSERS: dict[str, Callable[[Option, str], Value]] = {
    "text": _text,
    "seconds": _seconds,
    "integer": _integer,
    "flag": _flag,
    "choice": _choice,
    "name": _name,
    "file": _file,
    "dsn": _dsn,
    "backlog": _backlog,
}
