"""The table of INI keys: one row per key with its type, default, range and one line of help.

`config` reads a file by this table, `manual` writes the sample files and the manual's key list from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "file", "dsn", "name", "seconds", "integer", "flag", "choice", "backlog"]

LONDISTE = "londiste"
QUEUE = "pgqadm"
RELAY = "relay"
PULL = "pull"
NODE = "node"
SECTIONS = (LONDISTE, QUEUE)
"""The sections that most commands read, in the order in which they are looked for."""
LINKS = (RELAY, PULL)
"""Kinds of sections of which an INI may have several, `[relay]`, `[relay:NAME]`, ..: one for each flow of events."""
BOTH = (*SECTIONS, *LINKS)
"""Where the keys stand that every section has."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One INI key.

    `default` is the text as it would stand in the file, empty for "not set". `low` and `high` bound a number, both
    included; `lift` raises a smaller number to `low` with a note, for old files that go below it. `sample` stands in
    the sample file instead of the default. `ignored` is why a key of Londiste 2.1 has no effect here; a `planned` key
    is read and checked, and has no effect yet. `alias_of` names the key that is meant, whose value is this one's times
    `factor`.
    """

    name: str
    sections: tuple[str, ...]
    kind: Kind
    help: str
    default: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    lift: bool = False
    choices: tuple[str, ...] = ()
    required: bool = False
    sample: str = ""
    ignored: str = ""
    planned: bool = False
    alias_of: str = ""
    factor: float = 1.0


_DAY = 86400.0

OPTIONS: tuple[Option, ...] = (
    # --- both sections --------------------------------------------------------------------------------------------
    Option(
        name="job_name",
        sections=BOTH,
        kind="name",
        sample="replica",
        help="Name of this process in logs and on the server, and of its consumer. Default: the section's name.",
    ),
    Option(
        name="provider_db",
        sections=(LONDISTE,),
        kind="dsn",
        required=True,
        sample="dbname=provider host=127.0.0.1",
        help="Where rows come from: keywords (dbname=.. host=..) or a postgresql:// URI.",
    ),
    Option(
        name="subscriber_db",
        sections=(LONDISTE,),
        kind="dsn",
        required=True,
        sample="dbname=subscriber host=127.0.0.1",
        help="Where rows go to, written the same way.",
    ),
    Option(
        name="pgq_queue_name",
        sections=(LONDISTE,),
        kind="name",
        required=True,
        sample="londiste.replica",
        help="The queue on the provider that carries the changes; a dot is legal.",
    ),
    Option(
        name="db",
        sections=(QUEUE,),
        kind="dsn",
        required=True,
        sample="dbname=provider host=127.0.0.1",
        help="The database whose queues are ticked: keywords (dbname=.. host=..) or a postgresql:// URI.",
    ),
    Option(
        name="pidfile",
        sections=BOTH,
        kind="file",
        sample="%(job_name)s.pid",
        help="Locked while the process runs; needed for -d, -s, -k and -r. Relative to the current directory.",
    ),
    Option(
        name="logfile",
        sections=BOTH,
        kind="file",
        sample="%(job_name)s.log",
        help="Where log lines go besides standard error. Relative to the current directory.",
    ),
    Option(
        name="log_size",
        sections=BOTH,
        kind="integer",
        default="10485760",
        unit="bytes",
        low=0,
        high=1 << 40,
        help="Size in bytes at which the log file is rotated; 0 = never, for an outside logrotate.",
    ),
    Option(
        name="log_count",
        sections=BOTH,
        kind="integer",
        default="3",
        low=0,
        high=1000,
        help="How many rotated log files are kept, one at least.",
    ),
    Option(
        name="use_skylog",
        sections=BOTH,
        kind="flag",
        default="0",
        help="Accepted for old files; 1 does not read skylog.ini, log lines go to logfile and standard error.",
    ),
    Option(
        name="loop_delay",
        sections=BOTH,
        kind="seconds",
        default="1.0",
        low=0.1,
        high=3600,
        lift=True,
        help="Longest pause in seconds of relay, pull and consumers in Python; replay and ticker look more often.",
    ),
    Option(
        name="connection_lifetime",
        sections=BOTH,
        kind="seconds",
        default="1200",
        low=0,
        high=365 * _DAY,
        help="Age in seconds at which a database connection is closed and opened anew; 0 = never.",
    ),
    # --- [londiste] -----------------------------------------------------------------------------------------------
    Option(
        name="pgq_consumer_id",
        sections=(LONDISTE,),
        kind="name",
        sample="replica",
        help="Name of the consumer on the queue. Default: job_name.",
    ),
    Option(
        name="lock_timeout",
        sections=(LONDISTE,),
        kind="seconds",
        default="10",
        low=0,
        high=_DAY,
        help="Longest wait in seconds for a lock on a user's table; 0 = no limit.",
    ),
    Option(
        name="compare_sql",
        sections=(LONDISTE,),
        kind="text",
        sample="select count(1) from only _TABLE_",
        help="Query that `compare` runs on both sides instead of its checksums; _TABLE_ is the table's name.",
    ),
    Option(
        name="node",
        sections=(LONDISTE,),
        kind="name",
        sample="7",
        help="Target name of this subscriber: it gets its own rows and those for all. Default: every row.",
    ),
    Option(
        name="apply",
        sections=(LONDISTE,),
        kind="choice",
        default="bulk",
        choices=("bulk", "ordered"),
        help="bulk: the final row of each key, set by set. ordered: every change one by one in its order.",
    ),
    Option(
        name="on_error",
        sections=(LONDISTE,),
        kind="choice",
        default="stop",
        choices=("stop", "park"),
        help="stop: an event that cannot be applied stops the replay. park: it waits aside.",
    ),
    Option(
        name="parallel_copies",
        sections=(LONDISTE,),
        kind="integer",
        default="2",
        low=1,
        high=64,
        help="How many tables are copied at the same time; a group of small ones counts as one.",
    ),
    Option(
        name="copy_jobs",
        sections=(LONDISTE,),
        kind="integer",
        default="2",
        low=1,
        high=64,
        help="How many connections copy one big table.",
    ),
    Option(
        name="max_batch_rows",
        sections=(LONDISTE,),
        kind="integer",
        default="500000",
        unit="rows",
        low=1,
        high=1_000_000_000,
        help="How many changes one batch may gather when replay is behind.",
    ),
    Option(
        name="park_after",
        sections=(LONDISTE,),
        kind="backlog",
        sample="24h",
        help="Backlog at which this subscriber is parked: events (5000000) or time (90m, 24h, 7d). Default: never.",
    ),
    Option(
        name="metrics_port",
        sections=(LONDISTE,),
        kind="integer",
        default="0",
        low=0,
        high=65535,
        help="TCP port on 127.0.0.1 that serves /metrics (Prometheus) and /healthz while replay runs; 0 = none.",
    ),
    # --- [pgqadm] -------------------------------------------------------------------------------------------------
    Option(
        name="maint_delay",
        sections=(QUEUE,),
        kind="seconds",
        default="300",
        low=1,
        high=_DAY,
        help="Seconds between two rounds of queue maintenance (table rotation, vacuum).",
    ),
    Option(
        name="maint_delay_min",
        sections=(QUEUE,),
        kind="seconds",
        unit="minutes",
        low=1 / 60,
        high=1440,
        alias_of="maint_delay",
        factor=60,
        help="Older spelling of maint_delay, in minutes; maint_delay wins.",
    ),
    Option(
        name="queue_refresh_period",
        sections=(QUEUE,),
        kind="seconds",
        default="1",
        low=0.1,
        high=_DAY,
        help="Seconds between two looks at the list of queues; more than 1 counts as 1.",
    ),
    Option(
        name="ticker_log_delay",
        sections=(QUEUE,),
        kind="seconds",
        default="300",
        low=0.1,
        high=_DAY,
        help="Seconds between two log lines with the number of ticks.",
    ),
    # --- [relay] and [pull] ---------------------------------------------------------------------------------------
    Option(
        name="src_db",
        sections=LINKS,
        kind="dsn",
        required=True,
        sample="dbname=source host=127.0.0.1",
        help="Where events come from: keywords (dbname=.. host=..) or a postgresql:// URI.",
    ),
    Option(
        name="dst_db",
        sections=LINKS,
        kind="dsn",
        required=True,
        sample="dbname=destination host=127.0.0.1",
        help="Where they go to, written the same way.",
    ),
    Option(
        name="pgq_queue_name",
        sections=LINKS,
        kind="name",
        required=True,
        sample="push",
        help="The queue that events are taken from.",
    ),
    Option(
        name="dst_queue_name",
        sections=(RELAY,),
        kind="name",
        required=True,
        sample="pull",
        help="The queue that they are put into.",
    ),
    Option(
        name="node",
        sections=(PULL,),
        kind="name",
        sample="7",
        help="Only events whose extra1 is this name are taken. Default: what stands behind the colon of [pull:7].",
    ),
    Option(
        name="pull_function",
        sections=(PULL,),
        kind="name",
        required=True,
        sample="__data_copier",
        help="Function in dst_db, called with the node and the data of each event in its order.",
    ),
    Option(
        name="on_error",
        sections=(PULL,),
        kind="choice",
        default="stop",
        choices=("stop", "park"),
        help="stop: an event whose call fails stops the others, and is tried again. park: it waits aside.",
    ),
    Option(
        name="pgq_consumer_id",
        sections=LINKS,
        kind="name",
        sample="push_7",
        help="Name of the consumer, different for each source. Default: job_name; one of [DEFAULT] gets _NAME.",
    ),
    Option(
        name="max_batch_rows",
        sections=LINKS,
        kind="integer",
        default="100000",
        unit="events",
        low=1,
        high=1_000_000_000,
        help="How many events one transaction may hold when the consumer is behind.",
    ),
    # --- accepted, without effect ---------------------------------------------------------------------------------
    *(
        Option(name=name, sections=(section,), kind="text", help="Accepted for old files, ignored.", ignored=reason)
        for section, name, reason in (
            (LONDISTE, "mirror_queue", "queues are not mirrored"),
            (LONDISTE, "method", "changes are always applied directly"),
            (LONDISTE, "fake", "say --dry-run instead, or `provider install --print`"),
            (LONDISTE, "file_dst", "changes are always applied directly"),
            (LONDISTE, "file_src", "changes are always applied directly"),
            (LONDISTE, "maint_delay", "queue maintenance is set in the [pgqadm] section"),
            (LONDISTE, "pgq_lazy_fetch", "batches are streamed, whatever their size"),
            (QUEUE, "idle_interval", "set it per queue: `config QUEUE ticker_idle_period=..`"),
            (QUEUE, "max_events", "set it per queue: `config QUEUE ticker_max_count=..`"),
            (QUEUE, "max_lag", "set it per queue: `config QUEUE ticker_max_lag=..`"),
        )
    ),
)


def kind_of(section: str) -> str:
    """Return what a section is by its name: `relay` for [relay:7], otherwise the name itself."""
    kind, colon, _ = section.partition(":")
    return kind if colon and kind in (*LINKS, NODE) else section


def root_of(section: str) -> str:
    """Return the section whose keys `section` has: a node's are those of [londiste]."""
    kind = kind_of(section)
    return LONDISTE if kind == NODE else kind


def of_section(section: str) -> dict[str, Option]:
    """Return the rows of `section` by key; a section that is none of ours has the rows of all."""
    kind = root_of(section)
    known = kind in BOTH
    rows = [row for row in OPTIONS if not known or kind in row.sections]
    return {row.name: row for row in rows if known or row.sections == BOTH}
