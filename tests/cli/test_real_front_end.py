"""The commands that operate and follow, against a real front-end with a real instance behind it."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal
from tests.support.callboard import Callboard, run_to_end
from tests.support.chat import chat, stream_lines, wait_for_model
from tests.support.slow_upstream import SlowUpstream

AT = ("--host", "127.0.0.1", "--port", "0", "--console", "127.0.0.1:0", "--config", "off")


class Front:
    """A front-end with the model ``m``, whose instance ``gpu-1`` answers at a pace of ours."""

    def __init__(self, process: Callboard, upstream: SlowUpstream, entry: Path) -> None:
        self.upstream = upstream
        self.entry = entry
        self.process = process
        self.url = process.url
        self.admin = process.wait_for("console on ").split("console on ")[1].strip()

    def run(self, *arguments: str) -> tuple[int, str]:
        """Exit code, and stdout or the sentence on stderr."""
        done = run_to_end(*arguments, environment={"CALLBOARD_ADMIN_URL": self.admin})
        return done.returncode, done.stdout or done.stderr

    def following(self, *arguments: str) -> Callboard:
        """A command that goes on."""
        return Callboard(*arguments, environment={"CALLBOARD_ADMIN_URL": self.admin})


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    with SlowUpstream(tokens=3) as upstream:
        entry = {"name": "m", "model_type": "chat", "instance": "gpu-1"}
        text = json.dumps({**entry, "endpoint": {"url": upstream.url}})
        (tmp_path / "m.json").write_text(text)
        with Callboard("serve", *AT, "--discovery-dir", str(tmp_path)) as process:
            found = Front(process, upstream, tmp_path / "m.json")
            wait_for_model(found.url, "m")
            yield found


def test_a_drained_instance_gets_nothing_until_it_is_undrained(front: Front) -> None:
    assert chat(front.url, "m")[0] == 200
    code, shown = front.run("drain", "m#gpu-1", "--wait")
    assert code == 0
    assert shown.splitlines()[1].split() == ["m", "chat", "gpu-1", "as", "announced", "drained"]
    assert "nothing is in flight" in shown
    assert chat(front.url, "m")[0] == 503
    assert front.run("undrain", "m")[0] == 0
    assert chat(front.url, "m")[0] == 200


def test_wait_waits_for_the_request_in_flight(front: Front) -> None:
    front.upstream.tokens, front.upstream.interval = 100, 0.05
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(stream_lines, front.url, "m")
        assert front.upstream.started.wait(30)
        _drain_under(front, asking)


def _drain_under(front: Front, asking: Future[list[str]]) -> None:
    with front.following("drain", "m", "--wait", "--timeout", "0") as waiting:
        assert waiting.exit_code() == 1
    assert "1 still in flight after 0 s: wait longer with --timeout" in waiting.output
    with front.following("drain", "m", "--wait") as waiting:
        waiting.wait_for("drained")
        assert "data: [DONE]" in asking.result(60)
        assert waiting.exit_code() == 0


def test_weight_eject_and_readmit_are_shown_in_words(front: Front) -> None:
    assert "weight 0.5" in front.run("weight", "m#gpu-1", "0.5")[1].splitlines()[1]
    assert "weight 0.5" not in front.run("weight", "m", "announced")[1].split("AFTER")[1][60:]
    assert front.run("eject", "m")[1].splitlines()[1].endswith("ejected")
    assert front.run("readmit", "m")[1].splitlines()[1].endswith("as announced")


def test_everywhere_writes_it_to_the_source(front: Front) -> None:
    code, shown = front.run("weight", "m#gpu-1", "0.5", "--everywhere")
    assert code == 0, shown
    assert json.loads(front.entry.read_text())["weight"] == 0.5
    assert front.run("drain", "m", "--everywhere")[1].splitlines()[1].endswith("draining")
    assert json.loads(front.entry.read_text())["state"] == "draining"
    assert front.run("eject", "m#gpu-1", "--everywhere")[0] == 2  # one front-end's own


def test_what_operators_do_is_an_event_that_is_followed(front: Front) -> None:
    with front.following("events", "--follow") as command:
        command.wait_for("serving/http")
        front.run("drain", "m")
        line = command.wait_for(":drain")
        assert "as announced → drained" in line
        command.signal(signal.SIGINT)
        assert command.exit_code() == 130
    assert "as announced → drained" in front.run("events")[1]


def test_requests_are_listed_filtered_and_followed(front: Front) -> None:
    chat(front.url, "m")
    chat(front.url, "nope")
    listed = front.run("requests")[1].splitlines()
    assert [line.split()[1] for line in listed[1:]][:1] == ["200"]
    assert len(front.run("requests", "--status", "2xx")[1].splitlines()) == 2
    with front.following("requests", "--follow", "--output", "json") as command:
        command.wait_for('"model": "m"')
        chat(front.url, "m", "again")
        command.wait_for('"sequence": 3')


def test_the_tree_is_watched_through_a_restart(front: Front) -> None:
    with front.following("tree", "--watch") as command:
        command.wait_for("registry, up")
        killed = front.run("tree", "--output", "json")[1]
        assert json.loads(killed)["id"] == "callboard"
        front.run("drain", "m")
        command.signal(signal.SIGINT)
        assert command.exit_code() == 130


def test_top_draws_a_real_front_end(front: Front) -> None:
    chat(front.url, "m")
    command = [sys.executable, "-m", "actors.main", "top", "--admin-url", front.admin]
    with Terminal(command) as terminal:
        for text in ("requests/s", "registry", "gpu-1", "serving"):
            terminal.wait_for(text)
        terminal.type("\t\td")
        terminal.wait_for("drained")
        terminal.type("q")
        assert terminal.exit_code() == 0
