"""A script with an INI: options, log, daemon, signals, connections, and a loop that survives the server's restarts."""

from __future__ import annotations

import argparse
import logging
import select
import signal
import threading
import time
from collections.abc import Sequence
from typing import Any

from londiste_lite import __version__, config, daemon, db, driver, logs, output
from londiste_lite.backoff import Backoff
from londiste_lite.config import ServiceSettings
from londiste_lite.context import Context
from londiste_lite.error_boundary import error_boundary
from londiste_lite.errors import LondisteError
from londiste_lite.pgq.keys import Keys
from londiste_lite.stop_flag import StopFlag

log = logging.getLogger(__name__)

_SIGNALS = (
    ("reload", signal.SIGHUP, "reload its settings"),
    ("stop", signal.SIGINT, "stop after its batch"),
    ("kill", signal.SIGTERM, "stop at once"),
)
_PACE = 0.2
# Seconds that a script's own code gets to end after a stop at once; its transactions are rolled back in any case.
_GRACE = 5.0
_REPEAT_SECONDS = 60.0


class _ScriptContext(Context):
    """The program's own way to run a daemon, for the section of a script."""

    def __init__(self, ini: str, section: str, *, verbose: bool, quiet: bool, daemon: bool) -> None:
        super().__init__(ini, verbose=verbose, quiet=quiet, daemon=daemon)
        self._section = section
        self.command = section
        self.settings = self._read()

    def _read(self) -> ServiceSettings:
        settings = config.load_service(self.ini or "", self._section)
        self._set_up_logs(settings)
        logs.write_notes(settings.notes)
        return settings

    def reload(self) -> None:
        try:
            self.settings = self._read()
        except LondisteError as error:
            log.error("the INI cannot be reloaded, the settings stay as they are: %s", error.message)

    def after_fork(self) -> None:
        self._in_background = True
        self._set_up_logs(self.settings)


class DBScript:
    """A script for databases; subclasses implement `work`.

    `args` are the command line's words without the program: options and the INI, whose section `service_name` is in
    `self.cf`. Wrong ones end the process with a message, as every error of a user does.
    """

    def __init__(self, service_name: str, args: Sequence[str]) -> None:
        self.service_name = service_name
        self._stop = StopFlag()
        self._connections: dict[str, Any] = {}
        self._ages: dict[str, float] = {}
        self._stats: dict[str, float] = {}
        self._single = False
        with error_boundary():
            parser = self.init_optparse()
            self.options = parser.parse_args(list(args))
            self.args: list[str] = self.options.args
            if not self.args:
                parser.error("need an INI file")
            options = self.options
            self._context = _ScriptContext(
                self.args[0], service_name, verbose=options.verbose, quiet=options.quiet, daemon=options.daemon
            )
            self.reload()
        self.log = logging.getLogger(self.job_name)

    def init_optparse(self, parser: argparse.ArgumentParser | None = None) -> argparse.ArgumentParser:
        """Return the parser of the command line; a subclass may add options to it."""
        parser = parser or argparse.ArgumentParser()
        parser.add_argument("args", nargs="*", metavar="INI", help="file with the settings")
        flags = (
            ("-q", "--quiet", "show warnings and errors only"),
            ("-v", "--verbose", "show debug lines as well"),
            ("-d", "--daemon", "run in the background; needs a pidfile"),
            ("-r", "--reload", "tell the running process to reload"),
            ("-s", "--stop", "tell it to stop after its batch"),
            ("-k", "--kill", "tell it to stop at once"),
        )
        for short, long, text in flags:
            parser.add_argument(short, long, action="store_true", help=text)
        parser.add_argument("-V", "--version", action="version", version=f"londiste_lite {__version__}")
        return parser

    # --- running --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Do what the command line asks for: signal a running process, or run until told to stop."""
        with error_boundary():
            asked = False
            for name, number, meaning in _SIGNALS:
                if getattr(self.options, name):
                    asked = True
                    output.message(daemon.signal_owner(self._context.settings.pidfile, number, meaning))
            if asked:
                return
            self._context.run_service(self._context.settings, self._supervise, self.check)

    def check(self) -> None:
        """Look for what would keep the script from working at all; with -d it is shown in the shell."""

    def startup(self) -> None:
        """Run once before the first `work`, again after an error in it; a subclass may add to it."""

    def reload(self) -> None:
        """Take over the settings, at the start and after SIGHUP; a subclass may add to it."""
        settings = self._context.settings
        self.cf = Keys(settings.path, settings.section, settings.values)
        self.job_name = settings.job_name
        self.loop_delay = settings.loop_delay

    def work(self) -> Any:
        """Do one round; a true result means that there may be more to do at once."""
        raise NotImplementedError("a script has a method `work`")

    def reset(self) -> None:
        """Forget what an error may have broken, the connections; a subclass may add to it."""
        self._close_all()

    def set_single_loop(self, do_single_loop: bool) -> None:
        """Let the script end after one round, with exit code 1 if that fails, or go on until it is told to stop."""
        self._single = bool(do_single_loop)

    def stop(self) -> None:
        """Let the script end after this round."""
        self._stop.request(reason="")

    def _supervise(self, stop: StopFlag) -> None:
        """Run the loop in a thread that is left behind when it does not end after a stop at once."""
        self._stop = stop
        forget = stop.on_stop_at_once(self._cancel)
        failure: list[BaseException] = []

        def guarded() -> None:
            try:
                self._loop(stop)
            except BaseException as error:
                failure.append(error)

        thread = threading.Thread(target=guarded, name="script", daemon=True)
        thread.start()
        deadline = None
        while thread.is_alive():
            thread.join(_PACE)
            if stop.at_once:
                deadline = deadline or time.monotonic() + _GRACE
                if time.monotonic() > deadline:
                    log.warning("the script's own code did not end in %g s and is left behind", _GRACE)
                    return
        forget()
        if failure:
            raise failure[0]

    def _loop(self, stop: StopFlag) -> None:
        backoff = Backoff(first=0.25, longest=15.0)
        complaint, said_at = "", 0.0
        begun = False
        while not stop.requested:
            if stop.take_reload():
                self.reload()
            try:
                if not begun:
                    self.startup()
                    begun = True
                more = self.work()
                backoff.reset()
                complaint = ""
                self._emit_stats()
                self._close_old()
                if self._single:
                    break
                if not more and not stop.requested:
                    self.rest(self.loop_delay)
            except Exception as error:
                self.reset()
                if stop.requested:
                    break
                if self._single:
                    if isinstance(error, driver.DriverError):
                        raise db.translate(error) from error
                    raise
                if not isinstance(error, LondisteError | driver.DriverError | OSError):
                    log.exception("the script failed; trying again")
                elif str(error) != complaint or time.monotonic() - said_at > _REPEAT_SECONDS:
                    shown = db.translate(error) if isinstance(error, driver.DriverError) else error
                    hint = f" Hint: {shown.hint}" if isinstance(shown, LondisteError) and shown.hint else ""
                    log.error("%s.%s Trying again", str(shown).rstrip("."), hint)
                    complaint, said_at = str(error), time.monotonic()
                stop.wait(backoff.next_delay())
        self._close_all()

    def rest(self, seconds: float) -> None:
        """Wait up to `seconds`, or until told to stop."""
        self._stop.wait(seconds)

    def rest_until_notified(self, connection: Any, seconds: float) -> None:
        """Wait up to `seconds` for a notification on `connection`, or until told to stop."""
        deadline = time.monotonic() + seconds
        while not self._stop.requested and not connection.notifies and time.monotonic() < deadline:
            left = max(0.0, min(_PACE, deadline - time.monotonic()))
            if select.select([connection], [], [], left)[0]:
                connection.poll()
        connection.notifies.clear()

    # --- connections ----------------------------------------------------------------------------------------

    def get_database(
        self,
        name: str,
        autocommit: int = 0,
        isolation_level: int = -1,
        cache: str | None = None,
        connstr: str | None = None,
    ) -> Any:
        """Return the connection to the database of the INI key `name`, opened when it is not.

        It is a psycopg2 connection whose rows have fields by number and by name. `cache` keeps several connections to
        one database apart, `connstr` stands in for the key.
        """
        key = cache or name
        there = self._connections.get(key)
        if there is None or there.closed:
            dsn = connstr or self.cf.get(name)
            there = driver.open_plain(dsn, job=self.job_name, role=key, autocommit=bool(autocommit))
            if isolation_level >= 0:
                there.set_isolation_level(isolation_level)
            self._connections[key] = there
            self._ages[key] = time.monotonic()
        return there

    def close_database(self, name: str) -> None:
        """Close a connection; what is not committed is rolled back."""
        there = self._connections.pop(name, None)
        if there is not None:
            driver.close_plain(there)

    def _close_all(self) -> None:
        for name in list(self._connections):
            self.close_database(name)

    def _close_old(self) -> None:
        lifetime = self._context.settings.connection_lifetime
        for name in list(self._connections):
            if 0 < lifetime < time.monotonic() - self._ages[name]:
                self.close_database(name)

    def _cancel(self) -> None:
        for connection in list(self._connections.values()):
            driver.cancel_plain(connection)

    # --- counts ---------------------------------------------------------------------------------------------

    def stat_put(self, key: str, value: float) -> None:
        """Set a number that is shown in the log after this round."""
        self._stats[key] = value

    def stat_increase(self, key: str, increase: float = 1) -> None:
        """Add to a number that is shown in the log after this round."""
        self._stats[key] = self._stats.get(key, 0) + increase

    stat_add = stat_put  # what it was in Skytools, whatever its name says

    def _emit_stats(self) -> None:
        if self._stats:
            self.log.info("%s", ", ".join(f"{key}: {value:g}" for key, value in self._stats.items()))
            self._stats = {}
