"""The optional fields of an entry: what each accepts, and in which words it refuses."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines.contract import Kind
from actors.engines.pool import PolicyName
from discovery.codec import WireValue, decode, encode, schema, unknown_fields
from discovery.entry import NO_TIMEOUTS, Entry, EntryTimeouts, Quarantined
from discovery.status import DiscoveryStatus
from tests.discovery.schema_page import PAGE, with_schema

KEY = b"/models/chat/m"
GOOD: dict[str, Any] = {
    "name": "m",
    "model_type": "chat",
    "endpoint": {"url": "http://10.0.0.7:8000/v1"},
}


def read(**fields: Any) -> Entry:
    entry = decode(KEY, json.dumps({**GOOD, **fields}).encode())
    assert isinstance(entry, Entry), entry
    return entry


def reason(**fields: Any) -> str:
    refused = decode(KEY, json.dumps({**GOOD, **fields}).encode())
    assert isinstance(refused, Quarantined), refused
    return refused.reason


def test_an_entry_that_says_nothing_more_has_the_defaults() -> None:
    entry = read()
    assert (entry.aliases, entry.fallback, entry.state, entry.policy) == ((), None, "serving", None)
    assert (entry.timeouts, entry.hedge_after, entry.api_key_env) == (NO_TIMEOUTS, None, None)


@pytest.mark.parametrize(
    ("field", "raw", "expected"),
    [
        ("aliases", ["fast", "org/fast"], ("fast", "org/fast")),
        ("aliases", [], ()),
        ("fallback", "small", "small"),
        ("state", "draining", "draining"),
        ("state", "serving", "serving"),
        ("policy", "power_of_two", "power_of_two"),
        ("hedge_after", 95, 95.0),
        ("hedge_after", 99.9, 99.9),
        ("api_key_env", "CALLBOARD_KEY_OPENAI_2", "CALLBOARD_KEY_OPENAI_2"),
        ("api_key_header", "x-api-key", "x-api-key"),
        ("api_key_header", None, "authorization"),
        ("adapters", ["law", "org/sql"], ("law", "org/sql")),
        ("context_length", 8192, 8192),
        ("max_output_tokens", 512, 512),
        ("defaults", {"temperature": 0.2}, {"temperature": 0.2}),
        ("speaks", [], ()),
        ("speaks", ["responses", "messages", "responses"], ("responses", "messages")),
        ("speaks", ["tokenize", "count_tokens"], ("tokenize", "count_tokens")),
        ("timeouts", {}, NO_TIMEOUTS),
        ("timeouts", {"connect": 1, "idle": 2.5}, EntryTimeouts(connect=1.0, idle=2.5)),
        ("timeouts", {"total": 86400, "first_byte": None}, EntryTimeouts(total=86400.0)),
    ],
)
def test_an_optional_field_is_read(field: str, raw: object, expected: object) -> None:
    assert getattr(read(**{field: raw}), field) == expected


@pytest.mark.parametrize(
    "field",
    [
        "aliases",
        "fallback",
        "speaks",
        "timeouts",
        "state",
        "policy",
        "hedge_after",
        "api_key_env",
    ],
)
def test_null_is_as_if_left_out(field: str) -> None:
    assert read(**{field: None}) == read()


@pytest.mark.parametrize(
    ("field", "raw", "says"),
    [
        ("api_key_header", "cookie", "at `$.api_key_header`"),
        ("speaks", "messages", "at `$.speaks`"),
        ("speaks", [1], "at `$.speaks[0]`"),
        ("speaks", ["mesages"], "unknown dialect 'mesages': give one of messages, responses, "),
        ("speaks", ["mesages"], "did you mean 'messages'?"),
        ("speaks", ["chat"], "unknown dialect 'chat'"),
        ("aliases", "fast", "at `$.aliases`"),
        ("aliases", [1], "at `$.aliases[0]`"),
        ("aliases", [""], "the alias is empty"),
        ("aliases", ["a b"], "the alias 'a b' holds a blank"),
        ("aliases", ["a#1"], "the alias 'a#1' holds"),
        ("aliases", ["a", "a"], "an alias stands twice"),
        ("aliases", ["m"], "or is the model's own name"),
        ("aliases", [f"a{n}" for n in range(33)], "33 aliases, at most 32"),
        ("fallback", "m", "the fallback is the model itself"),
        ("fallback", "", "the fallback is empty"),
        ("fallback", ["s"], "at `$.fallback`"),
        ("state", "gone", "Invalid enum value 'gone' - at `$.state`"),
        ("state", True, "at `$.state`"),
        ("policy", "round_robbin", "did you mean 'round_robin'?"),
        ("policy", 3, "at `$.policy`"),
        ("policy", "random", "unknown policy 'random': give one of least_loaded, "),
        ("hedge_after", 0, "hedge_after must be above 0 and at most 99.9"),
        ("hedge_after", 100, "hedge_after must be above 0 and at most 99.9"),
        ("hedge_after", "p95", "at `$.hedge_after`"),
        ("api_key_env", "sk-very-secret", "must name a variable of the front-end"),
        ("api_key_env", "AWS_SECRET_ACCESS_KEY", "begins with CALLBOARD_KEY_"),
        ("api_key_env", "CALLBOARD_KEY_", "begins with CALLBOARD_KEY_"),
        ("api_key_env", "CALLBOARD_KEY_A\n", "begins with CALLBOARD_KEY_"),
        ("adapters", "law", "at `$.adapters`"),
        ("adapters", ["a b"], "the adapter 'a b' holds a blank"),
        ("adapters", ["a", "a"], "an adapter stands twice"),
        ("adapters", ["m"], "or is the model's own name"),
        ("adapters", [f"a{n}" for n in range(257)], "257 adapters, at most 256"),
        ("context_length", 0, "context_length must be above 0 and at most 1e+09"),
        ("context_length", 1.5, "at `$.context_length`"),
        ("context_length", "8k", "at `$.context_length`"),
        ("max_output_tokens", -1, "max_output_tokens must be above 0"),
        ("max_output_tokens", 10**10, "max_output_tokens must be above 0 and at most"),
        ("defaults", [], "at `$.defaults`"),
        ("defaults", {"stream": True}, "defaults holds 'stream', which only a client can say"),
        ("defaults", {"seed": 10**30}, "defaults can't be written as JSON"),
        ("timeouts", 5, "at `$.timeouts`"),
        ("timeouts", {"connect": "5s"}, "at `$.timeouts.connect`"),
        ("timeouts", {"connect": True}, "at `$.timeouts.connect`"),
        ("timeouts", {"idle": 0}, "timeouts.idle must be above 0 and at most 86400"),
        ("timeouts", {"first_byte": -1}, "timeouts.first_byte must be above 0"),
        ("timeouts", {"total": 1_763_000_000}, "timeouts.total must be above 0 and at most"),
        ("timeouts", {"total": 1e300}, "timeouts.total must be above 0"),
        ("timeouts", {"total": 10**400}, "at `$.timeouts.total`"),
        ("timeouts", {"total": "2026-11-24T00:00:00Z"}, "at `$.timeouts.total`"),
    ],
)
def test_a_bad_field_is_quarantined(field: str, raw: object, says: str) -> None:
    assert says in reason(**{field: raw})


def test_unknown_fields_pass_and_are_named() -> None:
    entry = read(future=1, endpoint={**GOOD["endpoint"], "port": 1}, timeouts={"conect": 3})
    assert entry.unknown == ("future", "endpoint.port", "timeouts.conect")
    assert entry == read()


def test_no_more_than_ten_unknown_fields_are_named_each_on_one_short_line() -> None:
    entry = read(**{f"{n}\n" + "x" * 1000: n for n in range(100)})
    assert len(entry.unknown) == 10
    assert all(name.isprintable() and len(name) < 80 for name in entry.unknown)


def test_every_option_survives_encoding() -> None:
    entry = Entry(
        Kind.CHAT,
        "m",
        "http://h/v1",
        aliases=("a", "b"),
        fallback="f",
        timeouts=EntryTimeouts(1.0, 2.0, 3.0, 4.0),
        state="draining",
        policy=PolicyName.SESSION,
        hedge_after=95.0,
        api_key_env="CALLBOARD_KEY_A",
    )
    assert decode(*encode(entry)) == entry


def test_the_schema_has_every_field_and_says_what_each_means() -> None:
    described = schema()
    assert [*described["properties"]] == [*WireValue.__struct_fields__]
    assert described["required"] == ["name", "model_type", "endpoint"]
    referred = {"endpoint", "timeouts"}
    for name, field in described["properties"].items():
        assert name in referred or field["description"].endswith(".")
    assert {*described["$defs"]} == {"WireEndpoint", "WireTimeouts"}


@given(st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5)))
def test_unknown_fields_are_exactly_those_the_schema_does_not_have(extra: dict[str, Any]) -> None:
    known = set(WireValue.__struct_fields__)
    raw = msgspec.json.encode({**extra, **GOOD})
    assert len(unknown_fields(raw)) == min(10, len(extra.keys() - known))


def test_the_page_shows_the_schema_of_the_code() -> None:
    page = PAGE.read_text()
    assert page == with_schema(page), "run: python -m tests.discovery.schema_page"


def test_the_page_describes_every_field_and_every_line_of_the_status() -> None:
    page = PAGE.read_text()
    fields = {*WireValue.__struct_fields__, *DiscoveryStatus.__dataclass_fields__}
    assert [each for each in fields - {"endpoint", "source"} if f"`{each}`" not in page] == []
