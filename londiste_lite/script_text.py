"""An SQL script taken apart into statements, so that a failing one can be named by its line. Pure.

Follows the server's lexical rules (documentation, "Lexical Structure"): quoted text, dollar quotes, nested comments,
and the bodies of SQL-standard functions, in which semicolons do not end the statement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

_TOKEN = r"""(?P<comment>--[^\n]*) | (?P<block>/\*) | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*') | (?P<text>'(?:[^']|'')*')
      | (?P<name>"(?:[^"]|"")*") | (?P<dollar>\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)
      | (?P<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*) | (?P<other>.)"""

# What would end the transaction in which the script and its event must both be.
_TRANSACTION_WORDS = {"begin", "start", "commit", "end", "rollback", "abort", "prepare"}


@dataclass(frozen=True)
class Statement:
    """One statement: its text, the line where it begins (from 1), and its first words in lower case."""

    text: str
    line: int
    words: tuple[str, ...]

    @property
    def ends_transaction(self) -> bool:
        """Whether it would begin or end a transaction, which a script may not; savepoints are allowed."""
        first = self.words[:1]
        if first == ("rollback",):
            return "to" not in self.words
        if first == ("prepare",):
            return self.words[1:2] == ("transaction",)
        return bool(first) and first[0] in _TRANSACTION_WORDS


@cache
def _token() -> re.Pattern[str]:
    # Not when this is imported: it takes longer than all the rest of a command's start-up but its imports.
    return re.compile(_TOKEN, re.VERBOSE | re.DOTALL)


def statements(script: str) -> list[Statement]:
    """Return the statements of a script; empty ones are left out."""
    found: list[Statement] = []
    position = depth = body = 0
    begun: int | None = None
    words: list[str] = []
    while position < len(script):
        token = _token().match(script, position)
        assert token is not None
        kind, text = token.lastgroup, token.group()
        if begun is None and kind not in ("comment", "block") and not text.isspace():
            begun = position
        position = token.end()
        if kind == "block":
            position = _after_comment(script, position)
        elif kind == "dollar":
            end = script.find(text, position)
            position = len(script) if end < 0 else end + len(text)
            words.append("$")
        elif kind == "word":
            words.append(text.lower())
            body = _body_depth(words, body)
        elif text in "([":
            depth += 1
        elif text in ")]":
            depth = max(0, depth - 1)
        elif text == ";" and not depth and not body:
            _add(found, script, begun, position - 1, words)
            begun, words = None, []
        elif kind in ("text", "escaped", "name"):
            words.append("'")
    _add(found, script, begun, len(script), words)
    return found


def _after_comment(script: str, position: int) -> int:
    """Return the place behind a block comment that begins before `position`; they nest."""
    depth = 1
    while depth and position < len(script):
        if script.startswith("/*", position):
            depth, position = depth + 1, position + 2
        elif script.startswith("*/", position):
            depth, position = depth - 1, position + 2
        else:
            position += 1
    return position


def _body_depth(words: list[str], depth: int) -> int:
    """Return how deep inside BEGIN ATOMIC .. END of a CREATE FUNCTION or PROCEDURE the last word stands."""
    if not depth:
        creates = words[:1] == ["create"] and ("function" in words[:4] or "procedure" in words[:4])
        return 1 if creates and words[-2:] == ["begin", "atomic"] else 0
    if words[-1] in ("begin", "case"):
        return depth + 1
    return depth - 1 if words[-1] == "end" else depth


def _add(found: list[Statement], script: str, begun: int | None, end: int, words: list[str]) -> None:
    if begun is None or not words:
        return
    line = script.count("\n", 0, begun) + 1
    found.append(Statement(script[begun:end].strip(), line, tuple(words[:6])))


def is_one_expression(text: str) -> bool:
    """Tell whether `text` in parentheses stays in them: it closes what it opens, and ends neither them nor a statement.

    A comment up to the end of the line does not, for it would swallow what stands behind the expression.
    """
    position = depth = 0
    while position < len(text):
        token = _token().match(text, position)
        assert token is not None
        kind, piece = token.lastgroup, token.group()
        position = token.end()
        if kind == "comment" or (kind == "other" and piece in ";'\"\0"):
            return False
        if kind == "block":
            position = _after_comment(text, position)
            if not text.endswith("*/", 0, position):
                return False
        if kind == "dollar":
            end = text.find(piece, position)
            if end < 0:
                return False
            position = end + len(piece)
        elif piece in "([":
            depth += 1
        elif piece in ")]":
            depth -= 1
        if depth < 0:
            return False
    return depth == 0 and bool(text.strip())
