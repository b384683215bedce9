"""``requests``, ``events``, ``tree --watch``: the last ones, and each further one as it comes."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.admin_server import AdminServer
from tests.support.callboard import Callboard, run_to_end


def request(sequence: int, **fields: Any) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "id": f"req-{sequence}",
        "at": 1795786291.5,
        "endpoint": "/v1/chat/completions",
        "model": "llama-3",
        "kind": "chat",
        "stream": True,
        "status": 200,
        "outcome": "complete",
        "instance": "gpu-1",
        "attempts": 1,
        "duration": 1.412,
        "first_token": 0.0386,
        "input_tokens": 12,
        "output_tokens": None,
        **fields,
    }


def event(sequence: int, **fields: Any) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "at": 1795786291.5,
        "level": "warning",
        "topic": "tree",
        "subject": "serving/http",
        "text": "ended: crash",
        "before": None,
        "after": None,
        "by": None,
        **fields,
    }


@pytest.fixture
def server() -> Iterator[AdminServer]:
    documents = {
        "requests": {"requests": [request(1), request(2, status=503, instance=None)], "next": 2},
        "events": {"events": [event(1)], "next": 1},
    }
    with AdminServer(documents) as found:
        yield found


def test_requests_are_a_table_with_times_that_people_read(server: AdminServer) -> None:
    done = run_to_end("requests", "--admin-url", server.url)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0][:3] == ["TIME", "STATUS", "MODEL"]
    assert rows[1][1:] == [
        "200", "llama-3", "gpu-1", "1", "39", "ms", "1.41", "s", "12+?", "complete", "req-1"
    ]  # fmt: skip
    assert rows[2][3] == "-"


def test_the_filter_is_the_admin_apis_own(server: AdminServer) -> None:
    run_to_end(
        "requests", "--status", "5xx", "--grep", "a b", "--limit", "7", "--admin-url", server.url
    )
    assert server.asked == ["/admin/v1/requests?limit=7&q=a+b&status=5xx"]


def test_an_event_of_an_operator_says_who_and_what_changed(server: AdminServer) -> None:
    server.documents["events"]["events"].append(
        event(2, subject="chat/m/gpu-1", text="drain", before="false", after="true", by="ann")
    )
    done = run_to_end("events", "--admin-url", server.url)
    assert done.stdout.splitlines()[2].split()[3:] == ["drain:", "false", "→", "true", "ann"]


def test_following_goes_on_after_the_last_one_until_ctrl_c(server: AdminServer) -> None:
    with Callboard("requests", "--follow", "--admin-url", server.url) as command:
        command.wait_for("req-2")
        server.send("requests", [request(3)], 3)
        command.wait_for("req-3")
        command.signal(signal.SIGINT)
        assert command.exit_code() == 130
    assert "Traceback" not in command.output


def test_what_is_followed_is_filtered_here_too(server: AdminServer) -> None:
    options = ("--follow", "--status", "5xx", "--output", "json")
    with Callboard("requests", *options, "--admin-url", server.url) as command:
        server.send(
            "requests", [request(3), request(4, status=502, model="a  b"), request(5, status=404)]
        )
        server.send("requests", [request(6, status=500)])
        command.wait_for("req-6")
        server.end()
        assert command.exit_code() == 1
    lines = [line[4:] for line in command.output.splitlines() if line.startswith("out {")]
    assert [json.loads(line)["sequence"] for line in lines] == [1, 2, 4, 6]
    assert json.loads(lines[2])["model"] == "a  b"


def test_events_are_followed_as_they_happen(server: AdminServer) -> None:
    with Callboard("events", "--follow", "--admin-url", server.url) as command:
        server.send("events", [event(2, text="up again, epoch 2", level="info")])
        assert "serving/http" in command.wait_for("up again, epoch 2")


def tree(state: str) -> dict[str, Any]:
    child: dict[str, Any] = {
        "id": "registry",
        "path": "registry",
        "state": state,
        "supervisor": False,
        "restarts": 1,
        "mailbox_depth": 0,
        "busy_for": None,
        "last_exit": None,
        "children": [],
    }
    return {**child, "id": "callboard", "path": "", "children": [child]}


def test_a_watched_tree_is_shown_whenever_it_changes(server: AdminServer) -> None:
    with Callboard("tree", "--watch", "--admin-url", server.url) as command:
        server.send("tree", tree("restarting"))
        command.wait_for("registry, restarting, restarted 1 times")
        server.send("tree", tree("up"))
        command.wait_for("registry, up, restarted 1 times")
        server.end()
        assert command.exit_code() == 1
    assert "has stopped" in command.output


def test_what_is_not_json_on_a_stream_is_told_and_ends_it(server: AdminServer) -> None:
    with Callboard("tree", "--watch", "--admin-url", server.url) as command:
        server.events.put(b"event: tree\ndata: {\n\n")
        assert command.exit_code() == 1
    assert "is not JSON" in command.output
    assert "Traceback" not in command.output


@pytest.mark.parametrize("status", ["6xx", "5x", "five"])
def test_a_status_that_is_none_is_refused(status: str) -> None:
    done = run_to_end("requests", "--status", status)
    assert done.returncode == 2
    assert "give one, as in 404, or 5xx" in done.stderr
