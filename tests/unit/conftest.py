"""Fixtures for tests without a server."""

from __future__ import annotations

from tests.fixtures.in_process import call  # noqa: F401
