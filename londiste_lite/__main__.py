"""`python -m londiste_lite`, and what the installed programs call."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run the command line of the process, which ends with its exit code."""
    _open_streams()
    early = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if early:
        # To load the program takes a quarter of a second, in which an interruption would be shown as a traceback.
        signal.signal(signal.SIGINT, _interrupted)
    from londiste_lite.cli import main as run

    if early:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run()
    except KeyboardInterrupt:
        _interrupted(signal.SIGINT, None)


def _open_streams() -> None:
    """Put /dev/null in the place of standard streams that are closed, or the next file would be taken for one."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


def _interrupted(number: int, frame: object) -> None:
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(130)


if __name__ == "__main__":
    main()
