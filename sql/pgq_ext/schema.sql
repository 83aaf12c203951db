-- What the consumers of queues remember on their destination, in the transaction that does their work there.
create schema if not exists pgq_ext;
grant usage on schema pgq_ext to public;
