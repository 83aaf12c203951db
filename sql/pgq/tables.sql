-- Tables of the queue in their final state. Names, columns and defaults are PgQ's: clients read these tables directly.

-- The names of consumers; one row serves all queues that a consumer reads.
create table if not exists pgq.consumer (
    co_id       serial,
    co_name     text not null,
    constraint consumer_pkey primary key (co_id),
    constraint consumer_name_uq unique (co_name)
);

-- One row per queue: where its events are, when it ticks, when its tables rotate.
create table if not exists pgq.queue (
    queue_id                    serial,
    queue_name                  text not null,
    queue_ntables               integer not null default 3,         -- how many event tables take turns
    queue_cur_table             integer not null default 0,         -- number of the table that is written now
    queue_rotation_period       interval not null default '2 hours',
    queue_switch_step1          bigint not null default pg_catalog.txid_current(),  -- transaction of the last rotation
    queue_switch_step2          bigint default pg_catalog.txid_current(),           -- one that began after it, or null
    queue_switch_time           timestamptz not null default pg_catalog.now(),
    queue_external_ticker       boolean not null default false,     -- ticks come from elsewhere
    queue_disable_insert        boolean not null default false,     -- only session_replication_role replica may insert
    queue_ticker_paused         boolean not null default false,
    queue_ticker_max_count      integer not null default 500,       -- tick when so many events wait
    queue_ticker_max_lag        interval not null default '3 seconds',  -- tick when one has waited so long
    queue_ticker_idle_period    interval not null default '1 minute',   -- tick after this without any event
    queue_per_tx_limit          integer,                            -- most events of one transaction, null: no limit
    queue_data_pfx              text not null,                      -- pgq.event_N
    queue_event_seq             text not null,                      -- pgq.event_N_id_seq
    queue_tick_seq              text not null,                      -- pgq.event_N_tick_seq
    queue_extra_maint           text[],                             -- functions that maintenance calls with the name
    constraint queue_pkey primary key (queue_id),
    constraint queue_name_uq unique (queue_name)
) with (fillfactor = 50);

-- The moments between which batches lie.
create table if not exists pgq.tick (
    tick_queue      integer not null,
    tick_id         bigint not null,
    tick_time       timestamptz not null default pg_catalog.now(),
    tick_snapshot   txid_snapshot not null default pg_catalog.txid_current_snapshot(),
    tick_event_seq  bigint not null,                                -- value of the event sequence at that moment
    constraint tick_pkey primary key (tick_queue, tick_id),
    constraint tick_queue_fkey foreign key (tick_queue) references pgq.queue (queue_id)
);

-- Batch numbers are unique over all queues.
create sequence if not exists pgq.batch_id_seq;

-- Who reads which queue and how far. A few rows that change with every batch: room on the page for the new versions.
create table if not exists pgq.subscription (
    sub_id          serial not null,                                -- not unique: cooperative consumers share it
    sub_queue       integer not null,
    sub_consumer    integer not null,
    sub_last_tick   bigint,                                         -- processed up to here; null: idle subconsumer
    sub_active      timestamptz not null default pg_catalog.now(),
    sub_batch       bigint,                                         -- the open batch, null when there is none
    sub_next_tick   bigint,                                         -- where the open batch ends
    constraint subscription_pkey primary key (sub_queue, sub_consumer),
    constraint subscription_batch_idx unique (sub_batch),
    constraint sub_queue_fkey foreign key (sub_queue) references pgq.queue (queue_id),
    constraint sub_consumer_fkey foreign key (sub_consumer) references pgq.consumer (co_id)
) with (fillfactor = 20, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);

-- What every event table looks like; its privileges are given to each event table too.
create table if not exists pgq.event_template (
    ev_id       bigint not null,
    ev_time     timestamptz not null,
    ev_txid     bigint not null default pg_catalog.txid_current(),
    ev_owner    integer,                                            -- sub_id of the only reader, null: everybody
    ev_retry    integer,                                            -- how often it came back, null: never
    ev_type     text,
    ev_data     text,
    ev_extra1   text,
    ev_extra2   text,
    ev_extra3   text,
    ev_extra4   text
);

-- Events that a consumer wants to see again later.
create table if not exists pgq.retry_queue (
    ev_retry_after  timestamptz not null,
    ev_queue        integer not null,
    like pgq.event_template,
    constraint rq_pkey primary key (ev_owner, ev_id),
    constraint rq_queue_id_fkey foreign key (ev_queue) references pgq.queue (queue_id)
);
-- The transaction is chosen when the event goes back into the queue.
alter table pgq.retry_queue alter column ev_txid drop not null;
create index if not exists rq_retry_idx on pgq.retry_queue (ev_retry_after);
