"""The replay engine: fetch, stage, compact, apply, one subscriber transaction per batch."""
