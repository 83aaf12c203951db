"""What the driver's errors become, where the server said nothing itself."""

from __future__ import annotations

import psycopg2
import pytest

from londiste_lite.db import connect, translate
from londiste_lite.errors import ConnectionLost, ConnectionRefused


@pytest.mark.parametrize("kind", [psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.DatabaseError])
def test_connection_that_is_gone__whatever_the_driver_calls_it(kind: type[psycopg2.Error]) -> None:
    """The last one comes from a server that crashes while it answers."""
    found = translate(kind("server closed the connection unexpectedly\n\tThis probably means a crash.\n"), "database x")
    assert isinstance(found, ConnectionLost)
    assert found.message == "database x: server closed the connection unexpectedly This probably means a crash"


@pytest.mark.parametrize("kind", [psycopg2.ProgrammingError, psycopg2.DataError, psycopg2.NotSupportedError])
def test_mistake_of_a_statement__is_no_lost_connection(kind: type[psycopg2.Error]) -> None:
    assert not isinstance(translate(kind("can't execute an empty query")), ConnectionLost)


def test_password__with_an_at_sign_that_was_not_escaped_is_not_shown() -> None:
    with pytest.raises(ConnectionRefused) as refused:
        connect("postgresql://user:WrOnG@seKret@127.0.0.1:1/shop", job="j", role="r")
    assert "seKret" not in f"{refused.value}{refused.value.__cause__}"
    assert 'database "shop" at ***@127.0.0.1:1' in str(refused.value)
    assert "%40" in (refused.value.hint or "")
