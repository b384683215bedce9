"""The entry codec: what is accepted, what is refused in which words; nothing ever raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.engines.contract import Kind
from actors.engines.dialect import Continues
from discovery import rules
from discovery.codec import decode, encode, key_of, prefix_of
from discovery.entry import Entry, Quarantined
from discovery.rules import MAX_NAME, MAX_URL, MAX_VALUE_BYTES

URL = "http://10.0.0.7:8000/v1"
KEY = b"/models/chat/org/model"
GOOD: dict[str, Any] = {"name": "org/model", "model_type": "chat", "endpoint": {"url": URL}}

KINDS = ", ".join(Kind)


def value(**changes: Any) -> bytes:
    """A good value with these fields changed, or left out where ``...`` is given."""
    merged = {**GOOD, **changes}
    return json.dumps({name: field for name, field in merged.items() if field is not ...}).encode()


def reason(key: bytes, raw: bytes, root: str = "") -> str:
    result = decode(key, raw, root)
    assert isinstance(result, Quarantined), result
    assert result.key == key
    return result.reason


def test_the_seeds_form_has_one_instance_without_a_name() -> None:
    assert decode(KEY, value()) == Entry(Kind.CHAT, "org/model", URL)


def test_the_instance_stands_behind_a_hash_in_the_key() -> None:
    expected = Entry(Kind.CHAT, "org/model", URL, instance="host-1")
    assert decode(KEY + b"#host-1", value()) == expected
    assert decode(KEY + b"#host-1", value(instance="host-1")) == expected


def test_every_optional_field_is_read() -> None:
    options = {"max_concurrency": 8, "weight": 2, "unary": "fold", "metadata": {"gpu": ["a", 1]}}
    assert decode(KEY, value(**options)) == Entry(
        Kind.CHAT,
        "org/model",
        URL,
        max_concurrency=8,
        weight=2.0,
        unary="fold",
        metadata={"gpu": ["a", 1]},
    )


@pytest.mark.parametrize("field", ["instance", "max_concurrency", "weight", "unary", "metadata"])
def test_null_in_an_optional_field_is_the_default(field: str) -> None:
    assert decode(KEY, value(**{field: None})) == decode(KEY, value())


def test_unknown_fields_are_ignored() -> None:
    assert decode(KEY, value(future={"a": 1})) == decode(KEY, value())


@pytest.mark.parametrize(
    ("segment", "said"),
    [
        ("chat", "chat"),
        ("chat", "Chat"),
        ("chat", "CHAT"),
        ("completions", "completion"),
        ("completions", "Completion"),
        ("completions", "completions"),
        ("completions", "Completions"),
    ],
)
def test_model_type_is_read_in_every_spelling_of_the_seed(segment: str, said: str) -> None:
    entry = decode(f"/models/{segment}/m".encode(), value(name="m", model_type=said))
    assert isinstance(entry, Entry)
    assert entry.kind == segment


@pytest.mark.parametrize("root", ["", "/", "/prod", "/prod/", "prod/eu"])
def test_the_root_stands_before_models_with_or_without_a_slash_at_its_end(root: str) -> None:
    entry = Entry(Kind.COMPLETIONS, "a/b", URL, instance="i")
    key, raw = encode(entry, root)
    assert key == f"{root.rstrip('/')}/models/completions/a/b#i".encode()
    assert key.startswith(prefix_of(root))
    assert decode(key, raw, root) == entry


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (b"/other/chat/m", "doesn't begin with '/models/'"),
        (b"/models/", f"no model type ({KINDS}) but ''"),
        (b"/models/chat", f"no model type ({KINDS}) but 'chat'"),
        (b"/models/embed/m", f"no model type ({KINDS}) but 'embed'"),
        (b"/models/chat/m#", "names no instance"),
        (b"/models/chat/\xff\xfe", "the key is not UTF-8 (byte 5)"),
        (b"/models/chat/other", "the key says model 'other', the value 'org/model'"),
        (b"/models/chat/" + b"m" * 1000, "the key says model 'mmm"),
    ],
)
def test_a_bad_key_is_quarantined(key: bytes, says: str) -> None:
    assert says in reason(key, value())


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "is not JSON"),
        (b"garbage", "is not JSON"),
        (b"{", "is not JSON"),
        (b'{"name": NaN}', "is not JSON"),
        (b"\xff\xfe", "the value is not UTF-8 (byte 0)"),
        (value(x="?").replace(b"?", b"\xff"), "the value is not UTF-8"),
        (b"[]", "Expected `object`, got `array`"),
        (b"null", "Expected `object`, got `null`"),
        (b'"x"', "Expected `object`, got `str`"),
        (b"{}", "missing required field `name`"),
        (value(name=...), "missing required field `name`"),
        (value(name=7), "Expected `str`, got `int` - at `$.name`"),
        (value(name="other"), "the key says model 'org/model', the value 'other'"),
        (value(model_type=...), "missing required field `model_type`"),
        (value(model_type="embed"), f"model_type 'embed' is none of {KINDS}"),
        (
            value(model_type="completions"),
            "the key says model type 'chat', the value 'completions'",
        ),
        (value(endpoint=...), "missing required field `endpoint`"),
        (value(endpoint=URL), "Expected `object`, got `str` - at `$.endpoint`"),
        (value(endpoint={}), "missing required field `url` - at `$.endpoint`"),
        (value(endpoint={"url": None}), "Expected `str`, got `null` - at `$.endpoint.url`"),
        (value(instance="x"), "the key says instance '', the value 'x'"),
        (value(unary="both"), "Invalid enum value 'both' - at `$.unary`"),
        (value(metadata=[]), "Expected `object | null`, got `array` - at `$.metadata`"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deep"),
        (value(max_concurrency=True), "at `$.max_concurrency`"),
        (value(max_concurrency=1.5), "at `$.max_concurrency`"),
        (value(max_concurrency=0), "max_concurrency must be above 0"),
        (value(max_concurrency=-1), "max_concurrency must be above 0"),
        (value(max_concurrency=10**100), "max_concurrency must be above 0 and at most 1e+06"),
        (value(weight=True), "at `$.weight`"),
        (value(weight="1"), "at `$.weight`"),
        (value(weight=0), "weight must be above 0"),
        (value(weight=-0.5), "weight must be above 0"),
        (value(weight=1e300), "weight must be above 0 and at most 1e+06"),
        (value(weight="?").replace(b'"?"', b"1e999"), "at `$.weight`"),
        (value(weight="?").replace(b'"?"', b"NaN"), "is not JSON"),
        (value(weight="?").replace(b'"?"', b"9" * 100_000), "at `$.weight`"),
    ],
)
def test_a_bad_value_is_quarantined(raw: bytes, says: str) -> None:
    assert says in reason(KEY, raw)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "scheme is ''"),
        ("10.0.0.7:8000", "scheme is"),
        ("//10.0.0.7:8000", "scheme is ''"),
        ("ftp://host/v1", "scheme is 'ftp', not http or https"),
        ("file:///etc/passwd", "scheme is 'file'"),
        ("javascript:alert(1)", "scheme is 'javascript'"),
        ("http://", "names no host"),
        ("http:///v1", "names no host"),
        ("http://:8000/v1", "names no host"),
        ("http://host:0/v1", "port is 0"),
        ("http://host:port/v1", "can't be read"),
        ("http://host:99999/v1", "can't be read"),
        ("http://[::1/v1", "can't be read"),
        ("http://ho st/v1", "holds a blank"),
        ("http://host/v1\r\nHost: evil", "holds a blank"),
        ("http://ho\tst/v1", "holds a blank"),
        ("http://good\\@evil/v1", "a backslash"),
        ("http://h\u00f6st/v1", "beyond ASCII"),
        ("http://host/v1?key=1", "query or fragment"),
        ("http://host/v1#a", "query or fragment"),
        ("http://host/" + "v" * MAX_URL, "at most 2048"),
        ("http://host/v1?", "query or fragment"),
        ("http://host:/v1", "no port"),
        ("http://host/../v1", "'.' or '..'"),
        ("http://host/v1/%2e%2e/admin", "'.' or '..'"),
        ("http://host/v1/%252e%252e/admin", "'.' or '..'"),
        ("http://host/./v1", "'.' or '..'"),
        ("http://host/v1%0d%0aHost:evil", "control character"),
        ("http://host/v1%00", "control character"),
        ("http://host/v1%5cadmin", "backslash"),
        ('http://ho"st/v1', "not a name"),
        ("http://ho'st/v1", "not a name"),
        ("http://ho<st>/v1", "not a name"),
        ("http://host%20name/v1", "not a name"),
        ("http://a..b/v1", "not a name"),
        ("http://.host/v1", "not a name"),
        ("http://-host/v1", "not a name"),
        ("http://host-/v1", "not a name"),
        (f"http://{'a' * 64}/v1", "not a name"),
        (f"http://{'a.' * 127}b/v1", "not a name"),
        ("http://127.1/v1", "looks like an IPv4 address"),
        ("http://2852039166/v1", "looks like an IPv4 address"),
        ("http://0xa9fea9fe/v1", "looks like an IPv4 address"),
        ("http://0251.0376.0251.0376/v1", "looks like an IPv4 address"),
        ("http://1.2.3.4.5/v1", "looks like an IPv4 address"),
        ("http://[::g]/v1", "can't be"),
    ],
)
def test_a_bad_url_is_quarantined(url: str, says: str) -> None:
    assert says in reason(KEY, value(endpoint={"url": url}))


@pytest.mark.parametrize("login", ["user:secret@", "user@", ":secret@", "@"])
def test_a_url_with_credentials_is_refused_without_repeating_them(login: str) -> None:
    says = reason(KEY, value(endpoint={"url": f"http://{login}host/v1"}))
    assert "credentials" in says
    assert "secret" not in says


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "HTTPS://h:1/",
        "http://[::1]:8000/v1",
        "http://1.2.3.4",
        "http://vllm-0.vllm.default.svc.cluster.local:8000/v1",
        "http://worker-1:8000/v1/",
        "http://my_model:8000/v1",
        "http://xn--hst-sna.example./v1",
        "http://h/%20/v1.5/~a",
    ],
)
def test_ordinary_urls_are_accepted_as_they_are(url: str) -> None:
    assert decode(KEY, value(endpoint={"url": url})) == Entry(Kind.CHAT, "org/model", url)


@given(
    st.from_regex(rules.ORDINARY_URL, fullmatch=True).filter(
        lambda url: len(url) <= rules.MAX_ORDINARY
    )
)
def test_no_url_is_taken_for_ordinary_that_a_closer_look_would_refuse(url: str) -> None:
    rules.check_url_in_parts(url)


@pytest.mark.parametrize("name", ["a b", "a\nb", "a\x00b", "a\u2028b", ""])
def test_a_name_with_blanks_or_control_characters_or_none_at_all_is_refused(name: str) -> None:
    assert "model name" in reason(b"/models/chat/" + name.encode(), value(name=name))


def test_a_name_at_the_limit_is_accepted_and_one_beyond_is_not() -> None:
    longest = "n" * MAX_NAME
    assert isinstance(decode(b"/models/chat/" + longest.encode(), value(name=longest)), Entry)
    longer = longest + "n"
    assert "257 characters" in reason(b"/models/chat/" + longer.encode(), value(name=longer))
    assert "the instance has 257" in reason(KEY + b"#" + longer.encode(), value())


def test_a_second_hash_is_refused_because_it_separates_the_instance() -> None:
    assert "the instance 'a#b' holds" in reason(KEY + b"#a#b", value())


def test_a_value_at_the_size_limit_is_accepted_and_one_byte_more_is_not() -> None:
    fitting = value() + b" " * (MAX_VALUE_BYTES - len(value()))
    assert isinstance(decode(KEY, fitting), Entry)
    assert "262145 bytes" in reason(KEY, fitting + b" ")


def test_reasons_stay_short_whatever_they_repeat() -> None:
    huge = "x" * 200_000
    for raw in (value(name=huge), value(model_type=huge), value(unary=huge), value(instance=huge)):
        assert len(reason(KEY, raw)) < 600


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "a#b"},
        {"url": "ftp://h"},
        {"max_concurrency": True},
        {"weight": float("nan")},
        {"weight": float("inf")},
        {"instance": "a b"},
    ],
)
def test_an_invalid_entry_can_not_even_be_built(fields: dict[str, Any]) -> None:
    good: dict[str, Any] = {"kind": Kind.CHAT, "name": "m", "url": URL}
    with pytest.raises(ValueError, match=r"URL|name|instance|must be above 0"):
        Entry(**{**good, **fields})


def test_metadata_that_is_no_json_or_too_large_is_refused_when_encoding() -> None:
    with pytest.raises(ValueError, match="as JSON"):
        encode(Entry(Kind.CHAT, "m", URL, metadata={"a": object()}))
    with pytest.raises(ValueError, match="bytes"):
        encode(Entry(Kind.CHAT, "m", URL, metadata={"a": "x" * MAX_VALUE_BYTES}))


def test_defaults_are_left_out_of_the_value() -> None:
    _, raw = encode(Entry(Kind.CHAT, "org/model", URL))
    assert json.loads(raw) == GOOD


def names() -> st.SearchStrategy[str]:
    plain = st.characters(exclude_characters="#", exclude_categories=["C", "Z"])
    return st.text(plain, min_size=1, max_size=MAX_NAME).filter(str.isprintable)


def entries() -> st.SearchStrategy[Entry]:
    leaves = (
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    )
    trees = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names(), inner, max_size=3),
        max_leaves=8,
    )
    return st.builds(
        Entry,
        kind=st.sampled_from(Kind),
        name=names(),
        url=st.sampled_from(["http://h:1/v1", "https://[::1]/", "http://10.0.0.7:8000/v1"]),
        instance=st.just("") | names(),
        max_concurrency=st.none() | st.integers(1, 1_000_000),
        weight=st.floats(0.001, 1000.0) | st.just(1.0),
        unary=st.sampled_from(["pass", "fold"]),
        continues=st.none() | st.sampled_from(Continues),
        migration_limit=st.none() | st.integers(0, 100),
        metadata=st.dictionaries(names(), trees, max_size=3),
    )


@given(entries(), st.sampled_from(["", "/r", "r/s/"]))
def test_what_was_encoded_decodes_to_an_equal_entry(entry: Entry, root: str) -> None:
    key, raw = encode(entry, root)
    assert key == key_of(entry, root)
    assert decode(key, raw, root) == entry


@given(entries(), entries())
def test_two_entries_share_a_key_only_if_they_are_the_same_instance(a: Entry, b: Entry) -> None:
    same = (a.kind, a.name, a.instance) == (b.kind, b.name, b.instance)
    assert (key_of(a) == key_of(b)) is same


@given(st.binary(max_size=300), st.binary(max_size=300))
@example(KEY, b"\xed\xa0\x80")
@example(KEY, value().replace(b"org/model", b"\\ud800"))
def test_no_bytes_ever_raise(tail: bytes, raw: bytes) -> None:
    for key in (tail, prefix_of("") + tail, prefix_of("") + b"chat/" + tail):
        result = decode(key, raw)
        assert isinstance(result, Entry) or result.reason


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    st.sampled_from(["name", "model_type", "endpoint", "instance", "weight", "unary", "metadata"]),
    JSON_VALUES,
)
def test_no_json_in_any_field_ever_raises(field: str, anything: Any) -> None:
    result = decode(KEY, value(**{field: anything}))
    assert isinstance(result, Entry) or result.reason


@given(JSON_VALUES)
def test_a_quarantine_reason_is_one_line_of_text(anything: Any) -> None:
    result = decode(KEY, value(endpoint={"url": "http://h"}, name=anything))
    if isinstance(result, Quarantined):
        assert "\n" not in result.reason
