"""Connection strings: read, told to people without their secrets."""

from __future__ import annotations

import re

import psycopg2
import psycopg2.extensions


def hide_password(text: str) -> str:
    """Return `text` with anything that looks like a password in a DSN replaced by `***`."""
    text = re.sub(r"(?i)((?:ssl)?password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)", r"\1***", text)
    return re.sub(r"(\w+://[^:/@\s]*):[^@\s]*@", r"\1:***@", text)


def dsn_problem(dsn: str) -> str | None:
    """Return why libpq cannot read `dsn`, None when it can; nothing of a password is in the answer."""
    try:
        psycopg2.extensions.parse_dsn(dsn)
    except psycopg2.ProgrammingError as error:
        # A password with spaces and no quotes is taken apart by libpq, and its pieces would be in the reason.
        secret = "password" in dsn.lower() or re.match(r"\w+://[^/@]*:[^/@]*@", dsn)
        return "check its spelling and quotes" if secret else str(error).strip().removeprefix("invalid dsn: ")
    return None


def hide_part(host: str) -> str:
    """Return a host's name without what stands before an @ in it, the end of a password that was not escaped."""
    before, at, after = host.rpartition("@")
    return f"***@{after}" if before and at else host


def describe(dsn: str) -> str:
    """Return where `dsn` points, for messages: host, port and database, never user secrets."""
    try:
        parts = psycopg2.extensions.parse_dsn(dsn)
    except psycopg2.ProgrammingError:
        return "the database"
    host = hide_part(parts.get("host") or parts.get("hostaddr") or "local socket")
    port = f":{parts['port']}" if parts.get("port") else ""
    return f'database "{parts.get("dbname") or parts.get("user") or "default"}" at {host}{port}'
