"""What the worker announces, from its options; and how it waits for what is in flight."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from actors.cli import worker
from actors.cli.model_server import busy_slots, wait_until_idle
from actors.cli.parsing import UsageError, parse_settings
from actors.settings.worker import WorkerSettings
from discovery import Entry

URL = "http://10.0.0.7:8000/v1"


def settings(*arguments: str) -> WorkerSettings:
    given = ("--url", URL, "--model", "m", *arguments)
    parsed = parse_settings(WorkerSettings, "worker", "", given, {})
    return dataclasses.replace(parsed, instance="w1", unary=parsed.unary or "pass")


def entries(*arguments: str) -> list[Entry]:
    return worker.entries_of(settings(*arguments), URL)


def refusal(*arguments: str) -> str:
    with pytest.raises(UsageError) as raised:
        worker.run(arguments, {})
    return str(raised.value)


def test_a_model_is_announced_for_each_of_its_endpoints() -> None:
    assert [(str(each.kind), each.name, each.instance) for each in entries()] == [
        ("chat", "m", "w1"),
        ("completions", "m", "w1"),
    ]


def test_several_models_are_announced_together() -> None:
    both = entries("--model", "org/n", "--type", "chat")
    assert [each.name for each in both] == ["m", "org/n"]
    assert {each.url for each in both} == {URL}


def test_an_alias_belongs_to_the_only_model_or_to_the_one_it_names() -> None:
    (one,) = entries("--alias", "fast,quick", "--type", "chat")
    assert one.aliases == ("fast", "quick")
    first, second = entries("--model", "n", "--alias", "fast=n", "--type", "chat")
    assert (first.aliases, second.aliases) == ((), ("fast",))


def test_every_option_of_an_entry_reaches_it() -> None:
    options = {
        "--max-concurrency": "8",
        "--weight": "2.5",
        "--unary": "fold",
        "--fallback": "small",
        "--api-key-env": "CALLBOARD_KEY_A",
        "--api-key-header": "x-api-key",
        "--adapter": "law,sql",
        "--context-length": "8192",
        "--max-output-tokens": "512",
        "--type": "chat",
    }
    (entry,) = entries(*(word for option in options.items() for word in option))
    assert (entry.max_concurrency, entry.weight, entry.unary) == (8, 2.5, "fold")
    assert (entry.fallback, entry.api_key_env) == ("small", "CALLBOARD_KEY_A")
    assert entry.api_key_header == "x-api-key"
    assert entry.adapters == ("law", "sql")
    assert (entry.context_length, entry.max_output_tokens) == (8192, 512)


def test_defaults_of_a_request_are_announced_with_commas_and_all() -> None:
    said = ("temperature=0.2", 'stop=["a,b", "c"]', 'reasoning_effort="x=y"')
    (entry,) = entries("--type", "chat", *(word for each in said for word in ("--default", each)))
    assert entry.defaults == {"temperature": 0.2, "stop": ["a,b", "c"], "reasoning_effort": "x=y"}


def test_a_default_that_only_a_client_can_say_is_refused() -> None:
    with pytest.raises(UsageError, match="only a client can say"):
        entries("--default", 'model="x"')


def test_how_a_server_goes_on_is_announced_for_what_generates() -> None:
    vectors = ("--type", "chat,embeddings")
    chat, embeddings = entries("--continues", "prefill", *vectors)
    assert (chat.continues, embeddings.continues) == ("prefill", None)
    assert [each.continues for each in entries("--continues", "no", *vectors)] == [None, None]


def test_what_a_server_speaks_is_announced_for_its_chat_models() -> None:
    chat, completions = entries("--speaks", "messages,responses,messages")
    assert (chat.speaks, completions.speaks) == (("messages", "responses"), ())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give --url (a server that runs) or --llama"),
        (["--url", URL], "give --model NAME"),
        (["--url", URL, "--llama", "smollm2"], "not both"),
        (["--llama", "smollm2", "--model", "a,b"], "--llama hosts one model"),
        (["--url", URL, "--model", "a,b", "--alias", "x"], "of which model? Say x=NAME"),
        (["--url", URL, "--model", "a", "--alias", "x=b"], "there is no --model b"),
        (["--url", URL, "--model", "a,b", "--adapter", "x"], "--adapter x: of which model?"),
        (["--url", URL, "--model", "a", "--context-length", "8k"], "is not a number of tokens"),
        (["--url", URL, "--model", "a", "--alias", "a"], "the model's own name"),
        (["--url", URL, "--model", "a", "--fallback", "a"], "the fallback is the model itself"),
        (["--url", URL, "--model", "a", "--api-key-env", "sk-1"], "and never the key itself"),
        (["--url", URL, "--model", "a", "--speaks", "mesages"], "did you mean 'messages'?"),
        (["--url", URL, "--model", "a", "--speaks", "auto,messages"], "leave other words out"),
        (["--url", URL, "--model", "a", "--continues", "prefil"], "did you mean 'prefill'?"),
        (
            ["--url", URL, "--model", "a", "--continues", "auto", "--announce", "at-once"],
            "leave --announce at-once out",
        ),
        (
            ["--url", URL, "--model", "a", "--speaks", "auto", "--announce", "at-once"],
            "leave --announce at-once out",
        ),
        (["--url", URL, "--model", "a", "--etcd-password", "p"], "set CALLBOARD_ETCD_PASSWORD"),
        (["--url", URL, "--model", "a", "--etcd-user", "u"], "user is given without a password"),
        (["--url", URL, "--model", "a", "--etcd-ca", "/no-such"], "/no-such is not a file"),
        (["--url", URL, "--model", "a", "--etcd-password-file", "/no"], "can't be read"),
        (["--url", URL, "--model", "a", "--drain", "-1"], "is not a duration"),
    ],
)
def test_a_contradiction_is_refused_before_anything_starts(arguments: list[str], says: str) -> None:
    assert says in refusal(*arguments)


def test_a_password_is_taken_from_its_variable_and_shown_nowhere() -> None:
    given = ("--url", URL, "--model", "m")
    environment = {"CALLBOARD_ETCD_PASSWORD": "very secret"}
    parsed = parse_settings(WorkerSettings, "worker", "", given, environment)
    assert parsed.etcd_access.password == "very secret"
    assert "very secret" not in repr(parsed)
    with pytest.raises(UsageError) as raised:
        parse_settings(WorkerSettings, "worker", "", ["--etcd-password", "very secret"], {})
    assert "very secret" not in str(raised.value)


def answers(*numbers: int | None) -> Iterator[int | None]:
    yield from numbers


@pytest.mark.parametrize(
    ("looks", "idle"),
    [
        ([0, 0], True),
        ([2, 1, 0, 0], True),
        ([0, 1, 0, 0], True),  # one quiet moment between two requests is not the end
        ([1, None], False),
    ],
)
def test_idle_is_what_was_quiet_twice(looks: list[int | None], idle: bool) -> None:
    said = answers(*looks)
    assert wait_until_idle(lambda: next(said), 30) is idle
    assert next(said, "all asked") == "all asked"


def test_who_never_gets_quiet_is_left_at_the_deadline() -> None:
    assert not wait_until_idle(lambda: 1, 0.25)


class _Slots(BaseHTTPRequestHandler):
    body = b"[]"
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/slots" else 404)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base names it so
        """Say nothing."""


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b'[{"id": 0, "is_processing": true}, {"id": 1, "is_processing": false}]', 1),
        (200, b"[]", 0),
        (200, b"hello", None),
        (501, b"{}", None),
    ],
)
def test_the_slots_of_a_server_are_counted_and_unknown_is_no_number(
    status: int, body: bytes, expected: int | None
) -> None:
    kind = type("Slots", (_Slots,), {"body": body, "status": status})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            assert busy_slots(f"http://127.0.0.1:{server.server_port}/v1") == expected
        finally:
            server.shutdown()
    assert busy_slots(f"http://127.0.0.1:{server.server_port}/v1") is None
