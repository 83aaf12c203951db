"""What the driver's errors become, where the server said nothing itself."""

from __future__ import annotations

import psycopg2
import pytest

from londiste_lite.db import translate
from londiste_lite.errors import ConnectionLost


@pytest.mark.parametrize("kind", [psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.DatabaseError])
def test_connection_that_is_gone__whatever_the_driver_calls_it(kind: type[psycopg2.Error]) -> None:
    """The last one comes from a server that crashes while it answers."""
    found = translate(kind("server closed the connection unexpectedly\n\tThis probably means a crash.\n"), "database x")
    assert isinstance(found, ConnectionLost)
    assert found.message == "database x: server closed the connection unexpectedly This probably means a crash"


@pytest.mark.parametrize("kind", [psycopg2.ProgrammingError, psycopg2.DataError, psycopg2.NotSupportedError])
def test_mistake_of_a_statement__is_no_lost_connection(kind: type[psycopg2.Error]) -> None:
    assert not isinstance(translate(kind("can't execute an empty query")), ConnectionLost)
