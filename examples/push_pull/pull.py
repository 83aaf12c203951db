"""Takes the events of the hub that are addressed to this node, and gives them to `__data_copier` in its database."""

import sys

from londiste_lite import pgq


class PullConsumer(pgq.RemoteConsumer):
    def process_remote_batch(self, db, batch_id, event_list, dst_db):
        curs = dst_db.cursor()
        for ev in event_list:
            if ev.ev_extra1 == self.cf.get("node"):
                curs.execute("select __data_copier(%s, %s)", [self.cf.get("node"), ev.data])
                ev.tag_done()


if __name__ == "__main__":
    script = PullConsumer("pull_ticker", "src_db", "dst_db", sys.argv[1:])
    script.start()
