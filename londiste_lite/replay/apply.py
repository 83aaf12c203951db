"""Applying a staged batch: compaction and set-based statements, in an order that keys and constraints allow.

The caller owns the transaction. `ordered` is the other way, event by event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from londiste_lite import events, structure
from londiste_lite.db import Database
from londiste_lite.errors import DatabaseError, LondisteError, SchemaDrift
from londiste_lite.foreign_keys import parents_first
from londiste_lite.names import TableName
from londiste_lite.replay import conflict_sql
from londiste_lite.replay.catalog import Catalog, Target
from londiste_lite.replay.compact import Source, TableSql, insert_only
from londiste_lite.replay.fetch import RecordStream
from londiste_lite.replay.records import RecordRead
from londiste_lite.replay.stage import Group, surviving
from londiste_lite.subscribed import RowCounts, Subscribed

# Of a unique index or an exclusion constraint.
TRIPPED = ("23505", "23P01")


class DefinitionChanged(DatabaseError):
    """the table was altered since its definition was read"""


class ForeignKeyCycle(DatabaseError):
    """tables reference each other in a circle, and this role cannot switch the checks off"""


class NotAlike(LondisteError):
    """events that were taken for alike are not, or do not meet the rows that were expected"""


class KeysRepeat(NotAlike):
    """a key has two events, and nothing tells which is the last"""


class _FewerThanExpected(Exception):
    """a statement met fewer rows than the events say there are"""


@dataclass
class TablePlan:
    """The work on one table in one batch.

    `unchecked` tells that nobody looked whether a key has two events, and that these came without number and operation.
    """

    target: Target
    sql: TableSql
    counts: RowCounts
    truncated: bool
    plain_inserts: bool
    read: RecordRead | None = None
    events: int = 0
    unchecked: bool = False
    expected_deletes: int = 0
    expected_updates: dict[int, int] = field(default_factory=dict)
    inserts: dict[int, int] = field(default_factory=dict)

    @property
    def operations(self) -> set[str]:
        """The letters of what its events do."""
        return {text[0] for source in self.sql.sources for text in source.types}

    def count(self, numbers: Mapping[str, int]) -> None:
        """Note how many events there are, by operation."""
        self.events = sum(numbers.values())
        self.counts.inserted = numbers.get(events.INSERT, 0)
        self.counts.updated = numbers.get(events.UPDATE, 0)
        self.counts.deleted = numbers.get(events.DELETE, 0)


def by_table(groups: Sequence[Group]) -> dict[TableName, list[Group]]:
    """Return the groups of each table, tables in the order of their first events."""
    found: dict[TableName, list[Group]] = {}
    for group in groups:
        found.setdefault(group.table, []).append(group)
    return found


def build_plans(
    catalog: Catalog,
    groups: Sequence[Group],
    tables: Mapping[TableName, Subscribed],
    reads: Mapping[TableName, RecordRead] | None = None,
) -> list[TablePlan]:
    """Return what is to be done per table. Raises SchemaDrift when a table does not fit.

    `reads` has the tables whose events the provider sends as lines of CSV; those of the others are staged.
    """
    plans, drifts = [], []
    for name, found in by_table(groups).items():
        try:
            plans.append(_build_plan(catalog, catalog.target(tables[name]), found, (reads or {}).get(name)))
        except SchemaDrift as drift:
            drifts.append(drift)
    if drifts:
        drifts[0].others = drifts[1:]
        raise drifts[0]
    return plans


def _build_plan(catalog: Catalog, target: Target, groups: list[Group], read: RecordRead | None) -> TablePlan:
    after, rows = surviving(groups)
    shapes: dict[tuple[events.Shape, str | None], list[Group]] = {}
    for group in rows:
        shapes.setdefault((group.shape, group.attnum_text), []).append(group)
    sources = []
    mappings = catalog.mappings(target, {shape for shape, _ in shapes})
    for number, ((shape, attnums), members) in enumerate(shapes.items()):
        mapping = mappings[shape]
        types = tuple(sorted(g.type_text for g in members))
        row_type = catalog.row_type(mapping) if read is None else ""
        sources.append(Source(number, str(target.name), types, attnums, mapping, row_type))
    sql = TableSql(target.table, target.key, tuple(sources), after)
    counts = RowCounts(
        inserted=sum(g.count for g in rows if g.operation == events.INSERT),
        updated=sum(g.count for g in rows if g.operation == events.UPDATE),
        deleted=sum(g.count for g in rows if g.operation == events.DELETE),
    )
    plan = TablePlan(target, sql, counts, after is not None, insert_only([g.operation for g in rows]), read)
    plan.events = sum(g.count for g in rows)
    return plan


class BulkApply:
    """The set-based way: truncates, then deletes with children first, then updates and inserts with parents first."""

    def __init__(self, db: Database, catalog: Catalog, *, checks_fire: bool) -> None:
        self._db = db
        self._catalog = catalog
        self._checks_fire = checks_fire
        self._repeating: set[TableName] = set()
        self.trusts = False
        """Whether rows that are inserted are taken not to be there: their errors come with a later statement."""

    def apply(
        self,
        groups: Sequence[Group],
        tables: Mapping[TableName, Subscribed],
        reads: Mapping[TableName, RecordRead] | None = None,
        stream: RecordStream | None = None,
    ) -> dict[TableName, RowCounts]:
        """Apply what is staged, and through `stream` the tables of `reads`; return the counts per table.

        Raises DatabaseError, SchemaDrift, ForeignKeyCycle, Unreadable.
        """
        self._stream = stream
        plans = self._in_order(build_plans(self._catalog, groups, tables, reads))
        for plan in reversed(plans):
            if plan.truncated:
                empty_table(self._db, plan.target)
        for plan in plans:
            if not plan.plain_inserts:
                self._compact(plan)
        for plan in reversed(plans):
            self._delete(plan)
        for plan in plans:
            self._upsert(plan)
        return {plan.target.name: plan.counts for plan in plans}

    def _in_order(self, plans: list[TablePlan]) -> list[TablePlan]:
        if not self._checks_fire or len(plans) < 2:
            return plans
        by_local = {plan.target.table.name: plan for plan in plans}
        order = parents_first(by_local, self._catalog.foreign_keys())
        if order is None:
            raise ForeignKeyCycle
        return [by_local[name] for name in order]

    def _compact(self, plan: TablePlan) -> None:
        """Bring the events to one per key, and tell what is expected of them."""
        name = plan.target.name
        plan.sql = replace(plan.sql, parsed=self._catalog.made(name, plan.sql.create_parsed()), winners="")
        if plan.read is None:
            self._db.later(plan.sql.fill_parsed())
        elif self._may_be_unchecked(plan):
            plan.unchecked = True
            self._copy(plan, plan.read, plan.read.rows, plan.sql.copy_parsed(numbered=False))
            if self._db.run(plan.sql.seems_repeated())[0][0]:
                raise self._keys_repeat(plan)
            self._expect(plan, plan.counts.deleted, plan.counts.updated, 0)
            return
        else:
            self._copy(plan, plan.read, plan.read.numbered, plan.sql.copy_parsed(numbered=True))
        if plan.events > 1 and self._db.run(plan.sql.has_repeated_keys())[0][0]:
            plan.sql = replace(plan.sql, winners=self._catalog.made(name, plan.sql.create_winners()))
            self._db.later(plan.sql.fill_winners())
        elif plan.sql.after is None and len(plan.sql.row_sources) < 2:
            self._expect(plan, plan.counts.deleted, plan.counts.updated, plan.counts.inserted)
            return
        self._expect(plan, 0, 0, 0)
        for deleted, existed, src, count in self._db.run(plan.sql.count_winners()):
            number = int(src) if len(plan.sql.row_sources) > 1 else _only_number(plan)
            if deleted:
                plan.expected_deletes += int(count) if existed else 0
            elif existed:
                plan.expected_updates[number] = int(count)
            else:
                plan.inserts[number] = int(count)

    def _may_be_unchecked(self, plan: TablePlan) -> bool:
        """Whether to try without looking for keys with two events: the number of rows that are met will tell.

        A row is met once, so that of events of one kind as many rows are met as there are events, or something is
        amiss: a key has two, or a row is not there. The events' numbers, which would tell the last of two, are not
        needed then; a table that had keys with two events once does not go without them again.
        """
        if plan.read is None or plan.read.guard is None or plan.operations not in ({events.UPDATE}, {events.DELETE}):
            return False
        if plan.target.name in self._repeating or plan.target.has_identity_always:
            return False
        return all(plan.sql.update(source) is not None for source in plan.sql.row_sources)

    def _not_alike(self, plan: TablePlan) -> NotAlike:
        """Return what ends the try without numbers, and note where keys with two events are the cause."""
        return self._keys_repeat(plan) if self._db.run(plan.sql.has_repeated_keys())[0][0] else NotAlike()

    def _keys_repeat(self, plan: TablePlan) -> KeysRepeat:
        self._repeating.add(plan.target.name)
        return KeysRepeat()

    def _expect(self, plan: TablePlan, deletes: int, updates: int, inserts: int) -> None:
        plan.expected_deletes = deletes
        plan.expected_updates = {_only_number(plan): updates}
        plan.inserts = {_only_number(plan): inserts}

    def _copy(self, plan: TablePlan, read: RecordRead, line: str, copy_in: str) -> None:
        assert self._stream is not None
        more = []
        if plan.truncated:
            more = ["pg_catalog.left(ev_type, 1) <> 'R'", f"ev_id > {plan.sql.after}"]
        rows = self._stream.copy(plan.target.name, read, line, more, copy_in)
        if read.guard is None:
            return
        if len(plan.operations) == 1:
            plan.count(dict.fromkeys(plan.operations, rows))
        else:
            plan.count({str(op): int(count) for op, count in self._db.run(plan.sql.count_operations())})

    def _delete(self, plan: TablePlan) -> None:
        if plan.plain_inserts or events.DELETE not in plan.operations:
            return
        if not plan.sql.winners:
            try:
                with self._db.savepoint(joined=True):
                    if self._db.count(conflict_sql.delete(plan.sql)) < plan.expected_deletes:
                        raise _FewerThanExpected
            except _FewerThanExpected:
                if plan.unchecked:
                    raise self._not_alike(plan) from None
                # once more, in the way that tells which keys
            else:
                return
        text = conflict_sql.delete_and_tell(plan.sql, plan.expected_deletes)
        deleted, unexpected, lost, met = self._db.run(text)[0]
        plan.counts.conflicts.add("D", plan.expected_deletes - int(deleted), lost)
        plan.counts.conflicts.add("I", int(unexpected), met)

    def _upsert(self, plan: TablePlan) -> None:
        if not plan.sql.sources:
            return
        if plan.target.has_identity_always and not plan.plain_inserts:
            self._carefully(plan)
            return
        if self.trusts and plan.plain_inserts and plan.read is None:
            for source in plan.sql.sources:
                self._db.later(plan.sql.insert_all(source))
            return
        conflicts = plan.counts.conflicts.copy()
        try:
            with self._db.savepoint(joined=True):
                if not plan.plain_inserts:
                    self._update_and_insert(plan)
                elif plan.read is not None:
                    self._copy(plan, plan.read, plan.read.rows, plan.sql.copy_all(plan.sql.sources[0]))
                else:
                    for source in plan.sql.sources:
                        self._db.later(plan.sql.insert_all(source))
        except DatabaseError as error:
            if error.sqlstate not in TRIPPED:
                raise
            plan.counts.conflicts = conflicts
            self._carefully(plan)

    def _update_and_insert(self, plan: TablePlan) -> None:
        for source in plan.sql.row_sources:
            expected = plan.expected_updates.get(source.number, 0)
            if not expected:
                continue
            update = plan.sql.update(source)
            met = 0 if update is None else self._db.count(update)
            if met < expected:
                if plan.unchecked:
                    raise self._not_alike(plan)
                self._count_conflicts(plan, conflict_sql.insert_missing(plan.sql, source))
        for source in plan.sql.row_sources:
            if plan.inserts.get(source.number):
                self._db.later(plan.sql.insert_new(source))

    def _count_conflicts(self, plan: TablePlan, text: str) -> None:
        for letter, count, keys in self._db.run(text):
            plan.counts.conflicts.add(str(letter), int(count), keys)

    def _carefully(self, plan: TablePlan) -> None:
        """Delete every touched key first, then insert the final rows: no order of changes can then matter."""
        if plan.unchecked:
            raise self._not_alike(plan)
        self._check_definition(plan.target)
        if plan.plain_inserts:
            plan.plain_inserts = False
            self._compact(plan)
        plan.sql = replace(plan.sql, saved=self._catalog.made(plan.target.name, plan.sql.create_saved()))
        self._count_conflicts(plan, conflict_sql.unexpected(plan.sql))
        self._db.script(plan.sql.save_and_delete())
        for source in plan.sql.sources:
            if any(t[0] != "D" for t in source.types):
                self._db.script(plan.sql.insert_final(source))

    def _check_definition(self, target: Target) -> None:
        """Raise DefinitionChanged when the table has other columns than known: their values would be lost."""
        self._db.script(f"lock table {target.table.target} in row exclusive mode")
        found = structure.find_table(self._db, target.table.name)
        if found is None or found.columns != target.table.columns:
            raise DefinitionChanged


def _only_number(plan: TablePlan) -> int:
    """The number of a table's one source with rows, any when there is none."""
    return next((s.number for s in plan.sql.row_sources), 0)


def empty_table(db: Database, target: Target) -> None:
    """Empty a table: TRUNCATE, or DELETE where a foreign key points at it, which TRUNCATE refuses."""
    verb = "delete from" if target.table.referenced else "truncate"
    db.script(f"{verb} {target.table.target}")
