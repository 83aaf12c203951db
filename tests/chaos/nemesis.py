"""What is done to the world, one blow after another, each made good again except for what must recover by itself."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable

from londiste_lite import registration
from londiste_lite.errors import LondisteError
from tests.chaos.world import COPIED, QUEUE, World

START_SECONDS = 120.0
# Seconds between two blows: often none has been recovered from when the next one comes.
PAUSES = (0.05, 0.3, 1.0, 2.5, 5.0)


class Nemesis:
    """Strikes at random until told to end; `pauses` are the seconds between two blows, to choose from."""

    def __init__(self, world: World, pauses: tuple[float, ...] = PAUSES) -> None:
        self._world = world
        self._pauses = pauses
        self._dice = world.dice
        self._blows: list[tuple[int, str, Callable[[], object]]] = [
            (4, "kills of the replay", world.replay.kill),
            (2, "kills of the ticker", world.ticker.kill),
            (3, "backends killed", self.kill_backends),
            (2, "fast restarts", lambda: self.restart("fast")),
            (3, "immediate restarts", lambda: self.restart("immediate")),
            (3, "connections cut", lambda: self._dice.choice(world.proxies).cut()),
            (2, "connections stalled", self.stall),
            (2, "connections refused", self.refuse),
            (2, "processes paused", self.pause),
            (3, "tables copied anew", self.copy),
            (3, "kills during a copy", self.kill_copy),
        ]
        if world.tablespace:
            self._blows.append((2, "tablespaces filled", self.fill))

    @property
    def kinds(self) -> list[str]:
        return [name for _, name, _ in self._blows]

    def strike_all(self, until: float) -> None:
        """Strike with every kind once, in random order, then at random until the time `until` (monotonic)."""
        names = self.kinds
        self._dice.shuffle(names)
        for name in names:
            # A blow may miss a server that is just coming back.
            while not self.strike(name):
                time.sleep(0.2)
        weights = [weight for weight, _, _ in self._blows]
        while time.monotonic() < until:
            self.strike(self._dice.choices(self.kinds, weights)[0])

    def strike(self, name: str) -> bool:
        """One blow and the pause after it; return False when it missed."""
        figures = self._world.figures
        figures.note(name)
        try:
            next(act for _, known, act in self._blows if known == name)()
        except LondisteError as error:
            figures.note(f"{name} missed: {error}")
            return False
        figures.add(name)
        time.sleep(self._dice.choice(self._pauses))
        self._world.replay.look()
        self._world.ticker.look()
        return True

    # --- blows --------------------------------------------------------------------------------------------------

    def kill_backends(self) -> None:
        """Terminate some of the program's sessions, and now and then everybody's."""
        side = self._dice.randrange(2)
        some = self._dice.choice(("application_name like 'londiste:%%'", "true"))
        with self._world.connect(self._world.dsns[side]) as db:
            db.run(
                "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() "
                f"and backend_type = 'client backend' and {some} and random() < 0.5".replace("%%", "%")
            )

    def restart(self, how: str) -> None:
        """Stop a server, cleanly or like a crash, and start it after a while."""
        server = self._dice.choice(self._world.servers)
        server.stop(how)
        time.sleep(self._dice.choice((0.0, 0.2, 1.0)))
        server.start(START_SECONDS)

    def stall(self) -> None:
        proxy = self._dice.choice(self._world.proxies)
        proxy.stall()
        time.sleep(self._dice.uniform(0.2, 3.0))
        proxy.resume()

    def refuse(self) -> None:
        proxy = self._dice.choice(self._world.proxies)
        proxy.refuse()
        time.sleep(self._dice.uniform(0.2, 2.0))
        proxy.accept()

    def pause(self) -> None:
        process = self._dice.choice((self._world.replay, self._world.ticker))
        process.signal(signal.SIGSTOP)
        time.sleep(self._dice.uniform(0.2, 2.0))
        process.signal(signal.SIGCONT)

    def copy(self) -> None:
        """Ask for a table to be copied anew."""
        with self._world.connect(self._world.dsns[1]) as db:
            registration.resync(db, QUEUE, [f"public.{self._dice.choice(COPIED)}"])

    def kill_copy(self) -> None:
        """Kill the replay while it copies."""
        self.copy()
        time.sleep(self._dice.uniform(0.0, 0.6))
        self._world.replay.kill()

    def fill(self) -> None:
        """Leave no room in the subscriber's small tablespace for a while."""
        assert self._world.tablespace is not None
        junk = self._world.tablespace / "junk"
        with open(junk, "wb", buffering=0) as file:
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(1 << 16))
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(512))
        time.sleep(self._dice.uniform(0.5, 3.0))
        os.unlink(junk)
