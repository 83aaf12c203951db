"""Options anywhere, the INI before the command."""

from __future__ import annotations

from typing import Any

import pytest

from londiste_lite import arguments, cli
from londiste_lite.arguments import NO_INI, Command
from londiste_lite.errors import UsageError

TOP = Command(
    {"-v": False, "--verbose": False, "-q": False, "-d": False, "-s": False, "-V": False, "--rewind": False},
    {
        "provider": Command(
            {},
            {
                "add": Command({"--all": False, "--where": True, "--key": True}),
                "tables": Command({"--json": False}),
                "execute": Command({"--sql": True}),
            },
        ),
        "subscriber": Command({}, {"resync": Command({"--force": False})}),
        "wait": Command({"--timeout": True, "-t": True}),
        "demo": Command({"--keep": False}),
        "create": Command(),
    },
)


def order(line: str | list[str]) -> list[str]:
    return arguments.order(line.split() if isinstance(line, str) else line, TOP)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("r.ini provider add entry", "r.ini provider add entry"),
        ("r.ini subscriber resync -v --force", "-v r.ini subscriber resync --force"),
        ("-v r.ini subscriber resync --force", "-v r.ini subscriber resync --force"),
        ("--force r.ini -v subscriber resync", "-v r.ini subscriber resync --force"),
        ("r.ini subscriber --force resync t -v", "-v r.ini subscriber resync --force t"),
        ("--where x r.ini provider add t", "r.ini provider add --where x t"),
        ("r.ini provider add t --where -v", "r.ini provider add t --where -v"),
        ("r.ini provider add t --where=-v -v", "-v r.ini provider add t --where=-v"),
        ("r.ini provider execute --sql --verbose", "r.ini provider execute --sql --verbose"),
        ("r.ini provider add --key", "r.ini provider add --key"),
        ("r.ini wait -t 5 -v", "-v r.ini wait -t 5"),
        ("-t 5 r.ini wait", "r.ini wait -t 5"),
        ("t.ini create -vd q", "-v -d t.ini create q"),
        ("r.ini provider add -- -v --all", "r.ini provider add -- -v --all"),
        ("r.ini -s", "-s r.ini"),
        ("-s r.ini", "-s r.ini"),
        ("r.ini wait -s", "-s r.ini wait"),
        ("r.ini --rewind", "--rewind r.ini"),
        ("r.ini provider --help", "r.ini provider --help"),
        ("r.ini --help", "--help"),
        ("--help", "--help"),
        ("--help r.ini provider", "r.ini provider --help"),
        ("", ""),
        ("-V", "-V"),
        ("r.ini", "r.ini"),
        ("r.ini provider add provider", "r.ini provider add provider"),
        ("demo provider add x", "demo provider add x"),
        ("- provider tables", "- provider tables"),
        ("r.ini provider tables --nope", "r.ini provider tables --nope"),
        ("r.ini provider tables -vx", "-vx r.ini provider tables"),
    ],
)
def test_order(given: str, expected: str) -> None:
    assert order(given) == expected.split()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("provider --help", [NO_INI, "provider", "--help"]),
        ("provider add -h", [NO_INI, "provider", "add", "-h"]),
        ("demo --keep", [NO_INI, "demo", "--keep"]),
        ("-v demo", ["-v", NO_INI, "demo"]),
        ("provider add x", [NO_INI, "provider", "add", "x"]),
    ],
)
def test_order__without_ini(given: str, expected: list[str]) -> None:
    assert order(given) == expected


def test_order__words_stay_whole() -> None:
    assert order(["my file.ini", "provider", "add", "a table", "--where", "x > 1", ""]) == [
        *("my file.ini", "provider", "add", "a table", "--where", "x > 1", "")
    ]


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ("r.ini provder tables", 'no such command "provder"', 'Did you mean "provider"?'),
        ("r.ini provider ad x", 'no such command "ad" of "provider"', 'Did you mean "add"?'),
        ("r.ini xyz", 'no such command "xyz"', "See `londiste_lite --help`."),
        ("r.ini provider xyz", 'no such command "xyz" of "provider"', "See `londiste_lite provider --help`."),
        ("r.ini resync entry", 'no such command "resync"', 'Did you mean "subscriber resync"?'),
        ("r.ini --wher x provider add", 'no such option "--wher"', 'Did you mean "--where"?'),
    ],
)
def test_order__unknown_command(given: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        order(given)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_real_commands__an_option_takes_a_value_everywhere_or_nowhere() -> None:
    """The words before the command can only be told apart if each option means the same in all commands."""
    seen: dict[str, bool] = {}
    top = cli.describe(cli.build(pretty=False))

    def walk(command: Command, path: str) -> None:
        for name, takes_value in command.options.items():
            assert seen.setdefault(name, takes_value) == takes_value, f"{path} {name}"
            assert command is top or name not in top.options, f"{path} {name} is a global option"
        for name, child in command.children.items():
            walk(child, f"{path} {name}")

    walk(top, "londiste_lite")
    assert "add" in top.children["provider"].children


def test_real_commands__each_has_help_and_an_example() -> None:
    lacking: list[str] = []

    def walk(command: Any, path: str) -> None:
        children = getattr(command, "commands", {})
        if not command.help or (not children and "Example: " not in (command.epilog or "")):
            lacking.append(path)
        for name, child in children.items():
            walk(child, f"{path} {name}")

    walk(cli.build(pretty=False), "londiste_lite")
    assert lacking == []
