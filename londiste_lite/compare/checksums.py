"""Checksums of a table in buckets, which are ranges of a hash of the key, the same on both sides. Pure SQL texts.

Not ranges of the key itself: they need an order, and two servers may not agree on how text is sorted. A hash also
splits any key evenly, composite ones too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from londiste_lite.compare.shape import Side

# Few rows per bucket, so that few are read where one differs; few buckets in all, so that few sums cross the network.
FEWEST_BUCKETS, MOST_BUCKETS = 64, 16_384
ROWS_PER_BUCKET = 400
# Heap blocks that one query sums up; each sends all buckets, so there are few queries.
FEWEST_BLOCKS = 16_384
MOST_SLICES = 4

_WORD = 1 << 64

# Texts whose hashes two servers must agree on before the server's own hash function is used.
PROBES = ("", "a", "(1,apple,1.20)", "\N{SNOWMAN}" * 7, "x" * 1000)


@dataclass(frozen=True)
class Hashing:
    """A hash of text as SQL, 64 bits: the server's own, or md5, which costs about twice as much and is the same
    everywhere, whatever the server's encoding and byte order."""

    portable: bool

    def of(self, text: str) -> str:
        """Return the SQL of the hash of the SQL expression `text`, an int8."""
        if self.portable:
            digest = f"pg_catalog.md5(pg_catalog.convert_to({text}, 'UTF8'))"
            return f"('x' operator(pg_catalog.||) pg_catalog.left({digest}, 16))::pg_catalog.bit(64)::pg_catalog.int8"
        return f'pg_catalog.hashtextextended(({text}) collate pg_catalog."C", 0)'


def bucket_count(rows: float) -> int:
    """Return how many buckets a table of about `rows` rows is split into, a power of two."""
    count = 1 << int(rows / ROWS_PER_BUCKET).bit_length()
    return max(FEWEST_BUCKETS, min(MOST_BUCKETS, count))


def slices(blocks: int, sliced: bool) -> list[str]:
    """Return conditions on ctid that split a heap of `blocks` blocks; one empty text when it is read in one go."""
    step = max(FEWEST_BLOCKS, -(-blocks // MOST_SLICES))
    if not sliced or blocks <= step:
        return [""]
    starts = list(range(0, blocks, step))
    found = []
    for start in starts:
        low = f"ctid >= '({start},0)'::pg_catalog.tid"
        high = f" and ctid < '({start + step},0)'::pg_catalog.tid" if start != starts[-1] else ""
        found.append(low + high)
    return found


def sums_sql(side: Side, hashing: Hashing, buckets: int, part: str) -> str:
    """Return the query for the sums of one part of a table: the number of rows, and packed (bucket, sum of row hashes),
    for `unpack`."""
    bucket = f"{hashing.of(side.key_text)} & {buckets - 1}"
    where = side.where(*([part] if part else []))
    half = _WORD // 2
    signed = f"(pg_catalog.mod(pg_catalog.mod(pg_catalog.sum(h), {_WORD}) + {_WORD + half}, {_WORD}) - {half})"
    return (
        "select coalesce(pg_catalog.sum(n), 0)::pg_catalog.int8, "
        "pg_catalog.string_agg(pg_catalog.int4send(b::pg_catalog.int4) || pg_catalog.int8send(s), ''::bytea) "
        f"from (select b, pg_catalog.count(*) as n, {signed}::pg_catalog.int8 as s from "
        f"(select {bucket} as b, {hashing.of(side.row_text)} as h from {side.table.target}{where}) x group by b) y"
    )


def unpack(packed: bytes) -> Iterator[tuple[int, int]]:
    """Give (bucket, sum) of what `sums_sql` packed."""
    return struct.iter_unpack(">iq", packed)


def rows_sql(side: Side, hashing: Hashing, buckets: int, wanted: Sequence[int]) -> str:
    """Return the query for (hash of the key, key, hash of the row) of all rows of some buckets, by the key's hash."""
    key = hashing.of(side.key_text)
    where = side.where()
    listed = ",".join(str(number) for number in wanted)
    some = f" where k & {buckets - 1} = any ('{{{listed}}}'::pg_catalog.int8[])" if len(wanted) < buckets else ""
    return (
        f"select k, a, h from (select {key} as k, {side.key_array} as a, {hashing.of(side.row_text)} as h "
        f"from {side.table.target}{where}) x{some} order by k"
    )


def lookup_sql(side: Side, hashing: Hashing, columns: str = "", *, anywhere: bool = False, lock: bool = False) -> str:
    """Return the query for rows by key: (number, key, hash of the row, `columns` more). Its parameters are one array of
    texts per part of the key. `anywhere` finds rows that do not belong here too, `lock` locks them for a change."""
    parts = [f"londiste_wanted.londiste_k{n}" for n in range(1, len(side.key) + 1)]
    arrays = ", ".join("pg_catalog.unnest(%s::pg_catalog.text[])" for _ in side.key)
    names = ", ".join(f"londiste_k{n}" for n in range(1, len(side.key) + 1))
    match = _percent(side.match(parts))
    where = _percent(side.where()) + " and " if side.belongs and not anywhere else " where "
    found = _percent(f"{side.key_array} as londiste_a, {hashing.of(side.row_text)} as londiste_h{columns}")
    return (
        f"select londiste_wanted.londiste_nr, londiste_found.* from rows from ({arrays}) with ordinality "
        f"londiste_wanted ({names}, londiste_nr), lateral (select {found} from {_percent(side.table.target)}"
        f"{where}{match}{' for update' if lock else ''}) londiste_found order by 1"
    )


def _percent(sql: str) -> str:
    return sql.replace("%", "%%")


class Sums:
    """The number of rows, and sums of row hashes per bucket, added up over the parts of a table."""

    def __init__(self) -> None:
        self.rows = 0
        self._buckets: dict[int, int] = {}

    def add(self, rows: int, sums: Iterable[tuple[int, int]]) -> None:
        """Add one part."""
        self.rows += rows
        for bucket, total in sums:
            self._buckets[bucket] = (self._buckets.get(bucket, 0) + total) % _WORD

    def differing(self, other: Sums) -> list[int]:
        """Return the buckets that are not the same in both; one without rows has the sum 0."""
        every = self._buckets.keys() | other._buckets.keys()
        return sorted(b for b in every if self._buckets.get(b, 0) != other._buckets.get(b, 0))
