"""Making a table on the subscriber from the provider's definition, without pg_dump.

`read` takes everything that makes a table out of the provider's catalogue, `limits` says what the subscriber's server
cannot hold, `table_ddl` and `type_ddl` write the statements, `create` runs them in one transaction, `references` adds
the foreign keys among replicated tables.
"""
