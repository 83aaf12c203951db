"""Every error the program raises on purpose: one base class, a default message and hint per class.

A message is lower case without a full stop, names in quotes; a hint is a full sentence that says what to do.
`error_boundary` turns them into text and an exit code; below the command layer nobody prints.
"""

from __future__ import annotations

from collections.abc import Sequence


class LondisteError(Exception):
    """unexpected condition"""

    hint: str | None = None

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())
        if hint is not None:
            self.hint = hint

    @property
    def message(self) -> str:
        return str(self.args[0])


class ConfigError(LondisteError):
    """the configuration cannot be used"""


class UsageError(LondisteError):
    """the command line cannot be understood"""


class DatabaseError(LondisteError):
    """the database refused a statement

    `sqlstate` is the five-character code; `detail`, `constraint`, `table`, `column` are what the server named, None
    when it named nothing. `in_function` tells that a function of the users raised it, a trigger's for example.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        hint: str | None = None,
        sqlstate: str | None = None,
        detail: str | None = None,
        constraint: str | None = None,
        table: str | None = None,
        column: str | None = None,
        in_function: bool = False,
    ) -> None:
        super().__init__(message, hint=hint)
        self.in_function = in_function
        self.sqlstate = sqlstate
        self.detail = detail
        self.constraint = constraint
        self.table = table
        self.column = column


class ConnectionLost(DatabaseError):
    """the connection to the database was lost"""


class ConnectionRefused(ConnectionLost):
    """the database cannot be reached"""


class LockNotGranted(DatabaseError):
    """a lock was not granted in time"""

    hint = "Another transaction holds the lock; try again, or raise lock_timeout."


class QueryCanceled(DatabaseError):
    """a statement was cancelled"""


class PrivilegeMissing(DatabaseError):
    """the role may not do this"""

    hint = "docs/security.md says what each role needs; `provider install --roles` makes roles that have it."


class SchemaError(LondisteError):
    """the londiste schema is missing or does not fit this program"""


class RegistrationError(LondisteError):
    """the registration cannot be changed this way"""


class ObjectNotFound(RegistrationError):
    """no such object"""


class NoPrimaryKey(RegistrationError):
    """the table has no primary key"""

    hint = "Add a primary key, or name the key columns with --key (they must be unique and NOT NULL)."


class ReplayError(LondisteError):
    """an event cannot be applied

    Carries what is known of the culprit: `table`, `event_id`, `key` (text), `sqlstate`.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        hint: str | None = None,
        table: str | None = None,
        event_id: int | None = None,
        key: str | None = None,
        sqlstate: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.table = table
        self.event_id = event_id
        self.key = key
        self.sqlstate = sqlstate


class SchemaDrift(ReplayError):
    """the subscriber's table does not fit what the provider sends

    The hint says what to run. `others` are those of further tables in the same batch; `gone_oid` is the number that a
    table had which is not there any more, 0 when unknown, None for one that is.
    """

    others: Sequence[SchemaDrift] = ()
    gone_oid: int | None = None


class ClaimReleased(ReplayError):
    """the claim on the queue was released while replay was behind"""

    hint = "It comes back by itself; tables whose changes the queue has forgotten are copied anew."


class CopyError(LondisteError):
    """the first copy of a table failed"""


class AlreadyRunning(LondisteError):
    """another process is at work"""


class WaitTimeout(LondisteError):
    """the wait ended before the subscriber was there"""


class DifferencesFound(LondisteError):
    """differences were found"""


class StopRequested(LondisteError):
    """the work was asked to stop"""


class RegistrationChanged(StopRequested):
    """a table was removed, or is to be copied anew, while it was worked on: what was done is not kept"""
