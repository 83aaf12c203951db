"""Checksums of a table in buckets, which are ranges of a hash of the key, the same on both sides. Pure SQL texts.

Not ranges of the key itself: they need an order, and two servers may not agree on how text is sorted. A hash also
splits any key evenly, composite ones too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from londiste_lite.compare.shape import Side

FEWEST_BUCKETS, MOST_BUCKETS = 64, 65_536
ROWS_PER_BUCKET = 2_000
# Heap blocks that one query sums up; each sends all buckets, so there are few.
FEWEST_BLOCKS = 16_384
MOST_SLICES = 6

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
    wanted = int(rows / ROWS_PER_BUCKET)
    count = 1 << max(wanted, 1).bit_length() - 1
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
    """Return the query for (bucket, rows, sum of row hashes) of one part of a table."""
    bucket = f"{hashing.of(side.key_text)} & {buckets - 1}"
    where = side.where(*([part] if part else []))
    return (
        "select b, pg_catalog.count(*), pg_catalog.sum(h)::pg_catalog.text from "
        f"(select {bucket} as b, {hashing.of(side.row_text)} as h from {side.table.target}{where}) x group by b"
    )


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
    """Row counts and sums of row hashes per bucket, summed up over the parts of a table."""

    def __init__(self) -> None:
        self.rows = 0
        self._buckets: dict[int, tuple[int, int]] = {}

    def add(self, bucket: int, rows: int, total: int) -> None:
        """Add what one part holds in a bucket."""
        count, before = self._buckets.get(bucket, (0, 0))
        self._buckets[bucket] = (count + rows, (before + total) % _WORD)
        self.rows += rows

    def differing(self, other: Sums) -> list[int]:
        """Return the buckets that are not the same in both."""
        every = self._buckets.keys() | other._buckets.keys()
        return sorted(b for b in every if self._buckets.get(b, (0, 0)) != other._buckets.get(b, (0, 0)))
