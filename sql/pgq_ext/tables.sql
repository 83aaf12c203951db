-- Tables of schema pgq_ext in their final state. Names and columns are the original's.

-- The last tick that a consumer has applied.
create table if not exists pgq_ext.completed_tick (
    consumer_id     text not null,
    subconsumer_id  text not null default '',       -- '' for a consumer that works alone
    last_tick_id    bigint not null,
    constraint completed_tick_pkey primary key (consumer_id, subconsumer_id)
) with (fillfactor = 20);

-- The last batch that a consumer has applied.
create table if not exists pgq_ext.completed_batch (
    consumer_id     text not null,
    subconsumer_id  text not null default '',
    last_batch_id   bigint not null,
    constraint completed_batch_pkey primary key (consumer_id, subconsumer_id)
) with (fillfactor = 20);

-- The events that a consumer has applied of the batch it is in the middle of.
create table if not exists pgq_ext.completed_event (
    consumer_id     text not null,
    subconsumer_id  text not null default '',
    batch_id        bigint not null,
    event_id        bigint not null,
    constraint completed_event_pkey primary key (consumer_id, subconsumer_id, batch_id, event_id)
);

-- Which batch that is.
create table if not exists pgq_ext.partial_batch (
    consumer_id     text not null,
    subconsumer_id  text not null default '',
    cur_batch_id    bigint not null,
    constraint partial_batch_pkey primary key (consumer_id, subconsumer_id)
) with (fillfactor = 20);
