"""Consumers as classes: a script implements what is done with a batch, these bring the batches and keep the position.

`Consumer` works in the queue's own database, `RemoteConsumer` and `SerialConsumer` apply to another one, exactly once:
what they did and the fact that they did it are committed there in one transaction.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

from londiste_lite import db, driver, output
from londiste_lite.error_boundary import error_boundary
from londiste_lite.errors import ConfigError, ObjectNotFound, ReplayError
from londiste_lite.event_queue import tick_channel
from londiste_lite.pgq.event import DONE, RETRY, UNTAGGED, Event
from londiste_lite.pgq.script import DBScript

# Stands among the done events of a batch of which some are to be retried; no event has this number.
_HAS_RETRIES = 0


class Consumer(DBScript):
    """Reads the queue `pgq_queue_name` of the database `db_name` (an INI key) batch by batch.

    A subclass implements `process_event(self, db, event)` or `process_batch(self, db, batch_id, event_list)`. Both run
    in the transaction that finishes the batch, so what they do through `db` happens exactly once.
    """

    def __init__(self, service_name: str, db_name: str, args: Sequence[str]) -> None:
        super().__init__(service_name, args)
        self.db_name = db_name
        self._warned = False
        self._attached = False
        self._listening: Any = None

    def reload(self) -> None:
        super().reload()
        self.queue_name: str = self.cf.get("pgq_queue_name")
        self.pgq_queue_name = self.queue_name
        self.consumer_name: str = self.cf.get("pgq_consumer_id", "") or self.job_name
        self.consumer_id = self.consumer_name

    def check(self) -> None:
        self.cf.get(self.db_name)

    # --- what a subclass implements -------------------------------------------------------------------------

    def process_event(self, db: Any, event: Event) -> None:
        """Deal with one event and tag it."""
        raise NotImplementedError("a consumer has a method `process_event` or `process_batch`")

    def process_batch(self, db: Any, batch_id: int, event_list: list[Event]) -> None:
        """Deal with a batch: by default each event in turn."""
        for event in event_list:
            self.process_event(db, event)

    # --- registration ---------------------------------------------------------------------------------------

    def register_consumer(self) -> bool:
        """Register at the queue; return False when that was so already."""
        source = self.get_database(self.db_name)
        curs = source.cursor()
        curs.execute("select queue_id from pgq.queue where queue_name = %s", [self.queue_name])
        found = curs.fetchone()
        if found is None:
            raise ObjectNotFound(
                f'no event queue "{self.queue_name}" in the database of {self.db_name}',
                hint="Make it with `pgqadm.py ticker.ini create`, or correct pgq_queue_name.",
            )
        self._channel = tick_channel(found[0])
        curs.execute("select pgq.register_consumer(%s, %s)", [self.queue_name, self.consumer_name])
        new = bool(curs.fetchone()[0])
        source.commit()
        if new:
            self.log.info('registered consumer "%s" at queue "%s"', self.consumer_name, self.queue_name)
        return new

    def unregister_consumer(self) -> None:
        """Give up the claim on the queue."""
        source = self.get_database(self.db_name)
        source.cursor().execute("select pgq.unregister_consumer(%s, %s)", [self.queue_name, self.consumer_name])
        source.commit()

    attach = register_consumer
    detach = unregister_consumer

    # --- one batch ------------------------------------------------------------------------------------------

    def work(self) -> bool:
        """Deal with one batch; return whether there was one."""
        if not self._attached:
            self.attach()
            self._attached = True
        source = self.get_database(self.db_name)
        curs = source.cursor()
        if self._listening is not source:
            # Before the look for a batch, so that no tick comes in between unnoticed.
            curs.execute(f'listen "{self._channel}"')
            source.commit()
            self._listening = source
        curs.execute("select pgq.next_batch(%s, %s)", [self.queue_name, self.consumer_name])
        batch_id = curs.fetchone()[0]
        source.commit()
        if batch_id is None:
            return False
        begun = time.monotonic()
        events = self._events(curs, batch_id)
        self.process_batch(source, batch_id, events)
        self._finish(curs, batch_id, events)
        source.commit()
        if events:
            self.stat_increase("count", len(events))
            self.stat_put("duration", round(time.monotonic() - begun, 3))
        return True

    def rest(self, seconds: float) -> None:
        if self._listening is None or self._listening.closed:
            super().rest(seconds)
        else:
            self.rest_until_notified(self._listening, seconds)

    def _events(self, curs: Any, batch_id: int) -> list[Event]:
        curs.execute("select * from pgq.get_batch_events(%s)", [batch_id])
        return [Event(self.queue_name, row) for row in curs.fetchall()]

    def _finish(self, curs: Any, batch_id: int, events: list[Event]) -> None:
        untagged = [event for event in events if event.tag == UNTAGGED]
        if untagged and not self._warned:
            self._warned = True
            self.log.warning(
                "%d events of batch %d were neither tagged done nor retry, the first is %d; such events count as done",
                *(len(untagged), batch_id, untagged[0].id),
            )
        for event in events:
            if event.tag == RETRY:
                seconds = event.retry_seconds
                curs.execute("select pgq.event_retry(%s, %s, %s::integer)", [batch_id, event.id, seconds])
        curs.execute("select pgq.finish_batch(%s)", [batch_id])


class RemoteConsumer(Consumer):
    """Applies the events of a queue to another database, `remote_db` (an INI key), batch by batch.

    A subclass implements `process_remote_batch`; what it does through `dst_db` is committed together with the batch's
    number, so a batch that comes again after a crash is not applied again.
    """

    def __init__(self, service_name: str, db_name: str, remote_db: str, args: Sequence[str]) -> None:
        super().__init__(service_name, db_name, args)
        self.remote_db = remote_db

    def check(self) -> None:
        super().check()
        self.cf.get(self.remote_db)

    def process_remote_batch(self, db: Any, batch_id: int, event_list: list[Event], dst_db: Any) -> None:
        """Apply a batch to `dst_db` and tag its events."""
        raise NotImplementedError("a remote consumer has a method `process_remote_batch`")

    def process_batch(self, db: Any, batch_id: int, event_list: list[Event]) -> None:
        if not event_list:
            return
        destination = self.get_database(self.remote_db)
        curs = destination.cursor()
        if self.is_last_batch(curs, batch_id):
            self._tag_again(curs, batch_id, event_list)
            destination.commit()
            return
        self.process_remote_batch(db, batch_id, event_list, destination)
        self._remember_retries(curs, batch_id, event_list)
        self.set_last_batch(curs, batch_id)
        destination.commit()

    def is_last_batch(self, curs: Any, batch_id: int) -> bool:
        """Tell whether the destination has the batch already."""
        curs.execute("select pgq_ext.is_batch_done(%s, %s)", [self.consumer_name, batch_id])
        return bool(curs.fetchone()[0])

    def set_last_batch(self, curs: Any, batch_id: int) -> None:
        """Store on the destination that it has the batch."""
        curs.execute("select pgq_ext.set_batch_done(%s, %s)", [self.consumer_name, batch_id])

    def _remember_retries(self, curs: Any, batch_id: int, events: list[Event]) -> None:
        """Store which events of the batch are done when others are not, for a crash before the source knows."""
        if any(event.tag == RETRY for event in events):
            done = [event.id for event in events if event.tag != RETRY]
            curs.execute(
                "select pgq_ext.set_event_done(%s, %s, id) from unnest(%s::bigint[]) as id",
                [self.consumer_name, batch_id, [_HAS_RETRIES, *done]],
            )

    def _tag_again(self, curs: Any, batch_id: int, events: list[Event]) -> None:
        """Tag the events of a batch that was applied before as they were tagged then."""
        ids = [_HAS_RETRIES, *(event.id for event in events)]
        curs.execute(
            "select id from unnest(%s::bigint[]) as id where pgq_ext.is_event_done(%s, %s, id)",
            [ids, self.consumer_name, batch_id],
        )
        done = {row[0] for row in curs.fetchall()}
        for event in events:
            if _HAS_RETRIES in done and event.id not in done:
                event.tag_retry()
            else:
                event.tag = DONE


class SerialConsumer(Consumer):
    """Applies the events of a queue to another database in their order, its position kept there by tick.

    Like RemoteConsumer, but it notices when either side was restored from a backup, and events cannot be retried.
    """

    def __init__(self, service_name: str, db_name: str, remote_db: str, args: Sequence[str]) -> None:
        super().__init__(service_name, db_name, args)
        self.remote_db = remote_db

    def init_optparse(self, parser: argparse.ArgumentParser | None = None) -> argparse.ArgumentParser:
        parser = super().init_optparse(parser)
        parser.add_argument("--rewind", action="store_true", help="set the queue's position to the destination's")
        parser.add_argument("--reset", action="store_true", help="forget the destination's position")
        return parser

    def check(self) -> None:
        super().check()
        self.cf.get(self.remote_db)

    def start(self) -> None:
        if not (self.options.rewind or self.options.reset):
            super().start()
            return
        with error_boundary():
            try:
                output.message(self._rewind() if self.options.rewind else self._reset())
            except driver.DriverError as error:
                raise db.translate(error) from error
            finally:
                self._close_all()

    def _rewind(self) -> str:
        destination, source = self.get_database(self.remote_db), self.get_database(self.db_name)
        tick = self.get_last_tick(destination.cursor())
        if tick is None:
            raise ConfigError(f'the destination has no position of "{self.consumer_name}"')
        curs = source.cursor()
        curs.execute("select pgq.register_consumer_at(%s, %s, %s)", [self.queue_name, self.consumer_name, tick])
        source.commit()
        return f'consumer "{self.consumer_name}" stands at tick {tick}'

    def _reset(self) -> str:
        destination = self.get_database(self.remote_db)
        self.set_last_tick(destination.cursor(), None)
        destination.commit()
        return f'position of "{self.consumer_name}" forgotten'

    def attach(self) -> bool:
        """Register at the queue; what the destination remembers of an earlier registration is forgotten."""
        new = self.register_consumer()
        if new:
            destination = self.get_database(self.remote_db)
            self.set_last_tick(destination.cursor(), None)
            destination.commit()
        return new

    def detach(self) -> None:
        """Give up the claim on the queue, and forget the position."""
        self.unregister_consumer()
        self._reset()

    def process_remote_batch(self, db: Any, batch_id: int, event_list: list[Event], dst_db: Any) -> None:
        """Apply a batch to `dst_db` and tag its events done."""
        raise NotImplementedError("a serial consumer has a method `process_remote_batch`")

    def process_batch(self, db: Any, batch_id: int, event_list: list[Event]) -> None:
        curs = db.cursor()
        curs.execute("select prev_tick_id, tick_id from pgq.get_batch_info(%s)", [batch_id])
        before, after = curs.fetchone()
        destination = self.get_database(self.remote_db)
        dst_curs = destination.cursor()
        there = self.get_last_tick(dst_curs)
        if there == after:
            for event in event_list:
                event.tag_done()
            destination.commit()
            return
        if there is not None and there != before:
            raise ReplayError(
                f"lost position: the destination stands at tick {there}, the batch goes from {before} to {after}",
                hint="Start once with --rewind to go back to the destination's position, or --reset to forget it.",
            )
        self.process_remote_batch(db, batch_id, event_list, destination)
        if any(event.tag == RETRY for event in event_list):
            raise ReplayError("a serial consumer cannot retry events: those after them would overtake")
        self.set_last_tick(dst_curs, after)
        destination.commit()

    def get_last_tick(self, curs: Any) -> int | None:
        """Return the last tick that the destination has, None for none."""
        curs.execute("select pgq_ext.get_last_tick(%s)", [self.consumer_name])
        found = curs.fetchone()[0]
        return None if found is None else int(found)

    def set_last_tick(self, curs: Any, tick: int | None) -> None:
        """Store the last tick that the destination has, None to forget it."""
        curs.execute("select pgq_ext.set_last_tick(%s, %s)", [self.consumer_name, tick])
