"""Models come and go through a real etcd while the service never restarts."""

from __future__ import annotations

import json
import signal
import zlib
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.callboard import Callboard
from tests.support.chat import (
    chat,
    get_json,
    get_models,
    wait_for_model,
    wait_without_model,
)
from tests.support.etcd import EtcdServer
from tests.support.slow_upstream import SlowUpstream
from tests.support.waiting import eventually

TTL = 3  # seconds


def front_end(etcd: EtcdServer, root: str) -> Callboard:
    return Callboard(
        "--host", "127.0.0.1", "--port", "0", "--etcd", etcd.endpoint, "--etcd-root", root
    )


def worker(etcd: EtcdServer, root: str, upstream: SlowUpstream) -> Callboard:
    options = ("--model", "m", "--url", upstream.url, "--ttl", str(TTL), "--etcd-root", root)
    return Callboard("worker", "--etcd", etcd.endpoint, *options)


@pytest.fixture
def upstream() -> Iterator[SlowUpstream]:
    with SlowUpstream() as server:
        yield server


def test_a_killed_worker_leaves_within_its_lease_and_comes_back_on_two_front_ends(
    etcd: EtcdServer, upstream: SlowUpstream
) -> None:
    root = "/killed"
    with ExitStack() as stack:
        fronts = [stack.enter_context(front_end(etcd, root)) for _ in range(2)]
        urls = [front.url for front in fronts]
        with worker(etcd, root, upstream) as first:
            for url in urls:
                wait_for_model(url, "m")
                assert chat(url, "m")[0] == 200
            first.signal(signal.SIGKILL)
            for url in urls:
                # etcd's own tick adds up to half a second to the lease; the rest is ours.
                assert wait_without_model(url, "m", TTL + 5) < TTL + 1
                assert chat(url, "m")[0] == 404
        with worker(etcd, root, upstream) as second:
            second.wait_for("announced")
            for url in urls:
                assert wait_for_model(url, "m") < 1
                assert chat(url, "m")[0] == 200
        assert [front.process.poll() for front in fronts] == [None, None]


def test_a_worker_that_is_told_to_stop_takes_its_model_with_it_at_once(
    etcd: EtcdServer, upstream: SlowUpstream
) -> None:
    root = "/stopped"
    with front_end(etcd, root) as front, worker(etcd, root, upstream) as leaving:
        wait_for_model(front.url, "m")
        leaving.signal(signal.SIGTERM)
        assert leaving.exit_code() == 0
        assert wait_without_model(front.url, "m") < 1


def test_of_two_workers_of_one_model_either_may_leave(
    etcd: EtcdServer, upstream: SlowUpstream
) -> None:
    root = "/pair"
    with (
        front_end(etcd, root) as front,
        worker(etcd, root, upstream) as one,
        worker(etcd, root, upstream) as two,
    ):
        one.wait_for("announced")
        two.wait_for("announced")
        wait_for_model(front.url, "m")
        one.signal(signal.SIGTERM)
        assert one.exit_code() == 0
        for _ in range(4):
            assert chat(front.url, "m")[0] == 200
        two.signal(signal.SIGTERM)
        assert two.exit_code() == 0
        wait_without_model(front.url, "m")


def entry(name: str, url: str) -> str:
    return json.dumps({"name": name, "model_type": "chat", "endpoint": {"url": url}})


def test_putting_and_deleting_keys_by_hand_adds_and_removes_models(
    etcd: EtcdServer, upstream: SlowUpstream
) -> None:
    with front_end(etcd, "/hand") as front:
        etcd.put("/hand/models/chat/org/model", entry("org/model", upstream.url))
        wait_for_model(front.url, "org/model")
        assert chat(front.url, "org/model")[0] == 200
        assert get_json(f"{front.url}/v1/models/org/model")[0] == 200
        etcd.delete("/hand/models/chat/org/model")
        wait_without_model(front.url, "org/model")
        assert chat(front.url, "org/model")[0] == 404


@pytest.mark.parametrize(
    "value",
    [
        "not json",
        "[]",
        '{"model_type": "chat"}',
        entry("another", "http://127.0.0.1:1/v1"),
        entry("bad", "ftp://127.0.0.1/v1"),
        entry("bad", "http://user:secret@127.0.0.1/v1"),
    ],
)
def test_a_bad_entry_changes_nothing_else_and_its_reason_can_be_read(
    etcd: EtcdServer, upstream: SlowUpstream, value: str
) -> None:
    root = f"/bad-{zlib.crc32(value.encode())}"
    etcd.put(f"{root}/models/chat/good", entry("good", upstream.url))
    with front_end(etcd, root) as front:
        wait_for_model(front.url, "good")
        etcd.put(f"{root}/models/chat/bad", value)

        def quarantined() -> bool:
            return "models/chat/bad" in json.dumps(get_json(f"{front.url}/health")[1])

        eventually(quarantined, 10, "it is quarantined")
        assert get_models(front.url) == ["good"]
        assert chat(front.url, "good")[0] == 200
        front.wait_for("models/chat/bad")
        told = [line for line in front.output.splitlines() if "models/chat/bad" in line]
        assert len(told) == 1
        etcd.put(f"{root}/models/chat/bad", entry("bad", upstream.url))
        wait_for_model(front.url, "bad")
    assert "secret" not in front.output


def test_with_etcd_down_at_the_start_it_serves_says_so_and_recovers() -> None:
    with SlowUpstream() as upstream, EtcdServer() as etcd:
        etcd.put("/models/chat/m", entry("m", upstream.url))
        etcd.kill()
        with front_end(etcd, "") as front:
            status, body = get_json(f"{front.url}/ready")
            assert status == 503
            assert "etcd" in json.dumps(body)
            assert get_json(f"{front.url}/live")[0] == 200
            etcd.restart()
            wait_for_model(front.url, "m")
            eventually(lambda: get_json(f"{front.url}/ready")[0] == 200, 10, "it is ready")


def test_while_etcd_is_away_the_known_models_keep_serving() -> None:
    with SlowUpstream() as upstream, EtcdServer() as etcd:
        etcd.put("/models/chat/m", entry("m", upstream.url))
        with front_end(etcd, "") as front:
            wait_for_model(front.url, "m")
            etcd.kill()

            def stale() -> bool:
                return "stale" in json.dumps(get_json(f"{front.url}/health")[1])

            eventually(stale, 20, "the service noticed")
            assert chat(front.url, "m")[0] == 200
            etcd.restart()
            etcd.put("/models/chat/n", entry("n", upstream.url))
            wait_for_model(front.url, "n")
