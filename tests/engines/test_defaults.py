"""The fields of a request that lacks them are filled in, and nothing else of it changes."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from actors.engines import EngineRequest, Kind
from actors.engines.contract import with_defaults

NAMES = st.sampled_from(["temperature", "top_p", "seed", "max_tokens", "max_completion_tokens"])
FIELDS = st.dictionaries(NAMES, st.none() | st.integers(0, 9) | st.text(max_size=3))


@given(FIELDS, FIELDS, st.booleans(), st.sampled_from([b"", b" \n\t"]))
def test_what_the_client_sent_stays_byte_for_byte(
    sent: dict[str, Any], defaults: dict[str, Any], kept: bool, space: bytes
) -> None:
    body = {"model": "m{", **sent}
    raw = space + orjson.dumps(body)
    request = EngineRequest(Kind.CHAT, "m{", False, body if kept else None, raw)
    filled = with_defaults(request, defaults)
    for name, value in body.items():
        assert filled.body[name] == value
    assert filled.raw.endswith(orjson.dumps(body)[1:])
    assert orjson.loads(filled.raw) == filled.body
    assert (filled.parsed is None) is (not kept)
    added = filled.body.keys() - body.keys()
    limits = {"max_tokens", "max_completion_tokens"}
    assert added == {
        name
        for name in defaults.keys() - body.keys()
        if not (name in limits and limits & sent.keys())
    }
    if not added:
        assert filled is request
