"""The manual page `londiste_lite(1)` in roff, made of the help texts and the table of INI keys. Written by `manual`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from londiste_lite import __version__
from londiste_lite.options import LONDISTE, NODE, OPTIONS, PULL, QUEUE, RELAY, Option

_EXIT_CODES = (
    ("0", "Done, or it was so already."),
    ("1", "An expected error: a message and a hint are on standard error."),
    ("2", "The command line cannot be understood."),
    ("3", "A bug of the program; the traceback is in the log file, or in a file that the message names."),
    ("4", "A comparison or a check found something."),
    ("130", "Interrupted."),
)

_SECTIONS = (
    (LONDISTE, "replication"),
    (NODE, "one of several nodes that a process serves, named as [node:NAME]"),
    (RELAY, "moving events from one queue into another"),
    (PULL, "giving a node's events of a queue to a function"),
    (QUEUE, "the queue and its ticker"),
)


def man_page(top: Any) -> str:
    """Return the page for the command tree `top`."""
    lines = [
        f'.TH LONDISTE_LITE 1 "" "londiste_lite {_text(__version__)}" "User Commands"',
        ".SH NAME",
        "londiste_lite \\- trigger\\-based table replication between PostgreSQL servers",
        ".SH SYNOPSIS",
        ".B londiste_lite",
        "[\\fIoptions\\fR] \\fIINI\\fR \\fIcommand\\fR [\\fIarguments\\fR] [\\fIoptions\\fR]",
        ".SH DESCRIPTION",
        *_paragraphs(top.help or ""),
        ".PP",
        "The program is installed as \\fBlondiste.py\\fR and \\fBpgqadm.py\\fR too.",
        ".SH OPTIONS",
        *_options(top),
        ".SH COMMANDS",
    ]
    for path, command in _commands(top):
        lines += [f".SS {_quoted(' '.join([path, *_arguments(command)]))}", *_paragraphs(command.help or "")]
        lines += _options(command)
        if command.epilog:
            lines += [".PP", _text(command.epilog)]
    for section, about in _SECTIONS:
        lines += [f".SH {_quoted(f'INI KEYS, [{section}]')}", f"For {about}."]
        lines += [line for row in OPTIONS if section in row.sections for line in _key(row)]
    lines.append(".SH EXIT STATUS")
    for code, meaning in _EXIT_CODES:
        lines += _item(code, meaning)
    lines += [".SH SEE ALSO", ".BR psql (1)"]
    return "\n".join(lines) + "\n"


def _commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All commands below `group`; groups themselves have nothing to add to their commands."""
    for name, child in group.commands.items():
        if hasattr(child, "commands"):
            yield from _commands(child, f"{path}{name} ")
        else:
            yield f"{path}{name}", child


def _arguments(command: Any) -> list[str]:
    context = command.context_class(command, info_name="")
    return [piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]"]


def _options(command: Any) -> list[str]:
    lines: list[str] = []
    for each in command.params:
        if each.param_type_name == "option" and not each.hidden:
            value = "" if each.is_flag or each.count else f" {(each.metavar or each.name).upper().strip('[]')}"
            lines += _item(", ".join(sorted([*each.opts, *each.secondary_opts], key=len)) + value, each.help or "")
    return lines


def _key(row: Option) -> list[str]:
    if row.ignored:
        return []
    default = f" Default: {row.default}." if row.default and not row.required else ""
    return _item(row.name, f"{row.help}{default}{' Read, but without effect yet.' if row.planned else ''}")


def _item(term: str, meaning: str) -> list[str]:
    return [".TP", f".B {_quoted(term)}", _text(meaning)]


def _paragraphs(text: str) -> Sequence[str]:
    """Help text as roff: a blank line begins a paragraph, other line ends are spaces."""
    lines: list[str] = []
    for part in text.strip().split("\n\n"):
        lines += [".PP", _text(" ".join(part.split()))]
    return lines


def _quoted(text: str) -> str:
    """One argument of a macro."""
    return '"' + _text(text).replace('"', "\\(dq") + '"'


def _text(text: str) -> str:
    """Text as it is to appear: no backslash, minus sign or dot at the beginning may act."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped
