"""One bad row among many: how long until it is named, and how much later the other rows are there when it is parked.

    python benchmarks/bad_row.py [--rows 100000] [--rounds 3] [--bad 1] [--modes bulk,ordered]

Each round changes the same number of rows without and with bad ones, in alternation. `named` is the time until `replay
--once` ends with the event's name with on_error = stop, `parked` until it ends with everything else applied, `delay`
what that takes longer than a batch without a bad row.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

from harness import Report, pair, plain

from londiste_lite import event_queue, parked, publication, registration, schema
from londiste_lite.errors import ReplayError
from londiste_lite.names import TableName
from londiste_lite.replay.loop import Replay
from londiste_lite.replay.settings import ReplaySettings
from londiste_lite.stop_flag import StopFlag
from londiste_lite.subscription import AddOptions

QUEUE = "bench"
DDL = "create table public.entry (id int8 primary key, item text, price numeric(12,2){})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bad", type=int, default=1, help="bad rows among them")
    parser.add_argument("--modes", default="bulk,ordered")
    parser.add_argument("--version", type=int, default=18)
    parser.add_argument("--json", help="file for the figures")
    args = parser.parse_args()
    report = Report(f"{args.bad} bad among {args.rows} rows", "ms")
    with pair(args.version) as (source, target):
        provider, subscriber = plain(source.dsn()), plain(target.dsn())
        schema.install(provider, schema.PROVIDER)
        schema.install(subscriber, schema.SUBSCRIBER)
        event_queue.create_queue(provider, QUEUE)
        provider.script(DDL.format(""))
        subscriber.script(DDL.format(" check (price >= 0)"))
        publication.add_table(provider, QUEUE, TableName("public", "entry"), key=None)
        registration.subscribe(provider, subscriber, QUEUE, ["entry"], AddOptions())
        settings = ReplaySettings(
            provider_dsn=source.dsn(), subscriber_dsn=target.dsn(), queue=QUEUE, consumer="bench", job="bench"
        )
        provider.script(f"insert into public.entry select i, 'item ' || i, i from generate_series(1, {args.rows}) i")
        once(settings)
        for _ in range(args.rounds):
            for mode in args.modes.split(","):
                chosen = replace(settings, apply=mode)
                provider.script("update public.entry set item = item || '!'")
                plain_time = once(chosen)
                step = args.rows // (args.bad + 1)
                bad = f"case when id % {step} = 0 and id / {step} between 1 and {args.bad} then -1 else price end"
                provider.script(f"update public.entry set item = item || '?', price = {bad}")
                named = once(chosen, fails=True)
                took = once(replace(chosen, on_error="park"))
                assert len(parked.events(subscriber, QUEUE)) == args.bad
                report.add("without", mode, plain_time * 1000)
                report.add("named", mode, named * 1000)
                report.add("parked", mode, took * 1000)
                report.add("delay", mode, (took - plain_time) * 1000)
                parked.drop(subscriber, QUEUE, TableName("public", "entry"))
                provider.script("update public.entry set price = id where price < 0")
                once(chosen)
    report.show()
    report.write(args.json)


def once(settings: ReplaySettings, *, fails: bool = False) -> float:
    """Apply what there is, and return the seconds that it took."""
    begun = time.monotonic()
    try:
        Replay(settings, StopFlag()).run_once()
    except ReplayError as error:
        if not fails or error.key is None:
            raise
    return time.monotonic() - begun


if __name__ == "__main__":
    main()
