-- Routes that fail for a row may leave it unrouted.
alter table londiste.provider_table add column if not exists node_parks boolean not null default false;
