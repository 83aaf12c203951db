"""What the set-up commands do: publish and subscribe tables and sequences by name or glob, resync, register.

Each function returns one `Outcome` per name; a name that fails does not keep the others from being done.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from londiste_lite import (
    claims,
    copies,
    dropped_indexes,
    event_queue,
    locks,
    publication,
    published,
    sequences,
    structure,
    subscribed,
)
from londiste_lite.copies import Request
from londiste_lite.db import Database
from londiste_lite.errors import (
    AlreadyRunning,
    LondisteError,
    ObjectNotFound,
    RegistrationError,
)
from londiste_lite.names import QualifiedName, SequenceName, TableName, is_glob, matches, nearest_name
from londiste_lite.replay import position
from londiste_lite.routing import GivenRoute
from londiste_lite.subscribed import Subscribed
from londiste_lite.subscription import AddOptions, add_table, check_condition
from londiste_lite.table_state import TableState

log = logging.getLogger(__name__)

EVERYTHING = "*.*"


@dataclass(frozen=True)
class Outcome:
    """What became of one name: `note` for people (`added`, `already there`), `error` when it failed."""

    name: QualifiedName
    note: str = ""
    changed: bool = False
    error: LondisteError | None = None


def parse_name(text: str) -> QualifiedName:
    """Return the name of a table or sequence as a user typed it. Raises RegistrationError."""
    try:
        text.encode()  # bytes of the command line that are no text cannot be a name
        return QualifiedName.parse(text)
    except UnicodeEncodeError:
        raise RegistrationError(f"not a table or sequence name: {text!a}", hint="Names are UTF-8 text.") from None
    except ValueError as error:
        raise RegistrationError(str(error), hint="Write a name as entry or schema.entry.") from None


MOST_NAMED = 5
"""How many names a hint lists."""


@dataclass(frozen=True)
class _Among:
    """What names and globs are looked for in: `what` (table, sequence), `where` completes "there is no table .."."""

    candidates: Sequence[QualifiedName]
    what: str
    where: str

    def find(self, pattern: str) -> list[QualifiedName]:
        """Return what a name or a glob means; a glob for everything may mean nothing.

        Raises ObjectNotFound, with the nearest name, for what means nothing, RegistrationError for what is no name.
        """
        if is_glob(pattern):
            hits = [name for name in self.candidates if matches(pattern, name)]
            if not hits and pattern != EVERYTHING:
                rule = "Globs know * and ?; write schema.table to look outside of public."
                raise ObjectNotFound(f'there is no {self.what} {self.where} that matches "{pattern}"', hint=rule)
            return hits
        name = parse_name(pattern)
        if name not in self.candidates:
            raise self.not_found(name)
        return [name]

    def not_found(self, name: QualifiedName, hint: str | None = None) -> ObjectNotFound:
        """Return the error for a name that means nothing; `hint` is for one that nothing looks like."""
        near = nearest_name(name, self.candidates)
        told = f'Did you mean "{near}"?' if near else hint or self._there()
        return ObjectNotFound(f'there is no {self.what} "{name}" {self.where}', hint=told)

    def _there(self) -> str:
        """Return what there is instead, as a sentence."""
        if not self.candidates:
            return f"There is no {self.what} {self.where}."
        first = ", ".join(f'"{name}"' for name in self.candidates[:MOST_NAMED])
        more = len(self.candidates) - MOST_NAMED
        return f"There {'is' if len(self.candidates) == 1 else 'are'} {first}{f' and {more} more' if more > 0 else ''}."

    def expand(self, patterns: Sequence[str]) -> list[QualifiedName]:
        """Return what the patterns mean, without repetition. Raises ObjectNotFound for the first that means nothing."""
        return list(dict.fromkeys(name for pattern in patterns for name in self.find(pattern)))

    def find_each(self, patterns: Sequence[str]) -> tuple[list[QualifiedName], list[Outcome]]:
        """Return what the patterns mean, without repetition, and an outcome for each that means nothing."""
        names: dict[QualifiedName, None] = {}
        failed: list[Outcome] = []
        for pattern in patterns:
            try:
                names.update(dict.fromkeys(self.find(pattern)))
            except LondisteError as error:
                failed.append(Outcome(QualifiedName("", pattern), error=error))
        return list(names), failed


def expand(patterns: Sequence[str], candidates: Sequence[QualifiedName], what: str, where: str) -> list[QualifiedName]:
    """Return what names and globs mean among `candidates`, without repetition; `what` and `where` are for messages.

    Raises ObjectNotFound, with the nearest name, for the first that means nothing.
    """
    return _Among(candidates, what, where).expand(patterns)


def expand_subscribed(subscriber: Database, queue: str, patterns: Sequence[str] | None) -> list[TableName]:
    """Return the subscribed tables that names and globs mean, all of them without any. Raises ObjectNotFound."""
    names = [t.table for t in subscribed.tables(subscriber, queue)]
    return _among_subscribed(names, queue).expand(patterns) if patterns else names


def _among_subscribed(names: Sequence[TableName], queue: str) -> _Among:
    return _Among(names, "table", f'subscribed from queue "{queue}"')


def _each(names: Sequence[QualifiedName], act: Callable[[QualifiedName], Outcome]) -> list[Outcome]:
    found = []
    for name in names:
        try:
            found.append(act(name))
        except LondisteError as error:
            found.append(Outcome(name, error=error))
    return found


def _is_name(text: str) -> bool:
    with contextlib.suppress(RegistrationError):
        parse_name(text)
        return True
    return False


# --- provider -----------------------------------------------------------------------------------------------


def publish(
    db: Database,
    queue: str,
    patterns: Sequence[str],
    *,
    key: Sequence[str] | None,
    route: GivenRoute | None = None,
    lock_timeout: float,
) -> list[Outcome]:
    """Publish tables; a new `route` of one that is published takes its rows along."""
    route = route or GivenRoute()
    event_queue.find_queue(db, queue)
    candidates = structure.user_tables(db)
    # A partition, a view or a system table is known by its exact name, and refused with its own reason.
    exact = [parse_name(p) for p in patterns if not is_glob(p) and _is_name(p)]
    candidates += [name for name in exact if name not in candidates and structure.find_table(db, name) is not None]
    names, failed = _Among(candidates, "table", "on the provider").find_each(patterns)
    keys = {p.table: p.key for p in published.tables(db, queue)}

    def act(name: TableName) -> Outcome:
        added = publication.add_table(
            db,
            queue,
            name,
            key=key,
            route=route.route,
            all_nodes=route.ended,
            parks=route.parks,
            lock_timeout=lock_timeout,
        )
        notes = []
        if added.new:
            notes.append("added")
        elif key and set(key) != set(keys.get(name, key)):
            notes.append(f"the key is now ({', '.join(key)})")
        if added.rerouted is not None:
            shown = route.shown
            if route.route is None and route.parks is not None:
                shown = f"rows for which the route fails {'go to no node' if route.parks else 'fail the writer'}"
            notes.append(f"{shown} now; {added.rerouted} events take the rows there")
        if added.settled:
            notes.append(f"{added.settled} events take rows there that could not be routed before")
        return Outcome(name, "; ".join(notes) or "already there", bool(notes))

    done = _each(names, act) + failed
    if route.route is not None and claims.index_targets(db, queue):
        log.info("the queue is large or in use; the ticker makes the index of nodes when it is not")
    return done


def unpublish(db: Database, queue: str, patterns: Sequence[str], *, lock_timeout: float) -> list[Outcome]:
    """End the publication of tables."""
    candidates = [p.table for p in published.tables(db, queue)]
    if not candidates:
        event_queue.find_queue(db, queue)
    names, failed = _Among(candidates, "table", f'published in queue "{queue}"').find_each(patterns)

    def act(name: TableName) -> Outcome:
        publication.remove_table(db, queue, name, lock_timeout=lock_timeout)
        return Outcome(name, "removed", True)

    return _each(names, act) + failed


def refresh(db: Database, queue: str, patterns: Sequence[str], *, lock_timeout: float) -> list[Outcome]:
    """Make the capture of published tables fit them again, of all of them without patterns."""
    event_queue.find_queue(db, queue)
    names = [p.table for p in published.tables(db, queue)]
    failed: list[Outcome] = []
    if patterns:
        names, failed = _Among(names, "table", f'published in queue "{queue}"').find_each(patterns)

    def act(name: TableName) -> Outcome:
        done = publication.refresh_table(db, queue, name, lock_timeout=lock_timeout)
        return Outcome(name, "; ".join(done) or "in order", bool(done))

    return _each(names, act) + failed


def publish_sequences(db: Database, queue: str, patterns: Sequence[str]) -> list[Outcome]:
    """Publish sequences."""
    event_queue.find_queue(db, queue)
    names, failed = _Among(structure.user_sequences(db), "sequence", "on the provider").find_each(patterns)

    def act(name: SequenceName) -> Outcome:
        added = published.add_sequence(db, queue, name)
        return Outcome(name, "added" if added else "already there", added)

    return _each(names, act) + failed


def unpublish_sequences(db: Database, queue: str, patterns: Sequence[str]) -> list[Outcome]:
    """End the publication of sequences."""
    candidates = published.published_sequences(db, queue)
    if not candidates:
        event_queue.find_queue(db, queue)
    names, failed = _Among(candidates, "sequence", f'published in queue "{queue}"').find_each(patterns)

    def act(name: SequenceName) -> Outcome:
        published.remove_sequence(db, queue, name)
        return Outcome(name, "removed", True)

    return _each(names, act) + failed


# --- subscriber ---------------------------------------------------------------------------------------------


def subscribe(
    provider: Database, subscriber: Database, queue: str, patterns: Sequence[str], options: AddOptions
) -> list[Outcome]:
    """Subscribe to tables: they are copied by the replay, unless they are said to be in sync."""
    event_queue.find_queue(provider, queue)
    known = {p.table: p for p in published.tables(provider, queue)}
    names, failed = _Among(list(known), "table", f'published in queue "{queue}"').find_each(patterns)
    failed = [_publish_first(provider, one, "add") for one in failed]
    taken = {t.table: t.local for t in subscribed.tables(subscriber, queue)}

    def act(name: TableName) -> Outcome:
        added = add_table(provider, subscriber, queue, known[name], options, taken, names)
        return Outcome(name, added.note, added.changed)

    return _each(names, act) + failed


def unsubscribe(
    subscriber: Database, queue: str, patterns: Sequence[str], *, lock_timeout: float = 10.0
) -> list[Outcome]:
    """End the subscription of tables; their rows stay, and indexes that a copy dropped are made again."""
    locals_of = {t.table: t.local for t in subscribed.tables(subscriber, queue)}
    names, failed = _among_subscribed(list(locals_of), queue).find_each(patterns)

    def act(name: TableName) -> Outcome:
        subscribed.remove_table(subscriber, queue, name)
        failed = dropped_indexes.restore_all(subscriber, lock_timeout, {locals_of[name]})
        without = ", ".join(f'index "{one.name}"' for one in failed)
        return Outcome(name, f"removed, but {without} could not be made again" if failed else "removed", True)

    done = _each(names, act) + failed
    copies.drop_leftovers(subscriber)
    return done


def restore_indexes(subscriber: Database, consumer: str, lock_timeout: float) -> None:
    """Make indexes again that a copy dropped, when no replay is at work that would do so."""
    if dropped_indexes.pending(subscriber) and locks.replay_holder(subscriber, consumer) is None:
        dropped_indexes.restore_all(subscriber, lock_timeout)


def resync(
    subscriber: Database,
    queue: str,
    patterns: Sequence[str],
    request: Request | None = None,
    provider: Database | None = None,
) -> list[Outcome]:
    """Mark tables to be copied anew by the replay, whatever their state.

    A request with a condition needs the `provider` too, for the condition must be readable on both sides.
    """
    stored = {t.table: t for t in subscribed.tables(subscriber, queue)}
    in_part = {name for name, one in copies.copies_asked_for(subscriber, queue).items() if one.condition is not None}
    names, failed = _among_subscribed(list(stored), queue).find_each(patterns)

    def act(name: TableName) -> Outcome:
        if request is not None and request.condition is not None:
            assert provider is not None
            if stored[name].state in (TableState.MISSING, TableState.IN_COPY) and name not in in_part:
                return Outcome(name, "is being copied already, all rows of it")
            check_condition(provider, name, request.condition)
            check_condition(subscriber, stored[name].local, request.condition, "subscriber")
            copies.ask(subscriber, queue, name, request)
            return Outcome(name, "rows of the condition will be copied anew", True)
        with subscriber.transaction():
            subscribed.resync(subscriber, queue, name)
            if request is not None:
                copies.ask(subscriber, queue, name, request)
        return Outcome(name, "will be copied anew", True)

    return _each(names, act) + failed


def subscribe_sequences(provider: Database, subscriber: Database, queue: str, patterns: Sequence[str]) -> list[Outcome]:
    """Subscribe to sequences."""
    event_queue.find_queue(provider, queue)
    candidates = published.published_sequences(provider, queue)
    names, failed = _Among(candidates, "sequence", f'published in queue "{queue}"').find_each(patterns)
    failed = [_publish_first(provider, one, "add-seq") for one in failed]

    def act(name: SequenceName) -> Outcome:
        if not sequences.existing(subscriber, [name]):
            raise ObjectNotFound(
                f'sequence "{name}" does not exist on the subscriber', hint=f"Run there: CREATE SEQUENCE {name.quoted};"
            )
        added = subscribed.add_sequence(subscriber, queue, name)
        return Outcome(name, "added" if added else "already there", added)

    return _each(names, act) + failed


def unsubscribe_sequences(subscriber: Database, queue: str, patterns: Sequence[str]) -> list[Outcome]:
    """End the subscription of sequences."""
    candidates = subscribed.sequences(subscriber, queue)
    names, failed = _Among(candidates, "sequence", f'subscribed from queue "{queue}"').find_each(patterns)

    def act(name: SequenceName) -> Outcome:
        subscribed.remove_sequence(subscriber, queue, name)
        return Outcome(name, "removed", True)

    return _each(names, act) + failed


@dataclass(frozen=True)
class Missing:
    """What is published and not subscribed."""

    tables: list[TableName]
    sequences: list[SequenceName]


def missing(provider: Database, subscriber: Database, queue: str) -> Missing:
    """Return what the provider publishes in this queue and the subscriber does not take."""
    event_queue.find_queue(provider, queue)
    tables = {t.table for t in subscribed.tables(subscriber, queue)}
    taken = set(subscribed.sequences(subscriber, queue))
    return Missing(
        [p.table for p in published.tables(provider, queue) if p.table not in tables],
        [s for s in published.published_sequences(provider, queue) if s not in taken],
    )


def register(provider: Database, subscriber: Database, queue: str, consumer: str, node: str | None = None) -> bool:
    """Register the consumer at the queue's last tick; return False when it was registered already.

    `node` is its name in routes, which is then known on the provider.

    What the subscriber had stored as its position is then forgotten, for it belongs to an earlier registration.
    """
    event_queue.find_queue(provider, queue)
    new = event_queue.register(provider, queue, consumer)
    if new:
        position.forget(subscriber, consumer)
        if claims.find(provider, queue, consumer) is None:
            claims.announce(provider, queue, consumer, node)
    return new


def unregister(provider: Database, subscriber: Database, queue: str, consumer: str, copy_consumer: str) -> bool:
    """Give up the subscriber's claim on the queue; every table is then to be copied anew.

    Return False when the consumer was not registered. Raises AlreadyRunning while a replay is at work, which would
    claim the queue again.
    """
    event_queue.find_queue(provider, queue)
    require_stopped(subscriber, consumer)
    with subscriber.transaction():
        subscribed.forget_all(subscriber, queue)
        position.forget(subscriber, consumer)
    claims.forget(provider, queue, consumer)
    event_queue.unregister(provider, queue, copy_consumer)
    return event_queue.unregister(provider, queue, consumer)


def require_stopped(subscriber: Database, consumer: str) -> None:
    """Raise AlreadyRunning when a replay of the consumer is at work."""
    holder = locks.replay_holder(subscriber, consumer)
    if holder is not None:
        raise AlreadyRunning(f'a replay of "{consumer}" is at work: {holder}', hint="Stop it first, with -s.")


def _publish_first(provider: Database, failed: Outcome, command: str) -> Outcome:
    """Say so when what is not published exists on the provider."""
    text = failed.name.name
    if failed.error is None or is_glob(text) or not _is_name(text):
        return failed
    name = parse_name(text)
    there = structure.user_tables(provider) if command == "add" else structure.user_sequences(provider)
    if name not in there:
        return failed
    return Outcome(name, error=ObjectNotFound(failed.error.message, hint=f"Run `provider {command} {name}` first."))


def require_subscribed(subscriber: Database, queue: str, name: TableName) -> Subscribed:
    """Return the subscription of a table. Raises ObjectNotFound."""
    found = {t.table: t for t in subscribed.tables(subscriber, queue)}
    if name not in found:
        raise _Among(list(found), "table", f'subscribed from queue "{queue}"').not_found(name)
    return found[name]
