"""The example unit files: systemd takes them, and their commands do what a Type=notify service has to."""

from __future__ import annotations

import configparser
import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.cli import BIN, Site, until

UNITS = sorted((Path(__file__).parents[2] / "examples" / "systemd").glob("*.service"))
every_unit = pytest.mark.parametrize("unit", UNITS, ids=[unit.stem for unit in UNITS])


def service(unit: Path) -> configparser.SectionProxy:
    """The [Service] section."""
    found = configparser.RawConfigParser(strict=False)
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read(unit)
    return found["Service"]


@every_unit
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_unit__is_taken_by_systemd(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text().replace("/usr/local/bin/", f"{BIN}/").replace("User=londiste", "User=root")
    copy = tmp_path / unit.name
    copy.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@contextlib.contextmanager
def notified(path: Path) -> Iterator[socket.socket]:
    """The socket that systemd would listen on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(30)
        yield listener


@every_unit
def test_unit__starts_reloads_and_stops(unit: Path, site: Site) -> None:
    settings = service(unit)
    assert settings["Type"] == "notify"
    program, _, *words = settings["ExecStart"].split()
    # As the unit's first lines say: without pidfile and logfile.
    if words == ["ticker"]:
        ini = "unit.ini"
        site.cli.write(ini, f"[pgqadm]\njob_name = ticker\ndb = {site.provider_dsn}\n")
    else:
        ini = site.ini("unit.ini", pidfile=None, logfile=None)
    address = Path("/tmp") / f"notify{os.getpid()}"
    address.unlink(missing_ok=True)
    site.cli.environment["NOTIFY_SOCKET"] = str(address)
    try:
        with notified(address) as listener:
            running = site.cli.start(ini, *words, program=Path(program).name)
            assert listener.recv(100) == b"READY=1"
            running.shows("ticking database")
            assert settings["ExecReload"] == "/bin/kill -HUP $MAINPID"
            running.signal(signal.SIGHUP)
            until(lambda: running.text().count("ticking database") == 2, "it goes on after the reload")
            running.signal(signal.Signals[settings["KillSignal"]])
            assert running.ended() == 0
            assert listener.recv(100) == b"STOPPING=1"
    finally:
        address.unlink(missing_ok=True)
    assert "rror" not in running.text()
