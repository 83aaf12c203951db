"""What every command gets as `ctx.obj`: the INI's settings, loaded when first asked for, and ways to run long work."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from londiste_lite import options, output, signals
from londiste_lite.config import LinkSettings, LondisteSettings, QueueSettings, Settings
from londiste_lite.daemon import notify_systemd, process, run_supervised, supervised_by_systemd
from londiste_lite.errors import ConfigError, LondisteError, StopRequested, UsageError
from londiste_lite.names import nearest
from londiste_lite.options import LINKS, LONDISTE, NODE, QUEUE, SECTIONS
from londiste_lite.stop_flag import StopFlag

log = logging.getLogger(__name__)
Result = TypeVar("Result")


def has_nodes(sections: Iterable[str]) -> bool:
    """Tell whether these are the sections of an INI for several nodes."""
    return any(options.kind_of(section) == NODE for section in sections)


class Context:
    """One call of the program. `ini` is None when the command line named none; `command` is for messages."""

    def __init__(
        self,
        ini: str | None,
        *,
        verbose: bool = False,
        quiet: bool = False,
        daemon: bool = False,
        prefer: str = LONDISTE,
        node: str | None = None,
    ) -> None:
        self.ini = ini
        self.node = node
        self.verbose = verbose
        self.quiet = quiet
        self.daemon = daemon
        self.command = "this command"
        self._prefer = prefer
        self._loaded: LondisteSettings | QueueSettings | None = None
        self._links: tuple[LinkSettings, ...] = ()
        self._in_background = False

    # --- settings ---------------------------------------------------------------------------------------------

    def londiste(self) -> LondisteSettings:
        """Return the `[londiste]` settings. Raises ConfigError for a bad INI or one of the other kind."""
        settings = self._settings(LONDISTE)
        assert isinstance(settings, LondisteSettings)
        return settings

    def nodes(self) -> dict[str, LondisteSettings]:
        """Return the settings of the INI's [node:NAME] sections by name, of the one named with --node alone.

        Empty for an INI without such sections. Raises ConfigError, also for a node that is not there.
        """
        from londiste_lite import config

        if not self.ini:
            return {}
        found = config.load_nodes(self.ini)
        if self.node is None:
            return found
        if self.node not in found:
            near = nearest(self.node, list(found))
            there = "no [node:NAME] sections" if not found else f"no section [node:{self.node}]"
            raise ConfigError(f"{self.ini} has {there}", hint=f'Did you mean "{near[0]}"?' if near else None)
        return {self.node: found[self.node]}

    def queue(self) -> QueueSettings:
        """Return the `[pgqadm]` settings. Raises ConfigError for a bad INI or one of the other kind."""
        settings = self._settings(QUEUE)
        assert isinstance(settings, QueueSettings)
        return settings

    def either(self, prefer: str | None = None) -> LondisteSettings | QueueSettings:
        """Return the settings of the section that is there; with both, of `prefer` or by the program's name."""
        if self._loaded is None:
            there = self._sections()
            wanted = prefer or self._prefer
            self._loaded = self._load(wanted if wanted in there else None)
        return self._loaded

    def links(self, *kinds: str) -> tuple[LinkSettings, ...]:
        """Return the `[relay]` or `[pull]` sections. Raises ConfigError for a bad INI or one of another kind."""
        there = self._sections("node.ini")
        self._links = self._load_links(kinds)
        if not self._links:
            wanted = " or ".join(f"[{kind}]" for kind in kinds)
            has = ", ".join(f"[{section}]" for section in there) or "no section"
            raise ConfigError(
                f'"{self.command}" needs an INI with a {wanted} section; {self.ini} has {has}',
                hint="docs/push-pull.md shows such INIs.",
            )
        return self._links

    def _load_links(self, kinds: tuple[str, ...]) -> tuple[LinkSettings, ...]:
        from londiste_lite import config, logs

        found = config.load_links(self.ini or "", kinds)
        if found:
            self._set_up_logs(found[0])
        for link in found:
            logs.write_notes(link.notes)
        return found

    def of_process(self) -> Settings:
        """Return the settings that say where the pidfile of a running process is, whatever kind the INI is."""
        there = self._sections()
        if not any(section in SECTIONS for section in there) and not has_nodes(there):
            found = self._load_links(LINKS)
            if found:
                return found[0]
        return self.either()

    def _settings(self, section: str) -> LondisteSettings | QueueSettings:
        if self._loaded is None or options.root_of(self._loaded.section) != section:
            there = self._sections("ticker.ini" if section == QUEUE else "replica.ini")
            other = QUEUE if section == LONDISTE else LONDISTE
            if section not in there and other in there and not (section == LONDISTE and has_nodes(there)):
                raise ConfigError(
                    f'"{self.command}" needs an INI with a [{section}] section; {self.ini} has [{other}]',
                    hint="[londiste] INIs are for replication, [pgqadm] INIs for the queue and its ticker.",
                )
            self._loaded = self._load(section)
        return self._loaded

    def _sections(self, example: str = "replica.ini") -> tuple[str, ...]:
        from londiste_lite import config

        if not self.ini:
            raise UsageError(
                f'"{self.command}" needs an INI file', hint=f"Name it first: londiste_lite {example} {self.command}"
            )
        return config.sections_of(self.ini)

    def _load(self, section: str | None) -> LondisteSettings | QueueSettings:
        from londiste_lite import config, logs

        settings: LondisteSettings | QueueSettings
        if options.root_of(section or LONDISTE) == LONDISTE and (self.node or has_nodes(self._sections())):
            # Without --node: for commands about the provider, which is the same for all nodes.
            settings = next(iter(self.nodes().values()))
        else:
            settings = config.load(self.ini or "", section)
        self._set_up_logs(settings)
        logs.write_notes(settings.notes)
        return settings

    def _set_up_logs(self, settings: Settings) -> None:
        from londiste_lite import logs

        logs.setup(settings, verbose=self.verbose, quiet=self.quiet, daemon=self._in_background)

    def reload(self) -> None:
        """Read the INI again and reopen the log file; settings that are wrong now are logged and the old ones stay."""
        old = self._loaded
        try:
            if old is not None:
                self._loaded = self._load(old.section)
            elif self._links:
                self._links = self._load_links(tuple({link.link for link in self._links}))
        except LondisteError as error:
            log.error("the INI cannot be reloaded, the settings stay as they are: %s", error.message)

    # --- long work --------------------------------------------------------------------------------------------

    def run(self, work: Callable[[StopFlag], Result]) -> Result:
        """Run `work` in the foreground under signals and return its result.

        SIGINT sets the stop flag, SIGTERM with `at_once`. Raises StopRequested when a signal ended the work.
        """
        stop = StopFlag()
        results: list[Result] = []
        with signals.stop_on_signals(stop):
            try:
                run_supervised(lambda: results.append(work(stop)), stop)
            except LondisteError as error:
                # What was cut short may fail in any way, which is of no interest any more.
                if stop.reason and not isinstance(error, StopRequested):
                    raise StopRequested(f"interrupted by {stop.reason}") from error
                raise
        if stop.reason:
            raise StopRequested(f"interrupted by {stop.reason}")
        return results[0]

    def run_service(
        self,
        settings: Settings,
        work: Callable[[StopFlag], None],
        prepare: Callable[[], None] | None = None,
    ) -> None:
        """Run a daemon's `work` until it ends: with the pidfile held, under signals, in the background with -d.

        `prepare` runs first: with -d its failure is shown in the shell that started the daemon, which gets its 0 once
        `prepare` is done. SIGHUP reads the INI again and sets the reload flag. A stop that was asked for is a success,
        except that Ctrl-C in the foreground raises StopRequested.
        """
        stop = StopFlag()
        if self.daemon and settings.logfile is None:
            output.warning("no logfile is configured, so the messages of the background process are lost")
        with process(settings.pidfile, background=self.daemon, after_fork=self.after_fork) as readiness:
            with signals.stop_on_signals(stop, self.reload):
                if prepare is not None:
                    run_supervised(prepare, stop)
                readiness.ready()
                log.info("%s started", self.command)
                with contextlib.suppress(StopRequested):
                    run_supervised(lambda: work(stop), stop)
            notify_systemd("STOPPING=1")
            log.info("%s ended%s", self.command, f" by {stop.reason}" if stop.reason else "")
        if stop.reason == "SIGINT" and not self.daemon and not supervised_by_systemd():
            raise StopRequested(f"interrupted by {stop.reason}")

    def after_fork(self) -> None:
        """In the child that became the daemon: log lines go to the log file only from here on."""
        self._in_background = True
        if self._loaded is not None:
            self._set_up_logs(self._loaded)
        elif self._links:
            self._set_up_logs(self._links[0])
