"""Whether values of one column type fit into another; pure, by the types' names."""

from __future__ import annotations

import re

_INTEGERS = {"smallint": 2, "integer": 4, "bigint": 8}
_FLOATS = {"real": 4, "double precision": 8}
_NAME = re.compile(r"(?P<base>[^(]+?)\s*(?:\((?P<size>\d+)(?:,(?P<scale>-?\d+))?\))?(?P<rest>[^(]*)")


def _parts(kind: str) -> tuple[str, int | None, int | None]:
    found = _NAME.fullmatch(kind)
    if found is None:
        return kind, None, None
    base = (found["base"] + found["rest"]).strip()
    size = int(found["size"]) if found["size"] else None
    return base, size, int(found["scale"]) if found["scale"] else None


def narrower(source: str, target: str) -> str | None:
    """Return why some values of type `source` do not fit into `target`, None when all do or nothing is known."""
    base, size, scale = _parts(source)
    other, other_size, other_scale = _parts(target)
    if base in _INTEGERS and other in _INTEGERS:
        return "large values do not fit" if _INTEGERS[base] > _INTEGERS[other] else None
    if base in ("numeric", *_FLOATS) and other in _INTEGERS:
        return "fractions are rounded"
    if (base, other) == ("double precision", "real"):
        return "digits are lost"
    if base in (*_INTEGERS, *_FLOATS, "numeric") and other == "numeric" and other_size is not None:
        whole = None if size is None or base != "numeric" else size - (scale or 0)
        fits = whole is not None and whole <= other_size - (other_scale or 0) and (scale or 0) <= (other_scale or 0)
        return None if fits else "large values do not fit, or digits are lost"
    texts = {"character varying", "character", "text"}
    if base in texts and other in texts and other_size is not None:
        return "long values do not fit" if size is None or size > other_size else None
    times = {"timestamp without time zone", "timestamp with time zone"}
    if base in times and other in ("date", "time without time zone", "time with time zone"):
        return "a part of each value is lost"
    if base == other and size is not None and other_size is not None and other_size < size:
        return "values do not fit, or digits are lost"
    return None
