"""The states of a subscribed table, the moves between them, and who may make each.

MISSING      --[replay]--> IN_COPY       the replay starts a copy
IN_COPY      --[copy]----> CATCHING_UP   in the transaction that loads the rows, with the copy's snapshot
IN_COPY      --[replay]--> MISSING       the copy died: it starts over
CATCHING_UP  --[replay]--> OK            joined at a batch boundary
OK           --[replay]--> CATCHING_UP   held: the subscriber's table does not fit what the provider sends
any          --[setup]---> MISSING       resync, unregister
MISSING      --[setup]---> OK            add --expect-sync
"""

from __future__ import annotations

from enum import Enum

from londiste_lite.errors import LondisteError


class TableState(Enum):
    """State of a table on the subscriber; the value is the word stored in `merge_state`, None for NULL."""

    MISSING = None
    IN_COPY = "in-copy"
    CATCHING_UP = "catching-up"
    OK = "ok"

    @property
    def shown(self) -> str:
        """The word that `subscriber tables` prints."""
        return self.value or "-"


class BadTableState(LondisteError):
    """a table is in a state that this program does not know"""

    hint = "Run `subscriber resync` on the table; it is then copied anew."


MOVES: dict[tuple[TableState, TableState], str] = {
    (TableState.MISSING, TableState.IN_COPY): "replay",
    (TableState.IN_COPY, TableState.IN_COPY): "copy",
    (TableState.IN_COPY, TableState.CATCHING_UP): "copy",
    (TableState.IN_COPY, TableState.MISSING): "replay",
    (TableState.CATCHING_UP, TableState.CATCHING_UP): "copy",
    (TableState.CATCHING_UP, TableState.OK): "replay",
    (TableState.CATCHING_UP, TableState.MISSING): "setup",
    (TableState.OK, TableState.CATCHING_UP): "replay",
    (TableState.OK, TableState.MISSING): "setup",
    (TableState.OK, TableState.IN_COPY): "replay",
    (TableState.MISSING, TableState.OK): "setup",
}


def parse(stored: str | None) -> TableState:
    """Return the state for the stored word. Raises BadTableState for any other text.

    Londiste 2.1's hand-over states (`wanna-sync:N`, `do-sync:N`) and `?` are not produced here; a table that an old
    subscriber left in a hand-over is caught up from its snapshot, `?` is the old word for ok.
    """
    if stored == "?":
        return TableState.OK
    if stored is not None and stored.split(":")[0] in ("wanna-sync", "do-sync"):
        return TableState.CATCHING_UP
    try:
        return TableState(stored)
    except ValueError:
        raise BadTableState(f'unknown table state "{stored}"') from None


def check_move(before: TableState, after: TableState) -> None:
    """Raise ValueError for a move that nobody may make: a bug, not a user's error."""
    if (before, after) not in MOVES:
        raise ValueError(f"forbidden move of a table: {before.name} to {after.name}")
