"""The command line: global options, the INI, and the commands that the modules of `commands` attach.

Every option may stand anywhere and the INI comes first; `arguments` puts the words in order before typer reads them. It
knows the commands from `command_index`, so that only the module of the one that is run has to be loaded.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from londiste_lite import __version__, arguments, command_index, commands, completion, daemon, output, signals
from londiste_lite.arguments import Command
from londiste_lite.context import Context
from londiste_lite.error_boundary import error_boundary
from londiste_lite.errors import LondisteError, UsageError
from londiste_lite.options import LONDISTE, NODE, QUEUE

ORDER = (
    *("provider", "subscriber", "replay", "wait", "copy", "compare", "repair"),
    *("status", "trace", "pause", "resume", "parked", "relay", "pull", "push-pull", "ticker", "demo"),
)
"""Commands in the order of the help page; the others follow by name."""

SERVICES = ("replay", "relay", "pull", "push-pull", "ticker")
"""Commands that go on until they are stopped, which -d puts into the background."""
PER_NODE = {"subscriber", "wait", "copy", "compare", "repair", "status", "pause", "resume", "parked", "trace"}
"""Commands about a subscriber: with an INI for several nodes they are run for each in turn, unless one is named."""

_OVERVIEW = """Trigger-based table replication between PostgreSQL servers.

INI is the file with the settings: one with a [londiste] section for replication, with a [pgqadm] section for the queue
and its ticker. Options may stand anywhere."""

_EXAMPLES = "Example: londiste_lite replica.ini provider add entry"

_SIGNALS = (
    ("reload", signal.SIGHUP, "reload its settings"),
    ("stop", signal.SIGINT, "stop after its batch"),
    ("kill", signal.SIGTERM, "stop at once"),
)


def _show_version(asked: bool) -> None:
    if asked:
        output.lines([f"londiste_lite {__version__}"])
        raise typer.Exit


def _main(
    ctx: typer.Context,
    ini: Annotated[
        str | None,
        typer.Argument(
            metavar="INI", help="File with the settings.", show_default=False, autocompletion=completion.ini_files
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show warnings and errors only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show debug lines as well.")] = False,
    background: Annotated[bool, typer.Option("--daemon", "-d", help="Run in the background; needs a pidfile.")] = False,
    reload: Annotated[bool, typer.Option("--reload", "-r", help="Tell the running process to reload.")] = False,
    stop: Annotated[bool, typer.Option("--stop", "-s", help="Tell it to stop after its batch.")] = False,
    kill: Annotated[bool, typer.Option("--kill", "-k", help="Tell it to stop at once.")] = False,
    rewind: Annotated[bool, typer.Option("--rewind", help="Set the queue's position to the subscriber's.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Forget the subscriber's position.")] = False,
    node: Annotated[
        str | None, typer.Option("--node", metavar="NAME", help="One of the [node:NAME] sections of the INI.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    program = Path(ctx.find_root().info_name or "").name
    context = Context(
        ini or None,
        verbose=verbose,
        quiet=quiet,
        daemon=background,
        prefer=QUEUE if program.startswith("pgqadm") else LONDISTE,
        node=node,
    )
    ctx.obj = context
    output.be_quiet(quiet and not verbose)
    asked = {"reload": reload, "stop": stop, "kill": kill}
    for name, number, meaning in _SIGNALS:
        if asked[name]:
            context.command = f"--{name}"
            output.message(daemon.signal_owner(context.of_process().pidfile, number, meaning))
    if any(asked.values()):
        raise typer.Exit
    if rewind and reset:
        raise UsageError("--rewind and --reset exclude each other")
    if rewind or reset:
        _change_position(context, "rewind" if rewind else "reset")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        if context.ini is None:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(2)
        raise UsageError("no command given", hint="See `londiste_lite --help` for the commands.")
    context.command = ctx.invoked_subcommand
    if background and context.command not in SERVICES:
        services = ", ".join(f"`{name}`" for name in SERVICES)
        raise UsageError(
            f'"{context.command}" cannot run in the background', hint=f"-d is for {services}; leave it out."
        )


def _change_position(context: Context, how: str) -> None:
    context.command = f"--{how}"
    replay: Any = importlib.import_module("londiste_lite.commands.replay")
    getattr(replay, how)(context)


def modules() -> dict[str, Any]:
    """Return the modules that have commands, by their names."""
    names = [each.name for each in pkgutil.iter_modules(commands.__path__)]
    return {name: importlib.import_module(f"{commands.__name__}.{name}") for name in names}


def build(pretty: bool | None = None, only: str | None = None) -> Any:
    """Return the program's command tree; help pages are coloured if `pretty`, by default on a terminal only.

    `only` names the one module of `commands` that is wanted.
    """
    if pretty is None:
        pretty = output.on_terminal()
    app = typer.Typer(
        help=_OVERVIEW,
        epilog=_EXAMPLES,
        invoke_without_command=True,
        rich_markup_mode="rich" if pretty else None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
        subcommand_metavar="COMMAND [ARGS]...",
    )
    app.callback()(_main)
    found = {only: importlib.import_module(f"{commands.__name__}.{only}")} if only else modules()
    for name, module in found.items():
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            module.register(app)
    command: Any = typer.main.get_command(app)
    if pretty:
        _write_out(command)
    command.commands = dict(sorted(command.commands.items(), key=lambda item: _place(item[0])))
    return command


def _write_out(command: Any) -> None:
    """Have `[node:NAME]` shown in help texts, which rich would take for its markup, and no type for a mere flag."""
    for owner in (command, *command.params):
        for name in ("help", "short_help", "epilog"):
            text = getattr(owner, name, None)
            if text:
                setattr(owner, name, re.sub(r"(\[[a-z#/@][^[]*?])", r"\\\1", text))
        if getattr(owner, "is_flag", False):
            owner.metavar = ""
    for child in getattr(command, "commands", {}).values():
        _write_out(child)


def _place(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)


def describe(command: Any) -> Command:
    """Return what `arguments` needs to know of a typer command and all below it."""
    options = {
        name: not (param.is_flag or param.count)
        for param in command.params
        if param.param_type_name == "option"
        for name in (*param.opts, *param.secondary_opts)
    }
    children = getattr(command, "commands", {})
    return Command(options, {name: describe(child) for name, child in children.items()})


def main(argv: Sequence[str] | None = None, program: str | None = None) -> None:
    """Run one command line, that of the process by default; ends the process with its exit code unless that is 0."""
    given = list(sys.argv[1:] if argv is None else argv)
    program = program or Path(sys.argv[0]).name
    if program in ("__main__.py", "-c", ""):
        program = "londiste_lite"
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks is shown escaped rather than ending the program.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    with error_boundary(), signals.cancel_on_interrupt():
        if any(name.endswith("_COMPLETE") and name.startswith("_") for name in os.environ):
            build().main(args=given, prog_name=program)
            return
        words = arguments.order(given, command_index.TOP)
        options, ini, rest = _taken_apart(words)
        command = build(only=command_index.MODULES.get(rest[0]) if rest else None)
        nodes = _in_turn(options, ini, rest)
        if nodes:
            _for_each(nodes, words, command, program)
        else:
            command.main(args=words, prog_name=program)


def _taken_apart(words: Sequence[str]) -> tuple[set[str], str, Sequence[str]]:
    """Return the global options, the INI ("": none), and the command with what follows, of words in order."""
    at, given = 0, set()
    while at < len(words) and words[at].startswith("-"):
        name = words[at].partition("=")[0]
        given.add(name)
        at += 2 if command_index.TOP.options.get(name) and name == words[at] else 1
    return given, (words[at] if at < len(words) else ""), words[at + 1 :]


def _in_turn(given: set[str], ini: str, rest: Sequence[str]) -> list[str]:
    """Return the nodes for which a command line is run one after the other, [] when it is run once."""
    once = rest[:1] == ["replay"] and "--once" in rest
    about_nodes = once or (rest and rest[0] in PER_NODE) or given & {"--rewind", "--reset"}
    if not ini or not about_nodes or "--node" in given or {"-h", "--help"} & set(rest):
        return []
    config: Any = importlib.import_module("londiste_lite.config")
    try:
        return [s.partition(":")[2].strip() for s in config.sections_of(ini) if s.startswith(f"{NODE}:")]
    except LondisteError:
        return []  # the command itself will say what is wrong with the INI


def _for_each(nodes: Sequence[str], words: Sequence[str], command: Any, program: str) -> None:
    """Run a command for each node; one that fails does not keep the others from their turn.

    What they print as JSON becomes one object with the nodes' names as keys. Ends with the highest exit code.
    """
    worst = 0
    found: dict[str, Any] = {}
    for node in nodes:
        with output.gathered_json() as gathered:
            if "--json" not in words:
                output.message(f"node {node}:")
            try:
                with error_boundary():
                    command.main(args=["--node", node, *words], prog_name=program)
            except SystemExit as end:
                worst = max(worst, end.code if isinstance(end.code, int) else int(bool(end.code)))
        if gathered:
            found[node] = gathered[0] if len(gathered) == 1 else gathered
    if found:
        output.json(found)
    sys.exit(worst)
