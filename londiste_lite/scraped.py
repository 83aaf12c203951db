"""What metrics are about: a subscriber, its queue, and how both sides are reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class Scraped:
    """What is measured: one subscriber and its queue, and how both sides are reached."""

    provider_dsn: str
    subscriber_dsn: str
    job: str
    queue: str
    consumer: str
    node: str | None

    @property
    def labels(self) -> list[str]:
        return [self.queue, self.consumer, self.node or ""]


Nodes = Callable[[], Sequence[Scraped]]
