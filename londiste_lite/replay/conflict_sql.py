"""SQL that finds out which keys were in another state than a batch expected, as a by-product of applying it. Pure.

Each statement gives conflicts by the operation that expected otherwise, with a few keys. Keys are looked for only where
the counts say that there are conflicts: a statement's parts all see the table as it was before the statement.
"""

from __future__ import annotations

from londiste_lite.conflicts import LONGEST_KEY, MOST_KEYS
from londiste_lite.replay.compact import Source, TableSql


def delete(sql: TableSql) -> str:
    """Plain DELETE of the keys whose last event is a delete."""
    return f"delete from {sql.table.target} t using {sql.from_winners}{sql.where(sql.goes, sql.match('t', 'w'))}"


def delete_and_tell(sql: TableSql, expected: int) -> str:
    """The same DELETE, for keys of which `expected` should be there; slower, for it returns rows.

    It gives how many of those were there, how many were there that should not (the batch inserts them itself first),
    and keys of those that were not, and of those that should not have been.
    """
    there, more = (f"pg_catalog.count(*) filter (where first {sign} 'I')" for sign in ("<>", "="))
    lost = _some_keys(sql, sql.goes, f"{sql.first} <> 'I'" if sql.winners else None, _absent(sql))
    met = _some_keys(sql, sql.goes, f"{sql.first} = 'I'", _present(sql)) if sql.winners else "null"
    return (
        f"with gone as ({delete(sql)} returning {sql.first} as first) select {there}, {more}, "
        f"case when {there} < {expected} then {lost} end, case when {more} > 0 then {met} end from gone"
    )


def insert_missing(sql: TableSql, source: Source) -> str:
    """INSERT of the keys that should have been there and are not; gives them by (first operation, count, some keys)."""
    condition = sql.where(sql.of(source), sql.stays, sql.was_there, _absent(sql))
    return (
        f"with absent as materialized (select w.* from {sql.from_winners}{condition}), done as ("
        f"insert into {sql.table.name.quoted} ({sql.columns(source)}) overriding system value "
        f"select {sql.values(source)} from absent w) {_by_operation(sql, f'absent w where {_not_new(sql)}')}"
    )


def unexpected(sql: TableSql) -> str:
    """Which of the keys that stay are in another state than their first event expects, before anything is changed; by
    (first operation, count, some keys)."""
    other = f"({sql.first} = 'I') = {_present(sql)}"
    return _by_operation(sql, f"{sql.from_winners} where w.op <> 'D' and {other} and {_not_new(sql)}")


def key_text(parts: list[str]) -> str:
    """The expression for a key as people read it, from the expressions of its columns."""
    text = f"pg_catalog.concat({parts[0]})"
    if len(parts) > 1:
        text = f"pg_catalog.concat('(', pg_catalog.concat_ws(', ', {', '.join(parts)}), ')')"
    return f"pg_catalog.left({text}, {LONGEST_KEY})"


def _key(sql: TableSql) -> str:
    return key_text([f"w.k{n}" for n in range(1, len(sql.key) + 1)])


def _present(sql: TableSql) -> str:
    return f"exists (select 1 from {sql.table.target} t where {sql.match('t', 'w')})"


def _not_new(sql: TableSql) -> str:
    """The condition that it is not the batch that makes the row: a trigger of the provider that changes a row while it
    is inserted has its UPDATE logged first, see "Statements inside a statement" in docs/how-it-works.md."""
    if not sql.winners:
        return "true"

    def same(event: str) -> str:
        return " and ".join(f"{event}.k{n} {k.equality.operator} w.k{n}" for n, k in enumerate(sql.key, 1))

    gone = f"select from {sql.parsed} d where d.op = 'D' and d.ev_id < e.ev_id and {same('d')}"
    made = f"select from {sql.parsed} e where e.op = 'I' and {same('e')} and not exists ({gone})"
    return f"not ({sql.first} = 'U' and exists ({made}))"


def _absent(sql: TableSql) -> str:
    return f"not {_present(sql)}"


def _some_keys(sql: TableSql, *conditions: str | None) -> str:
    some = f"select {_key(sql)} as k from {sql.from_winners}{sql.where(*conditions)} limit {MOST_KEYS}"
    return f"(select pg_catalog.array_agg(k) from ({some}) x)"


def _by_operation(sql: TableSql, winners: str) -> str:
    return (
        f"select f, pg_catalog.count(*), pg_catalog.array_agg(k) filter (where n <= {MOST_KEYS}) from ("
        f"select {sql.first} as f, {_key(sql)} as k, pg_catalog.row_number() over (partition by {sql.first}) as n "
        f"from {winners}) x group by f"
    )
