"""`status` and `status --watch` on a real terminal (a pty of 80 columns), and without one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time

from tests.fixtures.cli import BIN, TIMEOUT, Site, until

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>]")


class Terminal:
    """A command on a pty; what it writes is read as it comes."""

    def __init__(self, site: Site, *words: str, columns: int = 80) -> None:
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        environment = {k: v for k, v in site.cli.environment.items() if k not in ("COLUMNS", "NO_COLOR")}
        self.process = subprocess.Popen(
            [str(BIN / "londiste_lite"), *words],
            cwd=site.cli.folder,
            env={**environment, "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0) and None,
        )
        os.close(theirs)
        self.raw = ""

    def read(self) -> str:
        """Everything written so far, without escape sequences."""
        while select.select([self._ours], [], [], 0.05)[0]:
            try:
                data = os.read(self._ours, 65536)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            self.raw += data.decode(errors="replace")
        return _ESCAPE.sub("", self.raw)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def ended(self) -> int:
        """Wait for the end, reading on, and return the exit code."""
        deadline = time.monotonic() + TIMEOUT
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read()
        self.read()
        return self.process.wait(5)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        os.close(self._ours)


def test_status__screen_and_live_screen(site: Site) -> None:
    site.both("create table entry (id int primary key, item text)")
    site.run("provider", "add", "entry")
    site.run("subscriber", "add", "entry")
    with contextlib.closing(Terminal(site, "replica.ini", "status")) as once:
        assert once.ended() == 0
        shown = once.read()
        assert "──▶" not in shown  # nothing replays
        assert "replay not running" in shown
        assert "public.entry" in shown
        assert max(len(line.rstrip("\r")) for line in shown.split("\n")) <= 80
        assert "\x1b[31m" in once.raw  # red
    with contextlib.closing(Terminal(site, "replica.ini", "status", "--watch")) as live:
        until(lambda: live.read().count("public.entry") >= 2, "two screens")
        assert "ins/s" in live.read()
        live.type("\x03")
        assert live.ended() == 130
        assert live.raw.count("\x1b[?1049h") == live.raw.count("\x1b[?1049l") == 1  # the old screen is back
        assert "Traceback" not in live.read()
    # Without a terminal: plain and stable.
    plain = site.run("status")
    assert plain.lines[0] == "queue:          londiste.write"
    assert "\x1b" not in plain.out
    watched = site.cli.start("replica.ini", "status", "--watch")
    until(lambda: watched.text().count("public.entry") >= 2, "two pages")
    watched.kill()
    assert "\x1b" not in watched.text()
    assert "do not go together" in site.run("status", "--watch", "--json", code=2).err
