"""Settings from an INI file: every key checked by the table in `options`, all problems in one report.

`ini_text` knows how a file is written, `option_values` what a value may be; the rest of the program sees frozen
dataclasses and never a file.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from londiste_lite import ini_text, names, option_values, options
from londiste_lite.errors import ConfigError
from londiste_lite.ini_text import IniText
from londiste_lite.option_values import BacklogBound
from londiste_lite.options import LONDISTE, QUEUE, Option

__all__ = [
    "BacklogBound",
    "LinkSettings",
    "LondisteSettings",
    "Note",
    "QueueSettings",
    "ServiceSettings",
    "Settings",
    "load",
]


@dataclass(frozen=True)
class Note:
    """Something worth a log line that is no error: `level` is a level of `logging`."""

    level: int
    text: str


DEBUG, INFO, WARNING = 10, 20, 30


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every section has. Times are seconds; files are absolute paths, None when not configured.

    `values` holds every key of the section as text, expanded, unknown ones included; `sections` the same for the other
    sections of the file. `extra` is the part of `values` that the program itself does not know.
    """

    path: str
    section: str
    job_name: str
    pidfile: Path | None
    logfile: Path | None
    log_size: int
    log_count: int
    use_skylog: bool
    loop_delay: float
    connection_lifetime: float
    values: Mapping[str, str] = field(repr=False, compare=False)
    extra: Mapping[str, str] = field(repr=False)
    sections: Mapping[str, Mapping[str, str]] = field(repr=False, compare=False)
    notes: tuple[Note, ...] = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class LondisteSettings(Settings):
    """The `[londiste]` section. `lock_timeout` 0 is no limit; `node` None is every row; `compare_sql` may be empty."""

    provider_db: str = field(repr=False)
    subscriber_db: str = field(repr=False)
    queue: str
    consumer: str
    lock_timeout: float
    compare_sql: str
    node: str | None
    apply: str
    on_error: str
    parallel_copies: int
    copy_jobs: int
    max_batch_rows: int
    park_after: BacklogBound | None
    metrics_port: int


@dataclass(frozen=True, kw_only=True)
class QueueSettings(Settings):
    """The `[pgqadm]` section; all times in seconds."""

    db: str = field(repr=False)
    maint_delay: float
    queue_refresh_period: float
    ticker_log_delay: float


@dataclass(frozen=True, kw_only=True)
class ServiceSettings(Settings):
    """The section of a consumer written with the Python API; its own keys are in `values`."""


@dataclass(frozen=True, kw_only=True)
class LinkSettings(Settings):
    """A `[relay]` or `[pull]` section: one flow of events from a queue.

    `link` is `relay` or `pull`, `name` what stands behind the colon.
    `dst_queue` is set for a relay; `node`, `pull_function` and `on_error` are for a pull.
    """

    link: str
    name: str
    src_db: str = field(repr=False)
    dst_db: str = field(repr=False)
    queue: str
    consumer: str
    max_batch_rows: int
    dst_queue: str | None = None
    node: str | None = None
    pull_function: str | None = None
    on_error: str = "stop"


AnySettings = TypeVar("AnySettings", bound=Settings)


def load(path: str | os.PathLike[str], section: str | None = None) -> LondisteSettings | QueueSettings:
    """Read the INI file `path`: its `[londiste]` section if there is one, else `[pgqadm]`, or the one named.

    Raises ConfigError with one line per problem, each naming file, section and key.
    """
    name = os.fspath(path)
    found = _read(name)
    section = section or next((known for known in options.SECTIONS if known in found.sections), LONDISTE)
    reading = _Reading(name, section, found)
    if section == QUEUE:
        common = reading.common()
        return reading.finish(QueueSettings, **common, **reading.take("db", "queue_refresh_period", "ticker_log_delay"))
    return _londiste(reading)


def _londiste(reading: _Reading, node: str = "") -> LondisteSettings:
    """Return the settings of a subscriber; `node` is the name of a [node:NAME] section."""
    common = reading.common()
    values = reading.take(*(row.name for row in options.OPTIONS if row.sections == (LONDISTE,) and not row.ignored))
    values["queue"] = values.pop("pgq_queue_name")
    consumer = values.pop("pgq_consumer_id") or common["job_name"]
    values["consumer"] = f"{consumer}_{node}" if node and "pgq_consumer_id" not in reading.own else consumer
    values["node"] = values["node"] or node or None
    sides = (values["provider_db"], values["subscriber_db"])
    if all(sides) and _words(sides[0]) == _words(sides[1]):
        reading.problem("", "provider_db and subscriber_db are the same database")
    return reading.finish(LondisteSettings, **common, **values)


def load_nodes(path: str | os.PathLike[str]) -> dict[str, LondisteSettings]:
    """Read the sections [node:NAME] of the INI file `path`, each with the keys of [londiste] behind its own, by name.

    Raises ConfigError with every problem of every section; without such a section the result is empty.
    """
    name = os.fspath(path)
    found = _read(name)
    base = dict(found.sections.get(LONDISTE, {}))
    base.setdefault("job_name", found.defaults.get("job_name", LONDISTE))
    nodes: dict[str, LondisteSettings] = {}
    problems: list[str] = []
    for section in found.sections:
        if options.kind_of(section) != options.NODE:
            continue
        node = section.partition(":")[2].strip()
        try:
            nodes[node] = _londiste(_Reading(name, section, found, base=base), node)
        except ConfigError as error:
            problems += [line for line in error.message.split("\n") if line not in problems]
    for kind, of in (
        ("consumer", lambda one: one.consumer),
        ("subscriber_db", lambda one: tuple(_words(one.subscriber_db))),
    ):
        taken: dict[object, LondisteSettings] = {}
        for one in nodes.values():
            first = taken.setdefault(of(one), one)
            if first is not one:
                problems.append(f"{name}: [{one.section}] has the {kind} of [{first.section}]")
    if problems:
        raise ConfigError("\n".join(problems))
    return nodes


def load_service(path: str | os.PathLike[str], section: str) -> ServiceSettings:
    """Read the section of a consumer written with the Python API. Raises ConfigError as `load` does."""
    name = os.fspath(path)
    reading = _Reading(name, section, _read(name), strict=False)
    return reading.finish(ServiceSettings, **reading.common())


def load_links(path: str | os.PathLike[str], kinds: Sequence[str]) -> tuple[LinkSettings, ...]:
    """Read all sections of the INI file `path` that are of `kinds` (`relay`, `pull`), in the order of the file.

    Raises ConfigError with every problem of every section; without such a section the result is empty.
    """
    name = os.fspath(path)
    found = _read(name)
    links: list[LinkSettings] = []
    problems: list[str] = []
    for section in found.sections:
        if options.kind_of(section) in kinds:
            try:
                links.append(_link(_Reading(name, section, found)))
            except ConfigError as error:
                problems += [line for line in error.message.split("\n") if line not in problems]
    for first, second in itertools.combinations(links, 2):
        if (first.consumer, first.dst_db) == (second.consumer, second.dst_db):
            problems.append(
                f'{name}: [{second.section}] has the consumer "{first.consumer}" of [{first.section}] '
                "on the same dst_db; give it another pgq_consumer_id"
            )
    if problems:
        raise ConfigError("\n".join(problems))
    return tuple(links)


def _link(reading: _Reading) -> LinkSettings:
    kind, _, name = reading.section.partition(":")
    reading.values.setdefault("job_name", "")
    job = reading.own.get("job_name")
    if job is None and "job_name" not in reading.found.defaults:
        reading.values["job_name"] = reading.section.replace(":", "_")
    common = reading.common()
    values = reading.take(*(row.name for row in reading.rows.values() if row.sections != options.BOTH))
    values["queue"] = values.pop("pgq_queue_name")
    values["dst_queue"] = values.pop("dst_queue_name", None)
    suffix = f"_{name}" if name and job is None and "job_name" in reading.found.defaults else ""
    values["consumer"] = values.pop("pgq_consumer_id") or f"{common['job_name']}{suffix}"
    if kind == options.PULL:
        values["node"] = values["node"] or name
        if not values["node"]:
            reading.problem("node", "is required, but missing")
    sides = (values["src_db"], values["dst_db"])
    if all(sides) and _words(sides[0]) == _words(sides[1]) and kind == options.PULL:
        reading.problem("", "src_db and dst_db are the same database")
    return reading.finish(LinkSettings, link=kind, name=name, **common, **values)


def sections_of(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the names of the sections of the INI file `path`. Raises ConfigError when it cannot be read."""
    return tuple(_read(os.fspath(path)).sections)


def _read(path: str) -> IniText:
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except FileNotFoundError:
        if "://" in path or "password" in path.lower():
            # A connection string in the INI's place may hold a password.
            raise ConfigError("expected an INI file first, not a connection string") from None
        raise ConfigError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: expected an INI file, this is a directory") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{path}: cannot be read: {reason}") from None
    try:
        return ini_text.parse(ini_text.decode(raw))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def _words(dsn: str) -> list[str]:
    return sorted(dsn.split())


class _Reading:
    """One section on its way to settings: collects values, notes and problems."""

    def __init__(
        self,
        path: str,
        section: str,
        found: IniText,
        strict: bool = True,
        base: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.path, self.section, self.found, self.strict = path, section, found, strict
        self.problems = [f"{path}: {text}" for text in found.problems]
        self.notes: list[Note] = []
        self.rows = options.of_section(section)
        own = found.sections.get(section)
        if own is None:
            self.problems.append(f"{path}: {self._missing_section()}")
            raise ConfigError("\n".join(self.problems))
        self.own = own
        self.used: set[str] = set()
        self.raw = {**_builtin(section), **found.defaults, **(base or {}), **own}
        self.values = {key: self._expanded(key, value) for key, value in self.raw.items()}

    def _missing_section(self) -> str:
        wanted = f"[{self.section}]" if self.section not in options.SECTIONS else "[londiste] or [pgqadm]"
        there = ", ".join(f"[{name}]" for name in self.found.sections) or "no section at all"
        near = [name for name in self.found.sections if name.lower() == self.section.lower()]
        return f"expected a section {wanted}, found {there}" + (" (case matters)" if near else "")

    def problem(self, key: str, text: str) -> None:
        self.problems.append(f"{self.path}: [{self.section}] {f'{key}: ' if key else ''}{text}")

    def note(self, level: int, key: str, text: str) -> None:
        self.notes.append(Note(level, f"{self.path}: [{self.section}] {key}: {text}"))

    def _expanded(self, key: str, value: str) -> str:
        try:
            return ini_text.expand(value, self.raw, self.used)
        except ini_text.BadReference as error:
            self.problem(key, str(error))
            return ""

    def common(self) -> dict[str, Any]:
        """Return the keys that all sections share; an empty job_name is the section's name."""
        common = self.take(*(row.name for row in options.OPTIONS if row.sections == options.BOTH))
        common["job_name"] = common["job_name"] or self.section
        if self.values.get("use_skylog") and common["use_skylog"]:
            self.note(INFO, "use_skylog", "skylog.ini is not read; log lines go to logfile and standard error")
        return common

    def take(self, *keys: str) -> dict[str, Any]:
        """Return the typed values of `keys`; a value that does not fit becomes a problem and None."""
        return {key: self._one(self.rows[key]) for key in keys}

    def _one(self, row: Option) -> option_values.Value:
        text = self.values.get(row.name, "")
        if row.required and not text and not any(f"] {row.name}: " in line for line in self.problems):
            self.problem(row.name, "is required" + (", but empty" if row.name in self.values else ", but missing"))
        try:
            value, note = option_values.parse(row, text)
        except option_values.BadValue as error:
            self.problem(row.name, str(error))
            return None
        if note:
            self.note(WARNING, row.name, note)
        return value

    def aliased(self, row: Option) -> option_values.Value:
        """Return the value of the key `row`, or that of an older spelling when only this one is set."""
        chosen = self._one(row)
        for old in self.rows.values():
            if old.alias_of == row.name and self.values.get(old.name):
                value = self._one(old)
                if self.values.get(row.name):
                    self.note(INFO, old.name, f"ignored, {row.name} is set as well")
                else:
                    per = f" ({old.unit} there, seconds here)" if old.unit else ""
                    # Old files are welcome as they are: of interest only to who asks for more with -v.
                    self.note(DEBUG, old.name, f"the key is now called {row.name}{per}")
                    chosen = value
        return chosen

    def _look_at_unread(self) -> dict[str, str]:
        """Note keys that have no effect; return the unknown ones."""
        extra = {}
        for key in self.own:
            row = self.rows.get(key)
            if row is None:
                extra[key] = self.values[key]
                if self.strict and key not in self.used:
                    self.note(WARNING, key, _unknown(key, self.section, list(self.rows)))
            elif row.planned and self.values[key] != row.default:
                self.note(WARNING, key, "this version reads the key, but it has no effect yet")
            elif row.ignored and self.values[key] not in ("", "0"):
                self.note(INFO, key, f"ignored: {row.ignored}")
        return extra

    def finish(self, kind: type[AnySettings], **values: Any) -> AnySettings:
        """Build the settings, or raise ConfigError with everything that was found wrong."""
        if kind is QueueSettings:
            values["maint_delay"] = self.aliased(self.rows["maint_delay"])
        extra = self._look_at_unread()
        if self.problems:
            # A key that is missing may be there, misspelt.
            warnings = [note.text for note in self.notes if note.level >= WARNING]
            raise ConfigError("\n".join(self.problems + warnings))
        return kind(
            path=self.path,
            section=self.section,
            values=MappingProxyType(self.values),
            extra=MappingProxyType(extra),
            sections=_all_sections(self.found),
            notes=tuple(self.notes),
            **values,
        )


def _builtin(section: str) -> dict[str, str]:
    return {"job_name": section, "service_name": section, "host_name": socket.gethostname()}


def _unknown(key: str, section: str, known: list[str]) -> str:
    near = names.nearest(key, known)
    if near:
        return f'unknown key, ignored; did you mean "{near[0]}"?'
    others = [row.sections[0] for row in options.OPTIONS if row.name == key and section not in row.sections]
    return f"unknown key, ignored; it belongs to [{others[0]}]" if others else "unknown key, ignored"


def _all_sections(found: IniText) -> Mapping[str, Mapping[str, str]]:
    # Another section's bad reference is that section's business, so its raw text stands in.
    result: dict[str, Mapping[str, str]] = {}
    for name, own in found.sections.items():
        raw = {**_builtin(name), **found.defaults, **own}
        result[name] = MappingProxyType({key: _expanded_or_raw(value, raw) for key, value in raw.items()})
    return MappingProxyType(result)


def _expanded_or_raw(value: str, raw: dict[str, str]) -> str:
    try:
        return ini_text.expand(value, raw)
    except ini_text.BadReference:
        return value
