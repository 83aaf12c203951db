-- What the replay role may do with the program's own tables on a subscriber. Run by the role that installed them.

-- londiste_replay: keeps registrations, table states and positions.
grant usage on schema londiste to londiste_replay;
grant select, insert, update, delete on all tables in schema londiste to londiste_replay;
revoke insert, update, delete on londiste.schema_version, londiste.provider_table, londiste.provider_seq
    from londiste_replay;
grant usage on all sequences in schema londiste to londiste_replay;
grant execute on function londiste.forget_copy(text, text) to londiste_replay;
