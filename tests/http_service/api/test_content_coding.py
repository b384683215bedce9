"""Compressed request bodies: undone within the body's limit, or refused by name."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_service.api.content_coding import MAX_MEMBERS, codings_of, decoded
from http_service.errors import BodyTooLarge, MalformedRequest, UnsupportedContentCoding, reply_for

LIMIT = 100_000


def raw_deflate(data: bytes) -> bytes:
    maker = zlib.compressobj(wbits=-15)
    return maker.compress(data) + maker.flush()


MAKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-Gzip", gzip.compress),
    "gzip stored": ("gzip", lambda data: gzip.compress(data, compresslevel=0)),
    "gzip in two members": (
        "gzip",
        lambda data: gzip.compress(data[:7]) + gzip.compress(data[7:]),
    ),
    "deflate": ("deflate", zlib.compress),
    "deflate without zlib's head": ("deflate", raw_deflate),
    "deflate stored": ("deflate", lambda data: zlib.compress(data, 0)),
    "deflate, then gzip": ("deflate, gzip", lambda data: gzip.compress(zlib.compress(data))),
    "gzip twice": ("gzip,gzip", lambda data: gzip.compress(gzip.compress(data))),
    "identity beside gzip": ("identity , gzip,", gzip.compress),
    "identity": ("identity", bytes),
    "empty": ("", bytes),
}


@pytest.mark.parametrize(("header", "make"), MAKERS.values(), ids=MAKERS)
@given(data=st.binary(max_size=2_000))
def test_what_a_coding_made_is_undone(
    header: str, make: Callable[[bytes], bytes], data: bytes
) -> None:
    assert decoded(make(data), codings_of(header), LIMIT) == data


@pytest.mark.parametrize(
    "coding", ["zstd", "br", "compress", "gzip, br", "aws-chunked", "*", "gz;q=1"]
)
def test_another_coding_is_refused_by_name_and_says_what_is_accepted(coding: str) -> None:
    with pytest.raises(UnsupportedContentCoding) as caught:
        codings_of(coding)

    assert coding.rpartition(", ")[2] in caught.value.message
    reply = reply_for(caught.value)
    assert reply.status == 415
    assert dict(reply.headers)["Accept-Encoding"] == "gzip, deflate"


def test_codings_upon_codings_are_refused() -> None:
    with pytest.raises(UnsupportedContentCoding, match="more than 4"):
        codings_of("gzip, " * 5)


BOMBS: dict[str, tuple[str, bytes]] = {
    "gzip": ("gzip", gzip.compress(bytes(LIMIT + 1))),
    "a gigabyte of zeros": ("gzip", gzip.compress(bytes(1 << 30), 1)),
    "deflate": ("deflate", zlib.compress(bytes(LIMIT + 1))),
    "raw deflate": ("deflate", raw_deflate(bytes(LIMIT + 1))),
    "members": ("gzip", gzip.compress(bytes(LIMIT // 2 + 1)) * 2),
    "inner": ("gzip, gzip", gzip.compress(gzip.compress(bytes(1 << 26)))),
}


@pytest.mark.parametrize(("header", "raw"), BOMBS.values(), ids=BOMBS)
def test_no_more_is_inflated_than_a_body_may_have(header: str, raw: bytes) -> None:
    with pytest.raises(BodyTooLarge):
        decoded(raw, codings_of(header), LIMIT)


@pytest.mark.parametrize("header", ["gzip", "deflate"])
def test_a_body_of_exactly_the_limit_passes(header: str) -> None:
    make = gzip.compress if header == "gzip" else zlib.compress

    assert len(decoded(make(bytes(LIMIT)), (header,), LIMIT)) == LIMIT


BROKEN: dict[str, tuple[str, bytes]] = {
    "plain JSON": ("gzip", b'{"model": "m"}'),
    "plain JSON as deflate": ("deflate", b'{"model": "m"}'),
    "nothing": ("gzip", b""),
    "cut": ("gzip", gzip.compress(b"x" * 1000)[:-1]),
    "deflate cut": ("deflate", zlib.compress(b"x" * 1000)[:-1]),
    "a wrong checksum": ("gzip", gzip.compress(b"x")[:-8] + bytes(8)),
    "bytes behind it": ("gzip", gzip.compress(b"x") + b"y"),
    "bytes behind deflate": ("deflate", zlib.compress(b"x") + b"y"),
    "members without end": ("gzip", gzip.compress(b"") * (MAX_MEMBERS + 1)),
    "a preset dictionary": ("deflate", b"\x78\xbb\x00\x00\x00\x00"),
}


@pytest.mark.parametrize(("header", "raw"), BROKEN.values(), ids=BROKEN)
def test_what_the_coding_did_not_make_is_malformed(header: str, raw: bytes) -> None:
    with pytest.raises(MalformedRequest, match=f"not valid {header}"):
        decoded(raw, codings_of(header), LIMIT)


@given(st.sampled_from(["gzip", "deflate"]), st.binary(max_size=200))
def test_arbitrary_bytes_are_undone_or_malformed(coding: str, raw: bytes) -> None:
    try:
        assert isinstance(decoded(raw, (coding,), LIMIT), bytes)
    except MalformedRequest as error:
        assert json.dumps(error.message)  # noqa: PT017  # the other branch is fine, too
