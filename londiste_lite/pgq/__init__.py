"""Consumers of PgQ queues as Python classes, made as in Skytools: `from londiste_lite import pgq`.

    class Pull(pgq.RemoteConsumer):
        def process_remote_batch(self, db, batch_id, event_list, dst_db):
            curs = dst_db.cursor()
            for ev in event_list:
                if ev.extra1 == self.cf.get("node"):
                    curs.execute("select copy_data(%s)", [ev.data])
                ev.tag_done()

    Pull("pull", "src_db", "dst_db", sys.argv[1:]).start()

docs/push-pull.md tells the rest.
"""

from londiste_lite.pgq.consumer import Consumer, RemoteConsumer, SerialConsumer
from londiste_lite.pgq.event import Event
from londiste_lite.pgq.producer import bulk_insert_events, insert_event
from londiste_lite.pgq.script import DBScript

__all__ = [
    "Consumer",
    "DBScript",
    "Event",
    "RemoteConsumer",
    "SerialConsumer",
    "bulk_insert_events",
    "insert_event",
]
