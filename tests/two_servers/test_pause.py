"""`pause` and `resume`: a replay that rests keeps its process and loses nothing."""

from __future__ import annotations

import pytest

from londiste_lite import pausing, progress, service
from londiste_lite.errors import ReplayError
from londiste_lite.stop_flag import StopFlag
from tests.fixtures.pair import CONSUMER, QUEUE, Pair


def test_pause__changes_wait_and_arrive_after_resume(pair: Pair) -> None:
    pair.setup_table("create table entry (id int primary key, item text)", "entry")
    pair.start()
    pair.wait()
    assert pausing.pause(pair.subscriber, CONSUMER)
    assert not pausing.pause(pair.subscriber, CONSUMER)
    pair.logged("paused by")
    pair.provider.script("insert into entry values (1, 'while paused')")
    assert not progress.wait(pair.provider, pair.subscriber, QUEUE, CONSUMER, 1.0, StopFlag())
    assert pair.subscriber.run("select * from entry") == []
    assert progress.status(pair.provider, pair.subscriber, QUEUE, CONSUMER, None).paused
    assert pausing.resume(pair.subscriber, CONSUMER)
    pair.wait()
    pair.assert_equal("entry")
    assert not pausing.resume(pair.subscriber, CONSUMER)


def test_pause__once_says_so_and_does_not_wait_for_ever(pair: Pair) -> None:
    pair.setup_table("create table entry (id int primary key, item text)", "entry")
    pausing.pause(pair.subscriber, CONSUMER)
    with pytest.raises(ReplayError, match="paused"):
        service.run_once(pair.settings, StopFlag())
