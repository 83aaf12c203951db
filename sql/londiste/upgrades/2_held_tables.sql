-- Tables that wait for the subscriber's schema.
alter table londiste.subscriber_table add column if not exists held_reason text;
alter table londiste.subscriber_table add column if not exists held_oid oid;
