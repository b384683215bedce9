"""The parts of discovery that are data and decisions only: state, status, log, delays, imports."""

from __future__ import annotations

import logging
import random
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines.contract import Context, EngineRequest, Kind, Sink
from actors.supervision import Supervised
from discovery.actor import (
    MAX_QUARANTINE_LINES,
    MAX_REMEMBERED,
    DiscoveryActor,
    EngineCloser,
    QuarantineLog,
)
from discovery.codec import MAX_LABEL, label_of
from discovery.entry import Entry
from discovery.etcd.access import FullJitter
from discovery.etcd.records import WrongLibrary, check_one_distribution
from discovery.loop_actor import RegistrationActor
from discovery.reconcile import AppliedState, Placement
from discovery.status import DiscoveryStatus, StatusBoard, disconnected, synced
from tests.support.waiting import eventually


class NoEngine:
    """Stands for an engine that nobody calls."""

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        raise AssertionError("not called here")


PLACED = Placement(Entry(Kind.CHAT, "m", "http://h/v1"), NoEngine())


def test_a_ledger_is_never_changed_only_followed() -> None:
    empty = AppliedState()
    builder = empty.builder()
    builder.place("k", PLACED)
    one = builder.freeze()
    builder = one.builder()
    builder.quarantine("k", "broken")
    builder.quarantine("other", "broken too")
    bad = builder.freeze()
    assert (empty.placed, empty.quarantined) == ({}, {})
    assert (one.placed, one.quarantined) == ({"k": PLACED}, {})
    assert bad.placed == one.placed
    assert bad.quarantined == {"k": "broken", "other": "broken too"}
    builder = bad.builder()
    builder.remove("k")
    builder.clear("k")
    assert builder.freeze() == AppliedState({}, {"other": "broken too"})
    assert len(bad.placed) == 1


def test_a_good_value_ends_the_quarantine_of_its_key_only() -> None:
    builder = AppliedState().builder()
    builder.quarantine("k", "broken")
    builder.quarantine("l", "broken")
    builder.place("k", PLACED)
    assert builder.freeze().quarantined == {"l": "broken"}


def test_a_ledger_knows_who_drains_and_whose_value_has_unknown_fields() -> None:
    builder = AppliedState().builder()
    leaving = replace(PLACED.entry, state="draining", unknown=("future",))
    builder.place("k", Placement(leaving, NoEngine()))
    applied = builder.freeze()
    assert applied.draining == {"k"}
    assert applied.unknown == {"k": ("future",)}
    builder = applied.builder()
    builder.place("k", PLACED)
    assert not builder.freeze().draining
    assert not builder.freeze().unknown
    builder = applied.builder()
    builder.remove("k")
    assert builder.freeze() == AppliedState()


@pytest.mark.parametrize(
    ("key", "label"),
    [
        (b"/models/chat/m", "/models/chat/m"),
        ("/models/chat/ü".encode(), "/models/chat/ü"),
        (b"/m/\xff", "/m/\\xff"),
        (b"/m/\n\x1b[31m", "/m/\\n\\x1b[31m"),
    ],
)
def test_a_label_is_printable(key: bytes, label: str) -> None:
    assert label_of(key) == label


@given(st.binary(max_size=1000))
def test_a_label_is_bounded_and_printable(key: bytes) -> None:
    label = label_of(key)
    assert len(label) <= MAX_LABEL + 17
    assert label.isprintable()


@given(st.lists(st.binary(max_size=3) | st.sampled_from([b"\\xff", b"\xff", b"\\", b"\\\\"])))
def test_no_two_keys_share_a_label(keys: list[bytes]) -> None:
    """Else the end of one's quarantine would hide the other's."""
    assert len({label_of(key) for key in keys}) == len({*keys})


def test_long_keys_keep_labels_of_their_own() -> None:
    assert label_of(b"x" * 1000 + b"1") != label_of(b"x" * 1000 + b"2")


def test_being_away_keeps_the_first_moment_and_the_last_reason() -> None:
    status = disconnected(DiscoveryStatus(), "down", now=10.0)
    status = disconnected(status, "still down", now=20.0)
    assert (status.synced, status.synced_once) == (False, False)
    assert (status.stale_since, status.last_error) == (10.0, "still down")


def test_being_back_clears_the_trouble_and_is_remembered() -> None:
    status = synced(disconnected(DiscoveryStatus(), "down", now=10.0), revision=7)
    assert (status.synced, status.synced_once, status.revision) == (True, True, 7)
    assert (status.stale_since, status.last_error) == (None, None)
    again = disconnected(status, "down", now=30.0)
    assert (again.synced, again.synced_once, again.revision) == (False, True, 7)
    assert again.stale_since == 30.0


def test_a_status_counts_how_often_it_came_back_and_what_was_repaired() -> None:
    status = synced(DiscoveryStatus(), 1)
    assert (status.resyncs, status.repairs) == (0, 0)
    status = synced(synced(disconnected(status, "down", now=1.0), 2), 3, repaired=2)
    assert (status.resyncs, status.repairs) == (1, 2)


def test_a_board_shows_the_latest_status_and_describes_it() -> None:
    board = StatusBoard("etcd")
    assert board.status.source == "etcd"
    assert not board.status.synced
    assert board.status.last_error
    board.show(synced(board.status, 3))
    assert board.status.revision == 3
    assert board.describe()["synced"] is True
    assert set(board.describe()) == set(DiscoveryStatus.__dataclass_fields__)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_pair_of_key_and_reason_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    log = QuarantineLog(logging.getLogger("discovery.test"))
    log.remember("inherited", "r")
    for label, reason in [("k", "r"), ("k", "r"), ("k", "s"), ("l", "r"), ("k", "r")]:
        log.say(label, reason, 1)
    log.say("inherited", "r", 1)
    assert lines(caplog) == ["quarantined k: r", "quarantined k: s", "quarantined l: r"]


def test_a_flood_of_bad_entries_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    log = QuarantineLog(logging.getLogger("discovery.test"))
    for number in range(10_000):
        log.say(f"k{number}", "r", number + 1)
    assert len(lines(caplog)) == MAX_QUARANTINE_LINES + 1
    assert lines(caplog)[-1].startswith(
        f"more than {MAX_QUARANTINE_LINES} entries are in quarantine"
    )


def test_what_was_said_is_forgotten_at_some_time(caplog: pytest.LogCaptureFixture) -> None:
    log = QuarantineLog(logging.getLogger("discovery.test"))
    for number in range(MAX_REMEMBERED + 1):
        log.say(f"k{number}", "r", 1)
    caplog.clear()
    log.say(f"k{MAX_REMEMBERED}", "r", 1)
    log.say("k0", "r", 1)
    assert lines(caplog) == ["quarantined k0: r"]


def test_an_engine_is_closed_after_the_grace_and_one_without_close_is_left_alone() -> None:
    class Closing(NoEngine):
        def __init__(self) -> None:
            self.closed_at: list[float] = []

        def close(self) -> None:
            self.closed_at.append(time.monotonic())

    closer, engine, begin = EngineCloser(grace=0.2), Closing(), time.monotonic()
    closer.close_later(NoEngine())
    closer.close_later(engine)
    closer.stop()
    eventually(lambda: engine.closed_at, what="closed")
    assert engine.closed_at[0] - begin >= 0.2


@given(st.integers(0, 2**32), st.integers(1, 200))
def test_delays_are_jittered_below_a_doubling_bound(seed: int, failures: int) -> None:
    backoff = FullJitter(first=0.2, cap=5.0, rng=random.Random(seed))
    for number in range(failures):
        assert 0.0 <= backoff.next() <= min(5.0, 0.2 * 2**number)
    backoff.reset()
    assert backoff.next() <= 0.2


def test_a_failed_import_of_the_client_names_the_cure() -> None:
    with pytest.raises(WrongLibrary, match="pip install cslab-etcd3"), check_one_distribution():
        raise ImportError("No module named 'etcd3'")


def _is_the_rival(name: str) -> bool:
    return name == "etcd3"


def test_a_rival_distribution_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("discovery.etcd.records._is_installed", _is_the_rival)
    expected = "installed over by etcd3 .*pip uninstall etcd3; pip install --force-reinstall"
    with pytest.raises(WrongLibrary, match=expected), check_one_distribution():
        raise TypeError("Descriptors cannot be created directly.")


def test_a_rival_that_did_no_harm_yet_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("discovery.etcd.records._is_installed", _is_the_rival)
    with check_one_distribution():
        pass
    assert "several distributions own the package etcd3" in caplog.text


@pytest.mark.parametrize("actor", [DiscoveryActor, RegistrationActor])
def test_no_private_name_of_the_base_actor_is_overridden_by_accident(actor: type) -> None:
    """Python has no private methods: a ``_run`` here once replaced the base class's."""
    ours = {
        name for kind in actor.__mro__[: actor.__mro__.index(Supervised)] for name in vars(kind)
    }
    bases = {name for kind in Supervised.__mro__ for name in vars(kind)} | {*vars(Supervised())}
    private = {name for name in ours if name.startswith("_") and not name.startswith("__")}
    assert private
    assert private & bases <= {"_abc_impl"}


def test_importing_discovery_brings_neither_grpc_nor_watchfiles_nor_threads() -> None:
    program = (
        "import sys, threading, discovery, discovery.actor, discovery.memory, discovery.entry;"
        "assert not {'grpc', 'etcd3', 'watchfiles', 'anyio'} & {*sys.modules};"
        "assert threading.active_count() == 1"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_grpcs_fork_handlers_are_off_before_grpc_is_imported() -> None:
    program = (
        "import os; os.environ.pop('GRPC_ENABLE_FORK_SUPPORT', None);"
        "import discovery.etcd.client;"
        "assert os.environ['GRPC_ENABLE_FORK_SUPPORT'] == '0'"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
