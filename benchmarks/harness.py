"""What the benchmarks share: servers with equal settings, alternating rounds, a table of medians, JSON."""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import londiste_lite
from londiste_lite.db import Database, connect
from londiste_lite.throwaway import ThrowawayServer

# Both sides of every comparison run with these; durability is on, as in production.
SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "autovacuum_naptime": "1min",
    "wal_level": "logical",
    "max_worker_processes": "16",
}


def arguments(doc: str | None, rounds: int = 5) -> argparse.ArgumentParser:
    """A parser with the options that every comparison has; `doc` is the script's own text."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--version", type=int, default=18, help="PostgreSQL for ours and native")
    parser.add_argument("--json", help="write the figures to this file")
    return parser


def plain(dsn: str) -> Database:
    """An ordinary connection: no pinned search_path."""
    return connect(dsn, job="bench", role="bench", settings={"search_path": "public, pg_catalog"})


@contextmanager
def pair(version: int, **settings: str) -> Iterator[tuple[ThrowawayServer, ThrowawayServer]]:
    """Two running servers of one version; `settings` are the server's, beside those that all have."""
    # As an installed package is: each start would translate the sources anew where nothing may keep what comes of it.
    compileall.compile_dir(str(Path(londiste_lite.__file__).parent), quiet=1)
    servers = [ThrowawayServer(version, settings={**SETTINGS, **settings}, name=name) for name in ("p", "s")]
    try:
        for server in servers:
            server.create().start()
        yield servers[0], servers[1]
    finally:
        for server in servers:
            server.remove()


@dataclass
class Series:
    """Measurements of one system in one case; seconds, or whatever `unit` says."""

    system: str
    case: str
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.values)


@dataclass
class Report:
    """All series of a run; prints a table per case with the ratio to the first system."""

    title: str
    unit: str
    digits: int = 0
    notes: list[str] = field(default_factory=list)
    series: dict[tuple[str, str], Series] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)

    def add(self, system: str, case: str, value: float) -> None:
        self.series.setdefault((case, system), Series(system, case)).values.append(value)

    def show(self) -> None:
        print(f"\n{self.title} ({self.unit}; median of {self._rounds()}, minimum and maximum beside it)")
        print(f"{'case':<28}{'system':<22}{'median':>12}{'min':>12}{'max':>12}{'ours / it':>12}")
        for case in dict.fromkeys(case for case, _ in self.series):
            ours = self.series.get((case, "londiste_lite"))
            for (found, system), series in self.series.items():
                if found != case:
                    continue
                ratio = ""
                if ours is not None and system != "londiste_lite":
                    ratio = f"{ours.median / series.median:.2f}"
                figures = (series.median, min(series.values), max(series.values))
                print(f"{case:<28}{system:<22}" + "".join(f"{v:>12,.{self.digits}f}" for v in figures) + f"{ratio:>12}")
        for note in self.notes:
            print(note)

    def _rounds(self) -> int:
        return max((len(s.values) for s in self.series.values()), default=0)

    def write(self, path: str | None) -> None:
        """Write the figures as JSON, with what they were measured on."""
        if not path:
            return
        data = {
            "title": self.title,
            "unit": self.unit,
            "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
            "facts": self.facts,
            "notes": self.notes,
            "results": [
                {"case": s.case, "system": s.system, "median": s.median, "values": s.values}
                for s in self.series.values()
            ],
        }
        Path(path).write_text(json.dumps(data, indent=2) + "\n")


def until(condition: Callable[[], bool], timeout: float = 600.0, pause: float = 0.01) -> None:
    """Poll until `condition` holds. Raises TimeoutError."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(pause)


def program(folder: Path, *arguments: str) -> str:
    """Run our program in `folder` and return its output. Raises CalledProcessError."""
    command = [sys.executable, "-m", "londiste_lite", *arguments]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start our program in the background of this process."""
    log = open(folder / "bench.log", "ab")  # noqa: SIM115  closed with the process
    command = [sys.executable, "-m", "londiste_lite", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)


def peak_memory(pid: int) -> float:
    """The most memory that a process had so far, in MB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, user and system."""
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")
