"""An etcd that lost its history: what it lacks stays for a while, pure and with a real etcd."""

from __future__ import annotations

import math
import threading

from hypothesis import given
from hypothesis import strategies as st

from discovery.etcd.access import Endpoints
from discovery.etcd.watch import EtcdSource, HistoryLossGrace, WatchTimes
from discovery.source import Removed
from tests.discovery.recorder import Recorder, raw
from tests.discovery.test_end_to_end import FrontEnd, entry
from tests.discovery.test_registration import Running, registration
from tests.support.etcd import EtcdServer
from tests.support.waiting import eventually

V, W = (1, 1, 1), (2, 2, 2)


def test_with_the_history_intact_nothing_is_set_aside() -> None:
    grace = HistoryLossGrace(10.0)
    assert grace.sort_out({b"a": V, b"b": V}, {b"a"}, 5.0) == {b"a": V, b"b": V}
    assert (len(grace), grace.left(5.0)) == (0, math.inf)


def test_what_is_missing_stays_until_the_grace_ends_and_is_then_decided_about() -> None:
    grace = HistoryLossGrace(10.0)
    grace.history_lost(5.0)
    assert grace.sort_out({b"a": V, b"b": V}, {b"a"}, 5.0) == {b"a": V}
    assert grace.left(8.0) == 7.0
    assert grace.sort_out({b"a": W}, {b"a"}, 14.9) == {b"a": W}
    assert len(grace) == 1
    assert grace.sort_out({b"a": W}, {b"a"}, 15.0) == {b"a": W, b"b": V}
    assert (len(grace), grace.left(15.0)) == (0, math.inf)


def test_what_is_announced_again_is_no_orphan_any_more() -> None:
    grace = HistoryLossGrace(10.0)
    grace.history_lost(0.0)
    grace.sort_out({b"a": V, b"b": V}, set[bytes](), 0.0)
    grace.found(b"a")
    grace.found(b"a stranger")
    assert grace.sort_out({b"a": W}, {b"a", b"b"}, 1.0) == {b"a": W, b"b": V}
    assert len(grace) == 0


KEYS = st.sets(st.sampled_from([b"a", b"b", b"c"]))


@given(KEYS, st.lists(st.tuples(KEYS, st.booleans(), st.floats(0.0, 6.0)), max_size=10))
def test_nothing_is_forgotten_and_nothing_stays_beyond_the_grace(
    first: set[bytes], looks: list[tuple[set[bytes], bool, float]]
) -> None:
    """A listener holds ``known`` and the grace; a look decides what is deleted."""
    grace, known, now, since = HistoryLossGrace(10.0), dict.fromkeys(first, V), 0.0, -math.inf
    held = set(first)
    for seen, lost, pause in looks:
        now += pause
        if lost:
            grace.history_lost(now)
            since = now
        decided = grace.sort_out(known, seen, now)
        gone = set(decided) - seen
        assert not gone or now >= since + 10.0
        held = (held - gone) | seen
        known = dict.fromkeys(seen, V)
        assert len(held) == len(known) + len(grace)
        assert now < since + 10.0 or not len(grace)


A, B = b"/models/chat/a", b"/models/chat/b"


def source_of(server: EtcdServer, grace: float) -> EtcdSource:
    times = WatchTimes(rpc=1.0, history_loss_grace=grace)
    return EtcdSource(Endpoints.parse(server.endpoint), b"/models/", read=raw, times=times)


def lose_everything(server: EtcdServer) -> None:
    server.kill()
    server.wipe()
    server.restart()


def test_a_model_whose_worker_lives_stays_while_it_announces_anew(server: EtcdServer) -> None:
    for number in range(20):  # so that the new history is shorter than the old one for a while
        server.put("/elsewhere", str(number))
    with FrontEnd(server) as front, Running(registration(server, entry(), ttl=6)) as worker:
        front.until("org/model")
        lease = worker.registration.status.lease
        seen: set[tuple[str, ...]] = set()
        over = threading.Event()

        def look() -> None:
            while not over.wait(0.005):
                seen.add(tuple(front.models))

        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        lose_everything(server)
        eventually(lambda: worker.registration.status.lease not in {None, lease}, 30, "anew")
        eventually(lambda: front.board.status.synced, 15, "in sync")
        over.set()
        looking.join(5)
        assert seen == {("org/model",)}


def test_what_nobody_announces_anew_is_gone_after_the_grace(server: EtcdServer) -> None:
    server.put(A, "1")
    server.put(B, "1")
    with Recorder(source_of(server, grace=2.0)) as run:
        run.until_content({A: b"1", B: b"1"})
        lose_everything(server)
        server.put(B, "2")
        run.until_content({A: b"1", B: b"2"})
        run.until_content({B: b"2"})
        assert Removed(B.decode()) not in run.events


def test_a_delete_that_is_told_by_the_new_history_counts_at_once(server: EtcdServer) -> None:
    server.put(A, "1")
    for number in range(10):
        server.put("/elsewhere", str(number))
    with Recorder(source_of(server, grace=60.0)) as run:
        run.until_content({A: b"1"})
        lose_everything(server)
        server.put(A, "2")
        run.until_content({A: b"2"})
        server.delete(A)
        run.until_content({})
        assert run.events.count(raw(A, b"2")) == 1
