"""Cutting a table into ranges that are copied one by one, several at once.

Ranges are of row places (`ctid`): equal in size, and read without an index. A row that nobody changes keeps its place
as long as its table keeps its files, which are noted with the ranges. Where places cannot be used, ranges are of the
key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from londiste_lite.copies import Range
from londiste_lite.db import Database
from londiste_lite.names import QualifiedName, TableName, quote_ident, quote_literal
from londiste_lite.structure import Table

# The first server version that reads a range of places without reading the whole table.
PLACE_RANGES = 140000
MOST_RANGES = 5000


@dataclass(frozen=True)
class Piece:
    """A table that holds rows: a table itself, or a partition. `places` tells that its rows can be told by their place;
    `bytes` is its main storage, `all_bytes` with long values; `file` says which storage that is."""

    name: TableName
    places: bool
    bytes: int
    page: int
    rows: float
    all_bytes: int
    file: str


def pieces(provider: Database, table: Table) -> list[Piece]:
    """Return what holds the table's rows on the provider, right now."""
    found = []
    stored = provider.rows_again("copy_plan.pieces", oid=table.oid)
    for schema, name, kind, heap, size, page, rows, all_bytes, file in stored:
        places = kind == "r" and heap and provider.server_version >= PLACE_RANGES
        found.append(
            Piece(QualifiedName(schema, name), places, int(size), int(page), float(rows), int(all_bytes), str(file))
        )
    return found


def sizes(provider: Database, tables: Sequence[Table]) -> dict[TableName, int]:
    """Return how many bytes tables take on the provider with their partitions, without indexes."""
    found = provider.rows("copy_plan.sizes", oids=[table.oid for table in tables])
    bytes_of = {int(oid): int(size) for oid, size in found}
    return {table.name: bytes_of[table.oid] for table in tables}


def files(found: Sequence[Piece]) -> str:
    """Return the storage of all pieces, as it is kept with the ranges."""
    return " ".join(piece.file for piece in found)


def same_files(stored: str, found: Sequence[Piece]) -> bool:
    """Tell whether everything that ranges were cut for still has its storage; what came later does not matter."""
    return set(stored.split()) <= {piece.file for piece in found}


def estimated_rows(found: Sequence[Piece]) -> int | None:
    """Return about how many rows there are, None when the server does not know."""
    known = [piece.rows for piece in found if piece.rows > 0]
    return int(sum(known)) if known else None


def cut(provider: Database, table: Table, key: Sequence[str], found: Sequence[Piece], size: int) -> list[Range]:
    """Return the table in ranges of about `size` bytes."""
    total = sum(piece.all_bytes for piece in found)
    size = max(size, total // MOST_RANGES)
    ranges: list[Range] = []
    for piece in found:
        parts = max(1, min(piece.all_bytes // size, MOST_RANGES))
        if parts == 1:
            conditions: list[str | None] = [None]
        elif piece.places:
            conditions = place_ranges(piece.bytes // piece.page, parts)
        else:
            conditions = key_ranges(key[0], bounds(provider, piece.name, key[0]), parts) if key else [None]
        source = f"only {piece.name.quoted}"
        share = piece.all_bytes // len(conditions)
        ranges += [Range(len(ranges) + n, source, c, share) for n, c in enumerate(conditions, 1)]
    return ranges


def place_ranges(pages: int, parts: int) -> list[str | None]:
    """Return conditions on `ctid` that cut `pages` pages into parts; the last one has no end."""
    starts = sorted({pages * n // parts for n in range(parts)})
    found: list[str | None] = []
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        begin = f"ctid >= '({start},0)'::pg_catalog.tid"
        found.append(begin if end is None else f"{begin} and ctid < '({end},0)'::pg_catalog.tid")
    return found


def key_ranges(column: str, values: Sequence[str], parts: int) -> list[str | None]:
    """Return conditions on a key column that cut it at some of the `values` that `bounds` gives; [None] without any."""
    inner = list(values[1:-1])
    count = min(parts - 1, len(inner))
    chosen = list(dict.fromkeys(inner[(n + 1) * len(inner) // (count + 1)] for n in range(count))) if count else []
    if not chosen:
        return [None]
    name = quote_ident(column)
    found: list[str | None] = [f"{name} < {quote_literal(chosen[0])}"]
    for low, high in zip(chosen, [*chosen[1:], None], strict=True):
        end = f" and {name} < {quote_literal(high)}" if high is not None else ""
        found.append(f"{name} >= {quote_literal(low)}{end}")
    return found


def bounds(provider: Database, table: TableName, column: str) -> list[str]:
    """Return values that cut a column into about equal parts, as text; none when the server has no statistics."""
    return provider.value("copy_plan.bounds", schema=table.schema, name=table.name, column=column) or []
