"""First copy of a table and its way into the running replay."""
