-- Statements of londiste_lite/replay/look.py: all that a replay wants to know between two batches, in one answer.

-- name: subscriber
select exists (select from londiste.paused p where p.consumer_id = %(consumer)s),
       exists (select from londiste.copy_request r where r.queue_name = %(queue)s),
       (select m.tick_id
          from londiste.meeting m
         where m.consumer_id = %(consumer)s
           and exists (select from pg_catalog.pg_locks l
                        where l.locktype = 'advisory'
                          and l.database = (select d.oid from pg_catalog.pg_database d
                                             where d.datname = pg_catalog.current_database())
                          and l.classid = %(class)s::int8::oid
                          and l.objid = (%(number)s::int8 & 4294967295)::oid
                          and l.objsubid = 2
                          and l.granted)),
       array(select s.seq_name from londiste.subscriber_seq s where s.queue_name = %(queue)s order by s.nr),
       (select pg_catalog.json_agg(pg_catalog.json_build_array(
                   t.table_name, t.merge_state, t.snapshot, coalesce(t.skip_truncate, false), t.dest_table,
                   t.copy_condition, t.key_columns, t.error, 0, 0, 0, 0, t.held_reason, t.held_oid::int8,
                   coalesce(p.events, 0)) order by t.nr)::text
          from londiste.subscriber_table t
               left join (select e.table_name, pg_catalog.count(*) as events
                            from londiste.parked_event e
                           where e.queue_name = %(queue)s
                           group by e.table_name) p on p.table_name = t.table_name
         where t.queue_name = %(queue)s)

-- name: provider
-- One row more than there are ticks, the last, with the transactions from `low` on that ran scripts.
(select tick_id, tick_snapshot::text, tick_event_seq, tick_time, null::int8[]
   from pgq.tick
  where tick_queue = %(queue_id)s
    and tick_id > %(tick)s
  order by tick_id
  limit %(most)s)
union all
select null, null, null, null, array(select s.txid
                                       from londiste.provider_script s
                                      where s.queue_name = %(queue)s
                                        and s.txid >= %(low)s)
