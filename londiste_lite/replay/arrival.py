"""How a subscriber begins or comes back: it names itself on the provider, and learns what happened meanwhile."""

from __future__ import annotations

import logging

from londiste_lite import claims, crash_points, event_queue, subscribed
from londiste_lite.db import Database
from londiste_lite.event_queue import Queue
from londiste_lite.replay import position
from londiste_lite.replay.settings import ReplaySettings

log = logging.getLogger(__name__)


def arrive(provider: Database, subscriber: Database, queue: Queue, settings: ReplaySettings) -> None:
    """Make the subscriber's tables fit what it missed, then say on the provider who it is.

    Each step may be cut short: what makes it necessary is cleared by the last one. After it was parked its tables are
    copied anew, unless the queue still has all that it missed; and so they are when it has another node name.
    """
    known = claims.find(provider, queue.name, settings.consumer)
    if known is not None and known.parked is not None:
        _return(provider, subscriber, queue, settings.consumer)
    if known is not None and known.node != settings.node:
        log.warning(
            "this subscriber was node %s and is %s now; its tables are copied anew",
            _name(known.node),
            _name(settings.node),
        )
        subscribed.forget_all(subscriber, queue.name)
    crash_points.reached("arrival-announced")
    claims.announce(provider, queue.name, settings.consumer, settings.node, settings.park_events, settings.park_seconds)


def _return(provider: Database, subscriber: Database, queue: Queue, consumer: str) -> None:
    applied = position.stored(subscriber, consumer)
    if applied is not None and event_queue.tick_by_id(provider, queue, applied) is not None:
        event_queue.move_to(provider, queue.name, consumer, applied)
        log.info("this subscriber was parked; the queue still has all that it missed")
        return
    event_queue.register(provider, queue.name, consumer)
    crash_points.reached("arrival-registered")
    held = event_queue.position(provider, queue.name, consumer)
    tick = None if held is None else event_queue.tick_by_id(provider, queue, held)
    with subscriber.transaction():
        subscribed.forget_all(subscriber, queue.name)
        if tick is not None:
            position.store(subscriber, queue.name, consumer, tick)
    log.warning("this subscriber was parked, and the queue has forgotten what it missed; its tables are copied anew")


def _name(node: str | None) -> str:
    return "without a name" if node is None else f'"{node}"'
