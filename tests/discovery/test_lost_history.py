"""etcd comes back without its data: workers that live are announced anew, and no model blinks."""

from __future__ import annotations

import threading

from discovery.etcd.access import Endpoints
from discovery.etcd.watch import EtcdSource, WatchTimes
from discovery.source import Removed
from tests.discovery.recorder import Recorder, raw
from tests.discovery.test_end_to_end import FrontEnd, entry
from tests.discovery.test_registration import Running, registration
from tests.support.etcd import EtcdServer
from tests.support.waiting import eventually

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
