"""Databases of earlier versions: after an upgrade the catalogue is that of a new installation, and nothing is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from londiste_lite import event_queue, published, registration, schema, subscribed
from londiste_lite.db import Database
from londiste_lite.errors import SchemaError
from londiste_lite.names import QualifiedName
from londiste_lite.replay import position
from londiste_lite.throwaway import ThrowawayServer
from tests.fixtures.catalogue import fingerprint

OLD = Path(__file__).parent / "old_schemas"
QUEUE = "londiste.write"
ENTRY = QualifiedName("shop", "entry")

Opener = Callable[[str], Database]
Maker = Callable[..., str]

# What version 1 kept on a provider and on a subscriber; both are in one database here, as nothing forbids.
IN_USE = """
    insert into londiste.provider_table (queue_name, table_name, trigger_name, key_columns, node_column)
    values ('londiste.write', 'shop.entry', '_londiste_1', '{id}', 'node');
    insert into londiste.provider_seq (queue_name, seq_name) values ('londiste.write', 'shop.entry_id_seq');
    insert into londiste.provider_script (queue_name, txid, event_id, script_name)
    values ('londiste.write', 1, 1, 'change.sql');
    insert into londiste.subscriber_table (queue_name, table_name, snapshot, merge_state, skip_truncate, dest_table,
        copy_condition, key_columns, error, rows_inserted, conflicts)
    values ('londiste.write', 'shop.entry', '100:104:100,102', 'catching-up', true, 'shop.copy', 'id > 0', '{id}', null,
            12, 3),
           ('londiste.write', 'shop.other', null, null, null, null, null, null, 'it failed', 0, 0);
    insert into londiste.subscriber_seq (queue_name, seq_name) values ('londiste.write', 'shop.entry_id_seq');
    insert into londiste.subscriber_pending_fkeys values ('shop.entry', 'shop.other', 'fk', 'alter table ..');
    insert into londiste.subscriber_pending_triggers values ('shop.entry', 'tg', 'create trigger tg ..');
    insert into londiste.completed (consumer_id, last_tick_id, queue_name, last_error)
    values ('replica', 17, 'londiste.write', 'it failed');
    insert into londiste.paused (consumer_id, paused_by) values ('replica', 'somebody');
    insert into shop.entry (item, node) values ('apple', 'a')"""


@pytest.fixture
def old_dsn(server: ThrowawayServer, new_database: Maker, open_connection: Opener) -> str:
    """A database as version 1 left it: published table with its triggers, registrations, positions, one event."""
    dsn = new_database(server)
    db = open_connection(dsn)
    db.script((OLD / "1.sql").read_text())
    text = (OLD / "1_published_table.sql").read_text()
    made, functions, rest = text.partition("CREATE OR REPLACE FUNCTION")
    db.script(made)
    oid = db.run("select 'shop.entry'::regclass::oid::text")[0][0]
    db.script((functions + rest).replace("TABLE_OID", oid))
    db.script(IN_USE)
    return dsn


@pytest.fixture
def fresh(provider_db: Database) -> list[tuple]:
    """The catalogue of a new installation."""
    return fingerprint(provider_db)


def events(db: Database) -> list[tuple]:
    return db.run("select ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3 from pgq.event_1 order by ev_id")


def test_upgrade__gives_the_catalogue_of_a_new_installation_and_keeps_what_is_in_use(
    old_dsn: str, fresh: list[tuple], open_connection: Opener
) -> None:
    db = open_connection(old_dsn)
    with pytest.raises(SchemaError, match="has version 1, this program needs") as refused:
        schema.require(db, "provider")
    assert refused.value.hint == "Run `provider install` to upgrade it."
    before = events(db)
    assert len(before) == 1
    assert set(schema.install(db, schema.PROVIDER).components.values()) == {"upgraded"}
    assert fingerprint(db) == fresh
    schema.require(db, "provider")

    # Triggers of the old version go on, and give way to new ones without a gap.
    db.script("insert into shop.entry (item, node) values ('pear', 'b')")
    registration.refresh(db, QUEUE, [], lock_timeout=10)
    db.script("update shop.entry set node = 'c' where item = 'pear'; delete from shop.entry where item = 'apple'")
    after = events(db)
    assert after[:1] == before
    assert [(kind[0], route) for kind, _, _, _, route in after] == [
        ("I", "a"),
        ("I", "b"),
        ("D", "b"),
        ("I", "c"),
        ("D", "a"),
    ]
    assert [(p.table, p.key) for p in published.tables(db, QUEUE)] == [(ENTRY, ("id",))]
    assert published.published_sequences(db, QUEUE) == [QualifiedName("shop", "entry_id_seq")]
    entry, other = subscribed.tables(db, QUEUE)
    assert (entry.state.shown, entry.snapshot, str(entry.local)) == ("catching-up", "100:104:100,102", "shop.copy")
    assert (entry.condition, entry.conflicts, other.error) == ("id > 0", 3, "it failed")
    assert position.stored(db, "replica") == 17
    for table in ("subscriber_pending_fkeys", "subscriber_pending_triggers", "paused", "provider_script"):
        assert db.run(f"select count(*) from londiste.{table}") == [(1,)], table
    assert event_queue.find_queue(db, QUEUE).name == QUEUE

    assert set(schema.install(db, schema.PROVIDER).components.values()) == {"present"}
    # Files that were changed without a new version, as on the way to a release: all of it may run again.
    db.script("update londiste.schema_version set checksum = 'of other files'")
    assert set(schema.install(db, schema.PROVIDER).components.values()) == {"upgraded"}
    assert fingerprint(db) == fresh
    assert db.run("select count(*) from londiste.subscriber_table") == [(2,)]


def test_upgrade__four_at_once(old_dsn: str, fresh: list[tuple], open_connection: Opener) -> None:
    connections = [open_connection(old_dsn) for _ in range(4)]
    said: list[object] = []

    def upgrade(db: Database) -> None:
        try:
            said.append(schema.install(db, schema.PROVIDER).components["londiste"])
        except BaseException as error:
            said.append(error)

    threads = [threading.Thread(target=upgrade, args=(db,)) for db in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(map(str, said)) == ["present", "present", "present", "upgraded"]
    assert fingerprint(connections[0]) == fresh


def test_upgrade_files__are_named_by_the_version_that_they_lead_to() -> None:
    for component in schema.PROVIDER:
        for path in schema.files_of(component):
            if "/upgrades/" in path:
                number = path.rpartition("/")[2].partition("_")[0]
                assert number.isdigit(), path
                assert 2 <= int(number) <= schema.VERSION, path
