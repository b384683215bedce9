"""The console's pure parts, run where they run: in the browser, under its policy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest
from playwright.sync_api import Browser

from tests.console.world import World

Call: TypeAlias = Callable[..., Any]


@pytest.fixture(scope="module")
def call(world: World, browser: Browser) -> Iterator[Call]:
    """Calls a function of a part with JSON values, and returns what it made."""
    page = browser.new_page()
    page.goto(world.console)

    def run(part: str, expression: str, *values: object) -> Any:
        given = ", ".join(json.dumps(each) for each in values)
        url = f"{world.console}/console/parts/{part}.js"
        return page.evaluate(f"import({json.dumps(url)}).then((part) => ({expression})({given}))")

    yield run
    page.context.close()


ROW = {
    "id": "9f31",
    "model": "org/llama-3",
    "kind": "chat",
    "endpoint": "chat_completions",
    "status": 502,
    "outcome": "error",
    "instance": "gpu-7",
    "attempts": 2,
    "duration": 1.412,
    "first_token": None,
    "output_tokens": 118,
}


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ("", True),
        ("llama", True),
        ("MODEL:Llama", True),
        ("model:qwen", False),
        ("status:502", True),
        ("status:5xx", True),
        ("status:4xx", False),
        ("502", True),
        ("attempts:>1", True),
        ("attempts:>2", False),
        ("duration:>1s", True),
        ("duration:>1500ms", False),
        ("duration:<=1412ms", True),
        ("first:>0", False),
        ("llama status:>=500 instance:gpu-7", True),
        ("llama status:<500", False),
        ("tokens:118", True),
        ("nothing:here", False),
    ],
)
def test_a_query_matches_words_and_fields(call: Call, query: str, matches: bool) -> None:
    assert call("query", "(text, row) => part.matcher(text)(row)", query, ROW) is matches


def test_a_life_breaks_where_it_ended_and_waits_until_it_starts(call: Call) -> None:
    node = {"path": "registry", "state": "up"}
    told = [
        {"at": 10, "subject": "registry", "after": "down", "text": "crash", "level": "error"},
        {"at": 10.1, "subject": "registry", "after": "restarting", "text": "", "level": "info"},
        {"at": 12, "subject": "registry", "after": "up", "text": "started", "level": "info"},
        {"at": 13, "subject": "registry", "after": None, "text": "said", "level": "info"},
        {"at": 14, "subject": "other", "after": "down", "text": "crash", "level": "error"},
        {"at": 16, "subject": "registry", "after": "down", "text": "shutdown", "level": "info"},
    ]
    seen = call("lives", "(...given) => part.livesOf(...given)", node, told, 5, 20)
    assert [(each["from"], each["to"], each["state"]) for each in seen["stretches"]] == [
        (5, 10, "up"),
        (10, 10.1, "waiting"),
        (10.1, 12, "waiting"),
        (12, 16, "up"),
        (16, 20, "waiting"),
    ]
    assert [(each["at"], each["crash"]) for each in seen["ends"]] == [(10, True), (16, False)]


def test_a_life_that_began_within_the_time_shown_has_nothing_before(call: Call) -> None:
    told = [{"at": 10, "subject": "a", "after": "up", "text": "started", "level": "info"}]
    node = {"path": "a", "state": "up"}
    seen = call("lives", "(...given) => part.livesOf(...given)", node, told, 5, 20)
    assert seen == {"stretches": [{"from": 10, "to": 20, "state": "up"}], "ends": []}


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        ("span", 0.0000042, "4 µs"),
        ("span", 0.0421, "42.1 ms"),
        ("span", 61, "61 s"),
        ("span", 7201, "2 h 0 min"),
        ("span", 273_600, "3 d 4 h"),
        ("span", None, "\u2013"),
        ("ms", 1.412, "1\u202f412"),
        ("rate", 26_412.0, "26.4k"),
        ("rate", 0, "0"),
        ("rate", 5.432, "5.43"),
        ("count", 88_214, "88\u202f214"),
        ("percent", 0.614, "61"),
        ("visible", "a\u202eb\nc\u200bd", "a\ufffdb\ufffdc\ufffdd"),
    ],
)
def test_numbers_and_names_are_written_for_people(
    call: Call, function: str, value: object, text: str
) -> None:
    assert call("format", f"(value) => part.{function}(value)", value) == text


def test_events_are_read_however_they_come_apart(call: Call) -> None:
    blocks = 'event: tree\nid: 7\ndata: {"a":\ndata: 1}\n\n: comment\n\ndata: é\r\n\r\n'
    read = """async (text, size) => {
        const bytes = new TextEncoder().encode(text);
        const parts = new ReadableStream({ start(sink) {
            for (let at = 0; at < bytes.length; at += size) {
                sink.enqueue(bytes.slice(at, at + size));
            }
            sink.close();
        } });
        const found = [];
        for await (const each of part.events(new Response(parts))) found.push(each);
        return found;
    }"""
    for size in (1, 3, 1000):
        assert call("sse", read, blocks, size) == [
            {"event": "tree", "id": "7", "data": '{"a":\n1}'},
            {"event": "message", "id": None, "data": "é"},
        ]


def test_the_codes_of_the_playground_say_the_same(call: Call) -> None:
    body = {"model": "it's", "messages": [{"role": "user", "content": 'a "b"\n'}], "stream": True}
    make = "(language, url, body) => part.LANGUAGES[language](url, body)"
    shell = call("code", make, "curl", "http://x", body)
    assert r"it'\''s" in shell
    python = call("code", make, "python", "http://x", body)
    compile(python, "shown", "exec")
    assert "stream=True" in python
    assert '"content": "a \\"b\\"\\n"' in python
    assert '"http://x/v1/chat/completions"' in call("code", make, "js", "http://x", body)
