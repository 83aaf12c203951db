-- What the three roles may do on a provider. Run by the role that installed the schemas; may be repeated.

-- londiste_capture: publishes tables and owns their capture functions. For the owners of tables.
grant usage on schema pgq to londiste_capture;
grant usage, create on schema londiste to londiste_capture;
grant select on londiste.schema_version to londiste_capture;
grant select, insert, update, delete on londiste.provider_table, londiste.provider_seq, londiste.provider_script,
    londiste.unrouted_row to londiste_capture;
grant usage on sequence londiste.provider_table_nr_seq, londiste.provider_seq_nr_seq to londiste_capture;
grant execute on function
    londiste.capture_open, londiste.capture_begin, londiste.capture_end, londiste.plain_text, londiste.text_needs,
    londiste.text_settings, londiste.columns_of, londiste.columns_hold, londiste.columns_fit, londiste.attnums_of,
    londiste.live_columns, londiste.key_is_unique, londiste.live_unique_index, londiste.role_is_origin,
    londiste.follow_current_table, londiste.equality_of, londiste.current_rows_sql, londiste.rows_now_sql,
    londiste.list_unrouted_sql, londiste.targets_of, londiste.note_moved_row, londiste.moved_rows_sql,
    londiste.with_moved_rows, londiste.forget_moved_rows, londiste.index_targets, pgq.insert_event(text, text, text, text, text, text, text)
    to londiste_capture;
grant select on pgq.queue, londiste.moved_row to londiste_capture;
grant insert (ev_id, ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3, ev_extra4)
    on pgq.event_template to londiste_capture;

-- londiste_ticker: makes ticks, rotates the event tables, brings back retried events.
grant usage on schema pgq, londiste to londiste_ticker;
grant select on londiste.schema_version to londiste_ticker;
grant select on pgq.queue, pgq.tick, pgq.subscription, pgq.consumer to londiste_ticker;
grant execute on function
    londiste.tick, londiste.wait_for_events, londiste.park_behind, londiste.count_unknown_nodes, londiste.index_targets,
    pgq.seq_getval, pgq.maint_operations, pgq.maint_tables_to_vacuum, pgq.maint_rotate_tables_step1,
    pgq.maint_rotate_tables_step2, pgq.maint_retry_events, pgq.insert_event_raw
    to londiste_ticker;
grant update (queue_cur_table, queue_switch_step1, queue_switch_step2, queue_switch_time) on pgq.queue
    to londiste_ticker;
grant delete on pgq.tick to londiste_ticker;
grant select, delete on pgq.retry_queue to londiste_ticker;
grant select, insert, truncate on pgq.event_template to londiste_ticker;

-- londiste_replay: reads events and positions, keeps its own position. It says of itself who it is.
grant usage on schema pgq, londiste to londiste_replay;
grant select on all tables in schema londiste to londiste_replay;
grant insert, update, delete on londiste.provider_subscriber to londiste_replay;
grant delete on londiste.unknown_node to londiste_replay;
grant select on pgq.queue, pgq.tick, pgq.subscription, pgq.consumer, pgq.event_template to londiste_replay;
grant execute on function
    londiste.tick, londiste.find_unknown_nodes, londiste.event_tables, pgq.seq_getval, pgq.register_consumer,
    pgq.register_consumer_at, pgq.unregister_consumer
    to londiste_replay;

-- Queues that are there get what has changed in the pattern of their event tables.
select pgq.grant_perms(queue_name) from pgq.queue;
