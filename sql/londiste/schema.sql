-- The schema of registration, table states, positions and capture helpers; the same on provider and subscriber.
create schema if not exists londiste;
grant usage on schema londiste to public;
