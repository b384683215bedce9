"""Workers that say different things of one model: every front-end ends with the same belief."""

from __future__ import annotations

from actors.engines.contract import Kind
from actors.registry import ModelNotFound, ResolveModel
from discovery.codec import encode
from discovery.entry import Entry
from tests.discovery.test_end_to_end import FrontEnd
from tests.discovery.test_registration import Running, registration
from tests.support.etcd import EtcdServer, unique_root
from tests.support.waiting import eventually

URL = "http://127.0.0.1:9/v1"
OLD = Entry(Kind.CHAT, "m", URL, instance="a-old", aliases=("before",))
NEW = Entry(Kind.CHAT, "m", URL, instance="b-new", aliases=("after",))


def answers(front: FrontEnd, name: str) -> bool:
    try:
        front.registry.ask(ResolveModel(Kind.CHAT, name), timeout=5)
    except ModelNotFound:
        return False
    return True


def instances(front: FrontEnd) -> int:
    return len(front.registry.ask(ResolveModel(Kind.CHAT, "m"), timeout=5).engine)


def test_a_worker_that_drains_does_not_bring_its_old_aliases_back(etcd_server: EtcdServer) -> None:
    """A rolling update: the new worker comes, the old one says that it drains, then goes."""
    root = unique_root()
    first = registration(etcd_server, OLD, root=root)
    with FrontEnd(etcd_server, root) as front, Running(first) as old:
        eventually(lambda: answers(front, "before"), what="the old worker")
        with Running(registration(etcd_server, NEW, root=root)):
            eventually(lambda: answers(front, "after"), what="the new worker")
            assert old.registration.drain(10)
            eventually(lambda: front.board.status.draining == 1, what="it drains")
            assert answers(front, "after")
            assert not answers(front, "before")
            old.stop()
            eventually(lambda: instances(front) == 1, what="the old worker is gone")
            assert answers(front, "after")


def test_what_only_a_worker_that_left_said_of_the_model_is_not_believed_any_more(
    etcd_server: EtcdServer,
) -> None:
    """A roll-back: the new worker goes again, and the old one's word counts as before."""
    root = unique_root()
    first = registration(etcd_server, OLD, root=root)
    with FrontEnd(etcd_server, root) as front, Running(first):
        eventually(lambda: answers(front, "before"), what="the old worker")
        with Running(registration(etcd_server, NEW, root=root)):
            eventually(lambda: answers(front, "after"), what="the new worker")
        eventually(lambda: answers(front, "before"), what="the old worker is believed again")
        assert not answers(front, "after")


def test_a_front_end_that_starts_later_believes_the_same_as_one_that_watched(
    etcd_server: EtcdServer,
) -> None:
    """The order of the keys is not the order in which they were put."""
    root = unique_root()
    with FrontEnd(etcd_server, root) as watching:
        for entry in (NEW, OLD):
            etcd_server.put(*encode(entry, root))
        eventually(lambda: answers(watching, "before") and instances(watching) == 2, what="both")
        with FrontEnd(etcd_server, root) as later:
            eventually(lambda: later.models == ["m"] and instances(later) == 2, what="both")
            for name in ("before", "after"):
                assert answers(later, name) == answers(watching, name), name
