"""Whether a table's rows may travel in COPY's binary form: faster to read, and only safe for types that both sides have
in exactly the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from londiste_lite.db import Database
from londiste_lite.names import TableName
from londiste_lite.structure import Column, Table

# Types whose binary form is the same on all servers and holds no number of a catalogue. Ranges carry their elements'.
PORTABLE = frozenset(
    {
        *("bool", "int2", "int4", "int8", "float4", "float8", "numeric", "text", "varchar", "bpchar", "bytea", "uuid"),
        *("json", "jsonb", "date", "time", "timetz", "timestamp", "timestamptz", "interval", "inet", "cidr"),
        *("macaddr", "macaddr8", "bit", "varbit", "point", "line", "lseg", "box", "path", "polygon", "circle"),
        *("int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange"),
        *("int4multirange", "int8multirange", "nummultirange", "tsmultirange", "tstzmultirange", "datemultirange"),
    }
)


def binary(left: Mapping[str, str], right: Mapping[str, str], target: Table, columns: Sequence[Column]) -> bool:
    """Tell whether the provider's `columns` and the subscriber's of the same names hold the same types, and whether
    those have a binary form that every server reads. `left` and `right` are what `sent` says of the two tables."""
    for column in columns:
        other = target.column(column.name)
        found = left.get(column.name)
        if other is None or other.type != column.type or found is None or found != right.get(column.name):
            return False
    return bool(columns)


def sent(db: Database, tables: Sequence[Table]) -> dict[TableName, dict[str, str]]:
    """Return, by table, what each column with a portable binary form sends, as text to compare."""
    found: dict[int, dict[str, str]] = {table.oid: {} for table in tables}
    for oid, name, full, kind, base, builtin, nested, fixed in db.rows_again("copy_plan.formats", oids=list(found)):
        # An enum sends its label; an array of one sends its type's number, which differs from server to server.
        if (builtin and base in PORTABLE and fixed) or (kind == "e" and not nested):
            found[int(oid)][str(name)] = f"{full} {kind} {base}"
    return {table.name: found[table.oid] for table in tables}
