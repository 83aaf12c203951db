"""Putting a command line in order: options may stand anywhere, the INI comes before the command.

Pure: works on words and on a description of the commands, so that the parser behind it only ever meets
`[global options] [INI] GROUP COMMAND [arguments and options]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from londiste_lite.errors import UsageError
from londiste_lite.names import nearest

NO_INI = ""
"""Stands for the INI in an ordered command line without one."""


@dataclass(frozen=True)
class Command:
    """One command or group: its options (`--where` -> whether a value follows) and the commands below it."""

    options: Mapping[str, bool] = field(default_factory=dict)
    children: Mapping[str, Command] = field(default_factory=dict)

    def all_options(self) -> dict[str, bool]:
        """Return the options of this command and all below it; one that takes a value anywhere takes one."""
        found = dict(self.options)
        for child in self.children.values():
            for name, takes_value in child.all_options().items():
                found[name] = found.get(name, False) or takes_value
        return found


@dataclass(frozen=True)
class _Word:
    """One positional argument, or one option with its value if it has one."""

    parts: tuple[str, ...]
    option: str = ""


def order(argv: Sequence[str], top: Command) -> list[str]:
    """Return `argv` as `[global options] [INI] GROUP COMMAND [the rest in its order]`.

    The INI is the first positional argument unless that is a command's name; NO_INI takes its place if a command
    follows without one. Raises UsageError for an unknown command, with the nearest name.
    """
    words, rest = _split(argv, top.all_options())
    first = [word for word in words if word.option in top.options]
    other = [word for word in words if word.option not in top.options]
    ini, other = _take_ini(other, top)
    path, other = _take_path(other, top)
    other = _without_force(other, path, top)
    ordered = [part for word in first for part in word.parts]
    if ini is not None or path or other or rest:
        if _is_help(other) and not path:
            return [*ordered, "--help"]
        ordered.append(NO_INI if ini is None else ini)
    return [*ordered, *path, *(part for word in other for part in word.parts), *rest]


def _split(argv: Sequence[str], options: Mapping[str, bool]) -> tuple[list[_Word], list[str]]:
    """Split `argv` into words, and what `--` cut off with the `--`; a value belongs to its option, whatever it is."""
    words: list[_Word] = []
    waiting = iter(argv)
    for text in waiting:
        if text == "--":
            return words, [text, *waiting]
        if not text.startswith("-") or text == "-":
            words.append(_Word((text,)))
            continue
        letters = [f"-{letter}" for letter in text[1:]]
        name = text.partition("=")[0] if text.startswith("--") else letters[0]
        if len(letters) > 1 and not text.startswith("--") and all(options.get(one) is False for one in letters):
            words += [_Word((one,), one) for one in letters]
        elif options.get(name) and text == name:
            words.append(_Word((text, *_next(waiting)), name))
        else:
            words.append(_Word((text,), name))
    return words, []


def _next(waiting: Iterator[str]) -> tuple[str, ...]:
    value = next(waiting, None)
    return () if value is None else (value,)


def _is_help(words: Sequence[_Word]) -> bool:
    return any(word.option in ("-h", "--help") for word in words)


def _take_ini(words: list[_Word], top: Command) -> tuple[str | None, list[_Word]]:
    places = [at for at, word in enumerate(words) if not word.option]
    if not places:
        return None, words
    text = words[places[0]].parts[0]
    following = words[places[1]].parts[0] if len(places) > 1 else ""
    # `provider install` is a group with its command, although `install` alone is a command too.
    if text in top.children and (following not in top.children or following in top.children[text].children):
        return None, words
    return text, words[: places[0]] + words[places[0] + 1 :]


def _take_path(words: list[_Word], top: Command) -> tuple[list[str], list[_Word]]:
    """Take group and command out of the positional arguments."""
    path: list[str] = []
    here = top
    left = list(words)
    while here.children:
        at = next((at for at, word in enumerate(left) if not word.option), None)
        if at is None:
            break
        name = left[at].parts[0]
        if name not in here.children:
            raise _unknown(name, here, path, words, top)
        path.append(name)
        here = here.children[name]
        del left[at]
    return path, left


def _without_force(words: list[_Word], path: list[str], top: Command) -> list[_Word]:
    """Leave `--force` out where it means nothing: Londiste 2.1 took it everywhere, and scripts have it."""
    here = top
    for name in path:
        here = here.children[name]
    if not path or path[0] == "parked" or "--force" in here.options:
        return words
    return [word for word in words if word.parts != ("--force",)]


def _unknown(name: str, here: Command, path: list[str], words: Sequence[_Word], top: Command) -> UsageError:
    known = top.all_options()
    for word in words:
        # An unknown option may have had a value, which then looks like a command.
        if word.option and word.option not in known and word.option not in ("-h", "--help"):
            return UsageError(f'no such option "{word.option}"', hint=_did_you_mean(word.option, list(known)))
    group = f' of "{" ".join(path)}"' if path else ""
    # `resync` alone, where `subscriber resync` is meant.
    inside = [f"{above} {name}" for above, child in here.children.items() if name in child.children]
    if inside:
        return UsageError(f'no such command "{name}"{group}', hint=f"Did you mean {' or '.join(map(_quoted, inside))}?")
    return UsageError(f'no such command "{name}"{group}', hint=_did_you_mean(name, list(here.children), path))


def _quoted(text: str) -> str:
    return f'"{text}"'


def _did_you_mean(name: str, known: list[str], path: Sequence[str] = ()) -> str:
    near = nearest(name, known)
    if near:
        return f'Did you mean "{near[0]}"?'
    where = " ".join(path)
    return f"See `londiste_lite {where} --help`." if where else "See `londiste_lite --help`."
