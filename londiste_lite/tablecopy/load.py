"""Loading one table: small ones in one transaction, big ones in ranges, which are not repeated after a failure.

What a copy in ranges has loaded is always complete up to one snapshot of the provider, stored with the table. A copy
that goes on first applies the events between that snapshot and a new one to the rows that are there, and then copies
the ranges that are left by the new one: a row that is there already is then as it should be.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

from londiste_lite import copies, crash_points, dropped_indexes, event_queue, lock_wait, parked, structure, subscribed
from londiste_lite.copies import Job, Request
from londiste_lite.db import Database
from londiste_lite.errors import LondisteError, PrivilegeMissing, RegistrationChanged, StopRequested
from londiste_lite.event_queue import Queue
from londiste_lite.names import TableName, quote_ident
from londiste_lite.replay import fetch
from londiste_lite.replay.batch import BatchRunner, Window
from londiste_lite.replay.settings import ReplaySettings
from londiste_lite.replay.window import MOST_TICKS, choose_end
from londiste_lite.snapshots import Snapshot
from londiste_lite.structure import Table
from londiste_lite.subscribed import RowCounts, Subscribed
from londiste_lite.table_state import TableState
from londiste_lite.tablecopy import beside, index_jobs, plan, stream
from londiste_lite.tablecopy.connections import Sides
from londiste_lite.tablecopy.plan import Piece
from londiste_lite.tablecopy.ranged import RangeJobs, RangeLoad
from londiste_lite.tablecopy.stream import CopySql
from londiste_lite.tablecopy.tracker import Tracker

log = logging.getLogger(__name__)

_KEYS = 'pg_temp."londiste_keys"'


@dataclass(frozen=True)
class Loaded:
    """What a copy brought: rows, and the provider's snapshot (text form) that they are complete up to."""

    rows: int
    snapshot: str


@dataclass(frozen=True)
class _Moment:
    """A moment of the provider in a transaction that keeps it: as text, exported for others, and what is there then."""

    snapshot: str
    exported: str
    sql: CopySql
    pieces: list[Piece]


class TableLoad:
    """Loads a table that is in state IN_COPY; it is then CATCHING_UP, in the last transaction of the load.

    `request` is what a resync asked for, `borrow` lends a pair of connections to another thread, `cancelled` says that
    the copy is to be given up.
    """

    def __init__(
        self,
        settings: ReplaySettings,
        wanted: Subscribed,
        queue: Queue,
        sides: Sides,
        borrow: Callable[[], AbstractContextManager[Sides]],
        tracker: Tracker,
        request: Request | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings = settings
        self._wanted = wanted
        self._queue = queue
        self._sides = sides
        self._provider, self._subscriber = sides.provider, sides.subscriber
        self._borrow = borrow
        self._tracker = tracker
        self._request = request or Request()
        self._cancelled = cancelled
        self._park = False

    def run(self) -> Loaded:
        """Load the table. Readers of a table that holds rows see the old ones until the new ones are complete.

        Raises RegistrationChanged when somebody moved the table meanwhile, SchemaDrift when the tables do not fit,
        DatabaseError.
        """
        self._source = structure.require_table(self._provider, self._wanted.table, "provider")
        self._target = structure.require_table(self._subscriber, self._wanted.local, "subscriber")
        self._key = self._wanted.key or self._target.primary_key
        if self._request.condition is not None and self._wanted.snapshot is not None:
            return self._part(self._request.condition)
        job = self._resumable()
        if job is None:
            if self._request.truncate:
                self._empty()
            return self._fresh()
        log.info("going on with the copy of %s: %d of %d ranges left", self.table, len(job.left), len(job.ranges))
        return self._go_on(job)

    @property
    def table(self) -> TableName:
        return self._wanted.table

    # --- a moment of the provider ---------------------------------------------------------------------------

    @contextmanager
    def _moment(self, of: Subscribed | None = None) -> Iterator[_Moment]:
        """A transaction on the provider that sees one moment; `of` is the table with another condition."""
        with self._provider.transaction("begin isolation level repeatable read, read only"):
            # Before the snapshot: TRUNCATE and rewriting ALTER TABLE do not respect older snapshots, which would find
            # the table empty at a moment when it was not.
            self._provider.script(f"lock table {self._source.target} in access share mode")
            row = self._provider.run("select pg_catalog.txid_current_snapshot()::text, pg_catalog.pg_export_snapshot()")
            # By the same snapshot, so that the rows are picked by the route whose events the copy holds already.
            route = stream.route_of(self._provider, self._queue.name, self._wanted)
            condition = stream.condition_of(of or self._wanted, route, self._settings.node)
            sql = stream.best_sql(self._provider, self._subscriber, self._source, self._target, condition)
            yield _Moment(str(row[0][0]), str(row[0][1]), sql, plan.pieces(self._provider, self._source))

    # --- from the start -------------------------------------------------------------------------------------

    def _fresh(self) -> Loaded:
        with self._moment() as moment:
            total = sum(piece.all_bytes for piece in moment.pieces)
            self._tracker.begin(plan.estimated_rows(moment.pieces), total)
            crash_points.reached("copy-started")
            big = total > self._settings.copy_whole_bytes
            job = self._begin(moment, total) if big else None
            if job is None:
                if big:  # so that `status` can tell how far it is
                    with self._subscriber.transaction():
                        whole = Job(None, "", plan.estimated_rows(moment.pieces), total, ())
                        copies.begin(self._subscriber, self._queue.name, self.table, whole)
                return self._at_once(moment)
            self._ranges(job, moment, None)
        return self._complete(moment.snapshot)

    def _empty(self) -> None:
        """Empty the table, as was asked for: readers see none, then some of its rows, until all are there."""
        with self._moving(None):
            verb = "delete from" if self._target.referenced else "truncate"
            with lock_wait.limited(self._subscriber, self._settings.lock_timeout):
                self._subscriber.script(f"{verb} {self._target.target}")

    def _begin(self, moment: _Moment, total: int) -> Job | None:
        """Begin a copy in ranges; None when the rows must come in one transaction."""
        empty = beside.is_empty(self._subscriber, self._target.target)
        if (self._wanted.skip_truncate and not empty) or not self._key:
            return None
        ranges = plan.cut(
            self._provider,
            self._source,
            self._wanted.key or self._source.primary_key,
            moment.pieces,
            self._range_bytes(total),
        )
        staging = None if empty else beside.staging_name(self.table)
        rows = plan.estimated_rows(moment.pieces)
        job = Job(staging, plan.files(moment.pieces), rows, total, tuple(ranges))
        if staging is None:
            dropped_indexes.drop_for_load(self._subscriber, self._target, self._key, self._settings.lock_timeout)
        try:
            with self._moving(moment.snapshot):
                copies.begin(self._subscriber, self._queue.name, self.table, job)
                if staging is not None:
                    beside.create_staging(self._subscriber, staging, self._target)
        except PrivilegeMissing as error:
            log.info("%s is copied in one transaction, for no table can be made beside it: %s", self.table, error)
            return None
        crash_points.reached("copy-begun")
        return job

    def _range_bytes(self, total: int) -> int:
        """Return how large the ranges of a table are to be: one for each job, as long as that is worth a connection."""
        settings = self._settings
        share = max(total // settings.copy_jobs, settings.copy_whole_bytes // 2)
        return min(share, settings.copy_range_bytes)

    def _at_once(self, moment: _Moment) -> Loaded:
        """Copy the table in one transaction."""
        subscriber, target = self._subscriber, self._target
        self._make_indexes()  # an earlier try may have dropped them
        load = self._range_load(target, moment.sql, None)
        out = moment.sql.out(self._source.target)
        with self._moving(moment.snapshot, TableState.CATCHING_UP):
            if self._wanted.skip_truncate or beside.is_empty(subscriber, target.target):
                rows = load.pump(self._provider, subscriber, out, target.name.quoted)
            else:
                beside.create_temporary(subscriber, target)
                rows = load.pump(self._provider, subscriber, out, beside.TEMPORARY)
                self._tracker.phase("reconcile")
                self._take_over(moment.sql, beside.TEMPORARY)
            crash_points.reached("copy-loaded")
        crash_points.reached("copy-committed")
        return Loaded(rows, moment.snapshot)

    # --- some rows of a table that is complete --------------------------------------------------------------

    def _part(self, condition: str) -> Loaded:
        """Replace the rows that fulfil a condition on either side, at a moment that all others are brought to too."""
        source, key = self._source, self._key
        keys = ", ".join(quote_ident(k) for k in key)
        listed = ", ".join(f"{quote_ident(k)} as k{n}" for n, k in enumerate(key, 1))
        places = ", ".join(f"k{n}" for n in range(1, len(key) + 1))
        # The rows stay in the table, so one that is refused waits aside as it does in the replay.
        self._park = self._settings.on_error == "park"
        self._bring_forward(self._target.name)
        # Made before the moment's transaction, which is read only: that may fill it but not create it.
        self._provider.script(
            f"drop table if exists {_KEYS}; "
            f"create temp table {_KEYS.partition('.')[2]} as select {listed} from {source.target} with no data"
        )
        try:
            # The condition of the first copy has nothing to say here: the rows were asked for.
            with self._moment(replace(self._wanted, condition=None)) as moment:
                with self._borrow() as others:
                    self._apply(self._runner(others), self._target.name, moment.snapshot)
                self._tracker.begin(None, 0)
                crash_points.reached("copy-started")
                load = self._range_load(self._target, moment.sql, None)
                with self._moving(moment.snapshot, TableState.CATCHING_UP, condition):
                    beside.create_temporary(self._subscriber, self._target)
                    out = moment.sql.out(source.target, condition)
                    rows = load.pump(self._provider, self._subscriber, out, beside.TEMPORARY)
                    # From here on nobody applies events of these rows that waited aside.
                    parked.lock(self._subscriber, self._queue.name, [self.table])
                    # Rows that fulfil it here only may be there with other values.
                    match = beside.matching(self._subscriber, self._target, key, "t", "s")
                    mine = (
                        f"select {keys} from {self._target.target} t where ({condition}) "
                        f"and not exists (select 1 from {beside.TEMPORARY} s where {match})"
                    )
                    there = f"copy {_KEYS} from stdin"
                    doubtful = fetch.pump(self._subscriber, f"copy ({mine}) to stdout", self._provider, there)
                    if doubtful:
                        found = f"({keys}) in (select {places} from {_KEYS})"
                        out = moment.sql.out(source.target, found)
                        rows += load.pump(self._provider, self._subscriber, out, beside.TEMPORARY)
                    gone = beside.discard_parked(
                        *(self._subscriber, self._queue.name, self.table, self._target, key, condition)
                    )
                    if gone:
                        log.info("%s: %d parked events of rows that are copied anew are discarded", self.table, gone)
                    columns = moment.sql.columns
                    beside.reconcile(self._subscriber, self._target, key, columns, beside.TEMPORARY, condition)
                    crash_points.reached("copy-loaded")
                crash_points.reached("copy-committed")
                return Loaded(rows, moment.snapshot)
        finally:
            if not self._provider.closed:
                self._provider.script(f"drop table if exists {_KEYS}")

    # --- going on -------------------------------------------------------------------------------------------

    def _resumable(self) -> Job | None:
        """Return the copy that an earlier try began, if what it loaded can be used."""
        job = copies.find(self._subscriber, self._queue.name, self.table)
        if job is None or not job.ranges or self._wanted.snapshot is None:
            return None
        reason = self._useless(job)
        if reason is not None:
            self._give_up(reason)
            return None
        return job

    def _useless(self, job: Job) -> str | None:
        """Return why what was loaded cannot be used, None when it can."""
        if not plan.same_files(job.files, plan.pieces(self._provider, self._source)):
            return "the provider's table was written anew"
        if job.staging is None:
            return None
        if not beside.same_columns(self._subscriber, job.staging, self._target):
            return "the subscriber's table was altered"
        # A server that crashed has emptied it.
        if job.rows and beside.is_empty(self._subscriber, job.staging.quoted):
            return "what was loaded is gone"
        return None

    def _give_up(self, reason: str) -> None:
        log.info("the copy of %s starts over: %s", self.table, reason)
        with self._moving(None):
            copies.end(self._subscriber, self._queue.name, self.table)

    def _go_on(self, job: Job) -> Loaded:
        assert self._wanted.snapshot is not None
        self._tracker.begin(job.total_rows, job.total_bytes, job.rows, sum(r.bytes for r in job.ranges if r.done))
        snapshot = self._wanted.snapshot
        if job.left:
            into = self._into(job)
            if job.staging is not None:
                beside.add_key(self._subscriber, job.staging, self._key)
            self._bring_forward(into.name)
            with self._moment() as moment:
                if not plan.same_files(job.files, moment.pieces):
                    self._give_up("the provider's table was written anew")
                    raise LondisteError(f'the copy of "{self.table}" starts over: the table was written anew')
                # By other connections: an error there must not end the transaction that keeps the moment.
                with self._borrow() as others:
                    self._apply(self._runner(others), into.name, moment.snapshot)
                crash_points.reached("copy-resumed")
                self._ranges(job, moment, beside.matching(self._subscriber, into, self._key, "t", "s"))
                snapshot = moment.snapshot
        return self._complete(snapshot)

    def _runner(self, sides: Sides) -> BatchRunner:
        return BatchRunner(
            *(sides.provider, sides.subscriber, self._queue),
            park=self._park,
            node=self._settings.node,
            checks_fire=sides.checks_fire,
        )

    def _bring_forward(self, into: TableName) -> None:
        """Apply the table's events to what was loaded, a batch at a time, until few are missing."""
        assert self._wanted.snapshot is not None
        self._tracker.phase("catch-up")
        runner = self._runner(self._sides)
        held = event_queue.position(self._provider, self._queue.name, self._settings.copy_consumer) or 0
        here = Snapshot.parse(self._wanted.snapshot)
        at = event_queue.tick_by_id(self._provider, self._queue, held)
        while at is not None and not self._cancelled():
            at = choose_end(
                at,
                event_queue.ticks_after(self._provider, self._queue, at.id, MOST_TICKS),
                self._settings.max_batch_rows,
            )
            if at is not None and Snapshot.parse(at.snapshot).covers(here):
                self._apply(runner, into, at.snapshot)

    def _apply(self, runner: BatchRunner, into: TableName, snapshot: str) -> None:
        """Apply the events up to a snapshot to what was loaded. Rows that were not loaded yet come whole."""
        assert self._wanted.snapshot is not None

        def store(_: dict[TableName, RowCounts]) -> None:
            self._take(TableState.IN_COPY, snapshot, runner.subscriber)

        wanted = replace(self._wanted, dest=into)
        runner.run(Window(self._wanted.snapshot, snapshot, [wanted], {}), store, "copy-catchup")
        self._wanted = replace(self._wanted, snapshot=snapshot)
        if self._park:
            (self._wanted,) = subscribed.with_parked(runner.subscriber, self._queue.name, [self._wanted])

    # --- both -----------------------------------------------------------------------------------------------

    def _into(self, job: Job) -> Table:
        if job.staging is None:
            return self._target
        return structure.require_table(self._subscriber, job.staging, "subscriber")

    def _range_load(self, into: Table, sql: CopySql, present: str | None) -> RangeLoad:
        return RangeLoad(self._queue.name, self.table, into, sql, present, self._tracker)

    def _ranges(self, job: Job, moment: _Moment, present: str | None) -> None:
        """Copy the ranges that are left."""
        self._tracker.phase("copy")
        load = self._range_load(self._into(job), moment.sql, present)
        jobs = RangeJobs(load, job.left, self._borrow, self._cancelled)
        jobs.run(self._sides, moment.exported, self._settings.copy_jobs)

    def _complete(self, snapshot: str) -> Loaded:
        """Make the indexes again, take over what is beside, and hand the table over."""
        crash_points.reached("copy-ranges-done")
        self._make_indexes()
        job = copies.find(self._subscriber, self._queue.name, self.table)
        if job is None or job.left:
            raise RegistrationChanged(f'the copy of "{self.table}" was given up: its registration changed')
        self._tracker.phase("reconcile")
        with self._moving(snapshot, TableState.CATCHING_UP):
            if job.staging is not None:
                sql = stream.copy_sql(self._source, self._target, None)
                self._take_over(sql, job.staging.quoted)
                self._subscriber.script(f"drop table {job.staging.quoted}")
            crash_points.reached("copy-loaded")
        crash_points.reached("copy-committed")
        return Loaded(job.rows, snapshot)

    def _make_indexes(self) -> None:
        """Make the dropped indexes again."""
        pending = dropped_indexes.pending(self._subscriber, {self._target.name})
        if not pending:
            return
        self._tracker.phase("indexes")
        index_jobs.make_again(
            *(self._subscriber, self.table, pending),
            jobs=self._settings.copy_jobs,
            lock_timeout=self._settings.lock_timeout,
            borrow=self._borrow,
            cancelled=self._cancelled,
        )
        if self._cancelled():
            raise StopRequested(f'the copy of "{self.table}" was given up')

    def _take_over(self, sql: CopySql, staging: str) -> None:
        """Make the table hold what was loaded beside it."""
        if self._key:
            beside.reconcile(self._subscriber, self._target, self._key, sql.columns, staging)
            return
        self._subscriber.script(
            f"delete from {self._target.target}; insert into {self._target.name.quoted} ({sql.names}) "
            f"overriding system value select {sql.names} from {staging}"
        )

    @contextmanager
    def _moving(
        self, snapshot: str | None, state: TableState = TableState.IN_COPY, part: str | None = None
    ) -> Iterator[None]:
        """A transaction on the subscriber after which what is loaded is complete up to `snapshot`; the last one of the
        copy for the state CATCHING_UP; `part` is the condition of those rows that it was about.

        Raises RegistrationChanged, and nothing stays, when somebody else moved the table since it was read.
        """
        last = state is TableState.CATCHING_UP
        with self._subscriber.transaction():
            if not last:
                self._take(state, snapshot)
            yield
            # At the end of what takes long, so that whoever removes the table or wants another copy need not wait; and
            # before the copy's own rows, in the order in which those people take them.
            if last:
                self._take(state, snapshot)
                copies.end(self._subscriber, self._queue.name, self.table, part=part)
        self._wanted = replace(self._wanted, state=state, snapshot=snapshot)

    def _take(self, state: TableState, snapshot: str | None, db: Database | None = None) -> None:
        if not subscribed.set_state(db or self._subscriber, self._queue.name, self._wanted, state, snapshot):
            raise RegistrationChanged(f'the copy of "{self.table}" was given up: its registration changed')
