-- Tables of schema londiste in their final state. Londiste 2.1's columns keep their names and meaning.

-- One row per installed component: which SQL is in this database.
create table if not exists londiste.schema_version (
    component       text primary key,               -- pgq, pgq_coop, pgq_ext, londiste
    version         int4 not null,                  -- number of the schema, see londiste_lite/schema.py
    program_version text not null,                  -- londiste_lite that installed it
    checksum        text not null,                  -- over the SQL files of the component
    installed       timestamptz not null default now()
);

-- Provider: the published tables.
create table if not exists londiste.provider_table (
    nr              serial not null,                -- order of registration
    queue_name      text not null,
    table_name      text not null,                  -- schema.table, see londiste_lite/names.py
    trigger_name    text,                           -- stem of the capture triggers' names
    key_columns     text[] not null,                -- primary key, or the columns of --key
    key_given       boolean not null default false, -- true: named with --key
    node_column     text,                           -- routing by a column: its name, else null
    node_rule       text,                           -- routing by an SQL expression over the row, else null
    node_many       boolean not null default false, -- true: the route gives an array of nodes
    node_parks      boolean not null default false, -- true: rows for which the rule fails are unrouted, see unrouted_row
    primary key (queue_name, table_name)
);

-- Provider: the published sequences.
create table if not exists londiste.provider_seq (
    nr              serial not null,
    queue_name      text not null,
    seq_name        text not null,
    primary key (queue_name, seq_name)
);

-- Subscriber: the subscribed tables and how far each is.
create table if not exists londiste.subscriber_table (
    nr              serial not null,
    queue_name      text not null,
    table_name      text not null,
    snapshot        text,                           -- provider snapshot up to which the table is complete while it is
                                                    -- not (or not long) part of the main replay, else null
    merge_state     text,                           -- null: to be copied, in-copy, catching-up, ok
    trigger_name    text,                           -- unused, as in Londiste 2.1
    skip_truncate   boolean,                        -- true: the first copy appends
    dest_table      text,                           -- name on the subscriber when it differs
    copy_condition  text,                           -- SQL condition of the first copy, null: all rows
    key_columns     text[],                         -- key as the provider registered it
    error           text,                           -- why the table is held or its copy fails, else null
    rows_inserted   int8 not null default 0,        -- counted by replay since registration
    rows_updated    int8 not null default 0,
    rows_deleted    int8 not null default 0,
    conflicts       int8 not null default 0,        -- events that met another row state than they expected
    held_reason     text,                           -- why a table that is catching up waits for the schema, else null
    held_oid        oid,                            -- its number before, while the table itself is gone; 0: unknown
    primary key (queue_name, table_name)
) with (fillfactor = 50);

-- Subscriber: events that met another row state than they expected, by kind; they go with the table's subscription.
create table if not exists londiste.conflict (
    queue_name      text not null,
    table_name      text not null,
    kind            text not null,                  -- insert (met a row), update, delete (met none)
    events          int8 not null,
    last_keys       text[] not null,                -- some of the last keys, the newest first
    last_seen       timestamptz not null default now(),
    primary key (queue_name, table_name, kind),
    foreign key (queue_name, table_name) references londiste.subscriber_table on delete cascade
);

-- Subscriber: events that could not be applied, and later ones of their keys, which wait behind them.
create table if not exists londiste.parked_event (
    queue_name      text not null,
    table_name      text not null,                  -- name on the provider, as in subscriber_table
    event_id        int8 not null,
    key_values      text[] not null,                -- the key's columns as the provider wrote them
    key_text        text not null,                  -- the same for people
    ev_type         text not null,
    ev_extra2       text,
    ev_data         text,
    sqlstate        text,                           -- why it was refused; null: it waits behind another event
    message         text,
    parked          timestamptz not null default now(),
    primary key (queue_name, table_name, event_id)
);

-- Subscriber: the subscribed sequences.
create table if not exists londiste.subscriber_seq (
    nr              serial not null,
    queue_name      text not null,
    seq_name        text not null,
    primary key (queue_name, seq_name)
);

-- Subscriber: foreign keys dropped for a copy, until both ends are in sync again.
create table if not exists londiste.subscriber_pending_fkeys (
    from_table      text not null,
    to_table        text not null,
    fkey_name       text not null,
    fkey_def        text not null,
    primary key (from_table, fkey_name)
);

-- Subscriber: triggers dropped and not yet restored (by Londiste 2.1; this program drops none).
create table if not exists londiste.subscriber_pending_triggers (
    table_name      text not null,
    trigger_name    text not null,
    trigger_def     text not null,
    primary key (table_name, trigger_name)
);

-- Subscriber: the last applied tick of each consumer, written in the transaction that applied it.
create table if not exists londiste.completed (
    consumer_id     text not null,
    last_tick_id    int8 not null,
    queue_name      text,
    applied         timestamptz,                    -- when, by the subscriber's clock
    tick_time       timestamptz,                    -- the tick's time, by the provider's clock
    last_error      text,                           -- what stops replay, null when it works
    last_error_time timestamptz,
    primary key (consumer_id)
) with (fillfactor = 50);

-- Subscriber: consumers whose replay rests between batches.
create table if not exists londiste.paused (
    consumer_id     text primary key,
    paused_since    timestamptz not null default now(),
    paused_by       text not null
);

-- Subscriber: the tick at which a consumer's replay is to rest until a comparison has opened its snapshot there.
create table if not exists londiste.meeting (
    consumer_id     text primary key,
    tick_id         int8 not null
);

-- Destination: events whose call failed, set aside by `pull` with on_error = park, tried again until the call succeeds.
create table if not exists londiste.parked_pull (
    consumer_id     text not null,
    event_id        int8 not null,                  -- number in the source's queue
    event_time      timestamptz,
    ev_type         text,
    ev_data         text,
    ev_extra2       text,
    ev_extra3       text,
    ev_extra4       text,
    error           text not null,                  -- of the last try
    parked          timestamptz not null default now(),
    tries           int4 not null default 1,
    next_try        timestamptz not null,
    primary key (consumer_id, event_id)
);

-- Provider: scripts of `provider execute`. Their own row changes are not replayed, for the script itself is.
create table if not exists londiste.provider_script (
    queue_name      text not null,
    txid            int8 not null,                  -- transaction that ran it
    event_id        int8 not null,
    script_name     text not null,
    executed        timestamptz not null default now(),
    primary key (queue_name, txid, event_id)
);

-- Provider: the subscribers of each queue, as each says of itself when its replay begins.
create table if not exists londiste.provider_subscriber (
    queue_name      text not null,
    consumer_name   text not null,
    node_name       text,                           -- its name in routes, null: it takes every row
    park_events     int8,                           -- backlog at which it is parked, in events of the queue, or null
    park_seconds    float8,                         -- the same as an age of the oldest waiting batch, or null
    seen            timestamptz not null default now(),
    parked          timestamptz,                    -- when its claim on the queue was released, null: it was not
    parked_reason   text,
    primary key (queue_name, consumer_name)
);

-- Provider: events for nodes that no subscriber was called, counted before the queue forgets them.
create table if not exists londiste.unknown_node (
    queue_name      text not null,
    table_name      text not null,
    node_name       text not null,
    events          int8 not null,
    last_seen       timestamptz not null,
    primary key (queue_name, table_name, node_name)
);

-- Provider: rows that go to no node because their route cannot be worked out, with node_parks.
create table if not exists londiste.unrouted_row (
    queue_name      text not null,
    table_name      text not null,
    row_key         text not null,                  -- the key as record text
    error           text not null,                  -- what the route's expression said
    noted           timestamptz not null default now(),
    primary key (queue_name, table_name, row_key)
);

-- Provider: rows that a statement under way moves between partitions, see londiste.note_moved_row. It is empty for
-- everybody else.
create unlogged table if not exists londiste.moved_row (
    txid            int8 not null,                  -- the statement's transaction
    mark            text not null,                  -- queue and published table
    relation        oid not null,                   -- the partition
    was             boolean not null,               -- true: the row left it, false: it came
    image           text not null                   -- the row as record text
);

-- Provider: up to which snapshot the events of a queue are counted in unknown_node.
create table if not exists londiste.unknown_node_counted (
    queue_name      text primary key,
    snapshot        text not null
);

-- Subscriber: copies under way that are done in ranges, or that have not joined the replay yet; also how far they are.
create table if not exists londiste.copy_job (
    queue_name      text not null,
    table_name      text not null,
    staging         text,                           -- table beside that takes the rows, null: the table itself
    files           text not null default '',       -- storage of the provider's tables that the ranges were cut for
    total_rows      int8,                           -- about how many there are, null: unknown
    total_bytes     int8,
    copied_rows     int8 not null default 0,        -- so far, as last noted
    copied_bytes    int8 not null default 0,
    phase           text not null default 'copy',   -- copy, indexes, reconcile
    started         timestamptz not null default now(),
    noted           timestamptz not null default now(),
    primary key (queue_name, table_name)
) with (fillfactor = 50);

-- Subscriber: ranges of such a copy; `done` is set in the transaction that wrote the range's rows.
create table if not exists londiste.copy_range (
    queue_name      text not null,
    table_name      text not null,
    nr              int4 not null,
    source          text not null,                  -- table or partition on the provider, as it stands in SQL
    condition       text,                           -- which of its rows, null: all
    bytes           int8 not null,                  -- about how many
    done            boolean not null default false,
    copied_rows     int8 not null default 0,
    primary key (queue_name, table_name, nr)
);

-- Subscriber: what a resync asked for beyond a copy of the whole table beside the old rows.
create table if not exists londiste.copy_request (
    queue_name      text not null,
    table_name      text not null,
    truncate        boolean not null default false, -- empty the table first
    condition       text,                           -- only these rows, null: all
    primary key (queue_name, table_name)
);

-- Subscriber: indexes and constraints dropped for a load, until they are made again.
create table if not exists londiste.subscriber_pending_indexes (
    table_name      text not null,
    index_name      text not null,
    index_def       text not null,                  -- the statement that makes it
    tablespace      text not null default '',
    extras          text not null default '',       -- statements that give it back its constraint, comments and so on
    error           text,                           -- why it could not be made again
    primary key (table_name, index_name)
);
