"""Hostile entries through a real etcd and the real registry: refused with a reason, at no cost."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.discovery.test_end_to_end import FrontEnd, by_hand
from tests.discovery.world import A, World, value
from tests.support.etcd import EtcdServer
from tests.support.waiting import eventually

FLOOD: Final = 10_000
MIB: Final = 1024 * 1024


@pytest.fixture(scope="module")
def roomy() -> Iterator[EtcdServer]:
    """An etcd that takes values of several MiB."""
    with EtcdServer(options={"--max-request-bytes": str(4 * MIB)}) as server:
        yield server


def text(name: str = "m", **changes: Any) -> str:
    return json.dumps({**json.loads(by_hand(name)), **changes})


HOSTILE: dict[bytes, tuple[bytes | str, str]] = {
    b"/models/chat/huge": (b"x" * (2 * MIB), "the value has 2097152 bytes, at most 262144"),
    b"/models/chat/\xff\xfe": (text(), "the key is not UTF-8"),
    b"/models/chat/empty": ("", "not JSON"),
    b"/models/chat/types": (text("types", weight="heavy"), "at `$.weight`"),
    b"/models/chat/login": (
        text("login", endpoint={"url": "http://u:hunter2@h/v1"}),
        "credentials",
    ),
    b"/models/chat/file": (text("file", endpoint={"url": "file:///etc/passwd"}), "not http"),
    b"/models/chat/other": (text("another"), "the key says model 'other', the value 'another'"),
    b"/models/completions/m": (text(), "the key says model type 'completions', the value 'chat'"),
    b"/models/chat/m#1": (text(instance="2"), "the key says instance '1', the value '2'"),
    b"/models/chat/m#": (text(), "names no instance"),
    b"/models/chat/clock": (text("clock", timeouts={"idle": -1}), "timeouts.idle must be above 0"),
    b"/models/chat/epoch": (text("epoch", timeouts={"total": 1.7e9}), "at most 86400"),
    b"/models/chat/deep": ('{"a":' + "[" * 9999 + "]" * 9999 + "}", "nested too deep"),
    b"/models/chat/" + b"n" * 5000: (text("n" * 5000), "5000 characters"),
    b"/models/magic/m": (text(), "names no model type"),
}


def test_every_hostile_entry_has_its_reason_and_the_good_one_beside_them_serves(
    roomy: EtcdServer, caplog: pytest.LogCaptureFixture
) -> None:
    for key, (raw, _) in HOSTILE.items():
        roomy.put(key, raw)
    roomy.put("/models/chat/good", by_hand("good"))
    with FrontEnd(roomy) as front:
        front.until("good")
        front.until_synced()
        status = front.board.status
        assert status.quarantined_count == len(HOSTILE)
        said = " | ".join(status.quarantined.values())
        for _, reason in HOSTILE.values():
            assert reason in said
        shown = json.dumps(front.board.describe())
        assert "hunter2" not in shown + caplog.text
        assert len(shown) < 20_000
        for key in HOSTILE:
            roomy.delete(key)
        eventually(lambda: front.board.status.quarantined_count == 0, what="all forgotten")
        assert front.models == ["good"]


def test_an_instance_can_not_be_announced_twice_under_two_keys(roomy: EtcdServer) -> None:
    """The key follows from what the entry says, so a second announcement replaces the first."""
    with FrontEnd(roomy, "/twice") as front:
        roomy.put("/twice/models/chat/m#1", text(instance="1"))
        roomy.put("/twice/models/chat/m#2", text(instance="1"))
        eventually(lambda: front.board.status.quarantined_count == 1, what="one refused")
        assert front.board.status.entries == 1


def test_a_flood_of_bad_entries_neither_slows_the_good_ones_nor_fills_the_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world.start()
    world.until_synced()
    for number in range(FLOOD):
        world.memory.set(b"/models/chat/bad-%d" % number, b"garbage")
    world.memory.set(A, value("a"))
    world.until("chat/a#")
    world.until_status(lambda status: status.quarantined_count == FLOOD)
    for number in range(FLOOD):  # each of them changes its mind, to something else that is bad
        world.memory.set(b"/models/chat/bad-%d" % number, b"[]")
    world.until_status(lambda status: "Expected `object`" in [*status.quarantined.values()][99])
    assert len(caplog.records) < 200
