"""The pull: a function of the destination is called for each event that is addressed to a node, in their order."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from londiste_lite import crash_points
from londiste_lite.db import PINNED, Database
from londiste_lite.errors import ConnectionLost, DatabaseError, QueryCanceled, ReplayError, SchemaError
from londiste_lite.event_queue import Queue, Tick
from londiste_lite.links import Flow
from londiste_lite.names import quote_ident, quote_literal
from londiste_lite.replay.fetch import events_between, pump
from londiste_lite.snapshots import Snapshot

log = logging.getLogger(__name__)

# Seconds between two looks at parked events.
PARKED_SECONDS = 5.0
_COLUMNS = "ev_id, ev_time, ev_type, ev_data, ev_extra2, ev_extra3, ev_extra4"
# Not the event's fault, by class of SQLSTATE: connections, deadlocks, resources, locks, shutdown, input and output.
_TRANSIENT = ("08", "40", "53", "55P03", "57", "58")

_STAGE = """create temporary table londiste_pull (
    ev_id int8 primary key, ev_time timestamptz, ev_type text, ev_data text,
    ev_extra2 text, ev_extra3 text, ev_extra4 text
) on commit delete rows"""

_CALL_ALL = """
declare
    _e pg_temp.londiste_pull;
begin
    for _e in select * from pg_temp.londiste_pull order by ev_id loop
        perform {call};
    end loop;
exception when others then
    raise exception using errcode = sqlstate, message = concat('event ', _e.ev_id, ' (', _e.ev_type, '): ', sqlerrm);
end"""

_CALL_OR_PARK = """
declare
    _e pg_temp.londiste_pull;
begin
    for _e in select * from pg_temp.londiste_pull order by ev_id loop
        begin
            perform {call};
        exception when others then
            if sqlstate = '55P03' or left(sqlstate, 2) in ('08', '40', '53', '57', '58') then
                raise;
            end if;
            insert into londiste.parked_pull
                (consumer_id, event_id, event_time, ev_type, ev_data, ev_extra2, ev_extra3, ev_extra4, error, next_try)
            values ({consumer}, _e.ev_id, _e.ev_time, _e.ev_type, _e.ev_data, _e.ev_extra2, _e.ev_extra3, _e.ev_extra4,
                    sqlerrm, clock_timestamp() + interval '10 seconds')
            on conflict (consumer_id, event_id) do nothing;
        end;
    end loop;
end"""


class Pull(Flow):
    """Takes the events whose extra1 is `node` and calls `function(node, data)` for each.

    With `park` an event whose call fails is set aside in `londiste.parked_pull`, in the same transaction, and tried
    again later; without, it stops the others.
    """

    def __init__(
        self,
        source: Database,
        destination: Database,
        queue: Queue,
        *,
        node: str,
        function: str,
        consumer: str,
        park: bool,
    ) -> None:
        super().__init__(source, destination, queue)
        self._node = node
        self._function = function
        self._consumer = consumer
        self._park = park
        self._look_at = 0.0

    def open(self) -> None:
        # The function is the user's: it runs with the settings that the database or the role has, not with ours.
        self.destination.script("; ".join(f"reset {name}" for name in PINNED if name != "client_encoding"))
        self._call = self._find()
        if self._park and not self.destination.run("select to_regclass('londiste.parked_pull')")[0][0]:
            raise SchemaError(
                f"{self.destination.label} has no schema londiste, which holds parked events",
                hint="Run `subscriber install` for it, or set on_error = stop.",
            )
        self.destination.script(_STAGE)

    def _find(self) -> tuple[str, str]:
        """Return what stands before and after the data in a call; it may take types that text casts to."""
        schema, dot, name = self._function.rpartition(".")
        found = self.destination.rows("pull.functions", name=name, schema=schema if dot else None)
        if not found and name != name.lower():
            # Written without quotes in SQL, the name would have been folded.
            found = self.destination.rows("pull.functions", name=name.lower(), schema=schema.lower() if dot else None)
        if not found:
            raise SchemaError(
                f'{self.destination.label} has no function "{self._function}" with two arguments',
                hint="Create it: it is called with the node and the data of each event.",
            )
        there, name, first, second = found[0]
        node = quote_literal(self._node)
        return f"{quote_ident(there)}.{quote_ident(name)}({node}::{first}, ", f"::{second})"

    def _with_data(self, data: str) -> str:
        return data.join(self._call)

    def apply(self, start: Tick, end: Tick, finish: Callable[[], None]) -> int:
        if not self._park:
            return self._attempt(start, end, finish, park=False)
        try:
            return self._attempt(start, end, finish, park=False)
        except ReplayError:
            return self._attempt(start, end, finish, park=True)

    def _attempt(self, start: Tick, end: Tick, finish: Callable[[], None], *, park: bool) -> int:
        mine = f"ev_extra1 = {quote_literal(self._node)}"
        windows = (Snapshot.parse(start.snapshot), Snapshot.parse(end.snapshot))
        events = events_between(self.queue.event_table, *windows, [mine], _COLUMNS)
        with self.destination.transaction():
            rows = pump(
                self.source, f"copy ({events}) to stdout", self.destination, "copy pg_temp.londiste_pull from stdin"
            )
            if rows:
                self._call_for_each(park)
            crash_points.reached("pull-applied")
            finish()
        crash_points.reached("pull-committed")
        return rows

    def _call_for_each(self, park: bool) -> None:
        text = _CALL_OR_PARK if park else _CALL_ALL
        body = text.replace("{consumer}", quote_literal(self._consumer)).replace(
            "{call}", self._with_data("_e.ev_data")
        )
        try:
            self.destination.script(f"do {quote_literal(body)}")
        except (ConnectionLost, QueryCanceled):
            raise
        except DatabaseError as error:
            if (error.sqlstate or "").startswith(_TRANSIENT):
                raise
            hint = "" if self._park else " Or set on_error = park, so that the others go on."
            raise ReplayError(
                f'a call of {self._function} for node "{self._node}" fails at {error.message}',
                hint=f"Repair what it says; the event is tried again.{hint}",
                sqlstate=error.sqlstate,
            ) from error
        if park:
            new = self.destination.run(
                "select event_id, error from londiste.parked_pull where consumer_id = %s and parked = now()",
                [self._consumer],
            )
            for event, reason in new:
                log.error("%s: event %d is parked: %s", self._consumer, event, reason)

    def rest(self) -> None:
        """Try parked events again that are due."""
        if not self._park or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + PARKED_SECONDS
        call = self._with_data("p.ev_data")
        for event, kind, tries in self.destination.rows("pull.parked", consumer=self._consumer):
            try:
                with self.destination.transaction():
                    self.destination.run(
                        f"select {call} from londiste.parked_pull p"
                        f" where p.consumer_id = {quote_literal(self._consumer)} and p.event_id = {int(event)}"
                    )
                    self.destination.rows("pull.settled", consumer=self._consumer, event=event)
                log.info("%s: the parked event %d (%s) is applied after %d tries", self._consumer, event, kind, tries)
            except ConnectionLost:
                raise
            except DatabaseError as error:
                self.destination.rows("pull.tried_in_vain", consumer=self._consumer, event=event, error=error.message)
