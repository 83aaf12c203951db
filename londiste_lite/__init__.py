"""Londiste for today's PostgreSQL: trigger-based table replication with per-row routing."""

__version__ = "0.1.0"
