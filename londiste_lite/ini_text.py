"""Reading INI text by the rules of Python 2's SafeConfigParser, which Londiste 2.1 used; nothing raises.

Today's `configparser` reads the sections; what it does otherwise than its ancestor is done around it: comments, text
before the first section, values like `""`, references. `config` gives the values their types.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_SECTION = re.compile(r"\[(?P<name>[^]]+)\]")
_COMMENT = re.compile(r"(?:^|\s);.*", re.DOTALL)
_REFERENCE = re.compile(r"%(?:%|\((?P<key>[^)]*)\)s|\()")
_DEPTH = 10
_LONGEST = 100_000
DEFAULT = "DEFAULT"


@dataclass
class IniText:
    """What stands in one file: raw values by section and lower-case key, and the problems met, in file order."""

    sections: dict[str, dict[str, str]] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class BadReference(ValueError):
    """A value refers to another key in a way that cannot be resolved; the message says why."""


def decode(raw: bytes) -> str:
    """Return a file's text: UTF-8 with or without a byte order mark, else Latin-1. Raises ValueError for no text."""
    if b"\0" in raw:
        raise ValueError("not a text file in UTF-8 (it holds NUL bytes)")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def parse(text: str) -> IniText:
    """Read INI text.

    The last of several equal keys wins, equal sections are joined. `#`, `;` and `rem` start a comment at the begin of
    a line, ` ;` after a value. A line that is indented deeper than its key continues the value, whatever is in it.
    """
    found = IniText()
    lines = list(_meaningful_lines(text, found))
    # DEFAULT is read like any section, so that a section's own keys can be told from those of DEFAULT.
    parser = configparser.RawConfigParser(
        strict=False, comment_prefixes=(), inline_comment_prefixes=None, empty_lines_in_values=False, default_section=""
    )
    try:
        parser.read_string("\n".join(line for _, line in lines))
    except configparser.ParsingError as error:
        for place, _ in error.errors:
            number, line = lines[place - 1]
            if line.strip()[0] not in "#;":
                found.problems.append(f'line {number}: expected "key = value", got {_shown(line.strip())}')
    for name in parser.sections():
        own = {key: _value(raw) for key, raw in parser.items(name) if key[:1] not in ("", "#", ";")}
        section = found.defaults if name.strip() == DEFAULT else found.sections.setdefault(name.strip(), {})
        section.update(own)
    return found


def _meaningful_lines(text: str, found: IniText) -> Iterator[tuple[int, str]]:
    """Give the lines from the first section on, with their numbers, without comments and empty lines."""
    begun = complained = False
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        stripped = line.strip()
        if not stripped or _is_comment(line):
            continue
        header = _SECTION.match(line)
        begun = begun or bool(header or _SECTION.match(stripped))
        if begun:
            # What follows a section's name is a comment, even with another "]" in it.
            yield number, header[0] if header else line
        elif not complained:
            found.problems.append(f'line {number}: expected a "[section]" line first, got {_shown(stripped)}')
            complained = True


def _is_comment(line: str) -> bool:
    return line[0] in "#;" or (line.split(None, 1)[0].lower() == "rem" and line[0] in "rR")


def _value(raw: str | None) -> str:
    """Return a value without the comment behind it; what continues it on further lines is kept as it is."""
    first, newline, more = (raw or "").partition("\n")
    first = _COMMENT.sub("", first).strip()
    return "" if first == '""' and not more else first + newline + more


def _shown(text: str) -> str:
    # A line out of place may hold a password, so only its beginning is shown.
    word = re.split(r"[\s:=]", text, maxsplit=1)[0][:30]
    printable = "".join(ch if ch.isprintable() else "?" for ch in word)
    return f'"{printable}"' if len(word) == len(text) else f'"{printable}.."'


def expand(value: str, values: dict[str, str], used: set[str] | None = None, _depth: int = 0) -> str:
    """Return `value` with each `%(key)s` replaced by that key's value and `%%` by `%`; a lone `%` stands for itself.

    The names of the keys referred to are added to `used`. Raises BadReference for an unknown key or a circle.
    """
    if _depth > _DEPTH:
        raise BadReference("the references go round in a circle")

    def replace(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        if match["key"] is None:
            raise BadReference('"%(" without ")s"; write "%%" for a percent sign')
        key = match["key"].strip().lower()
        if key not in values:
            raise BadReference(f'there is no key "{key}" for %({key})s')
        if used is not None:
            used.add(key)
        return expand(values[key], values, used, _depth + 1)

    result = _REFERENCE.sub(replace, value)
    if len(result) > _LONGEST:
        raise BadReference("the value becomes too long")
    return result
