"""Media keep their type; forms are rewritten where their model is called otherwise."""

from __future__ import annotations

from actors.engines.contract import MEDIA, EngineRequest, Kind, generates, with_defaults
from actors.engines.media import OCTETS, Form, Media
from actors.engines.tokens import tokens_in

RAW = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nup\r\n--x--\r\n'
AT = RAW.index(b"up")
FORM = Form("multipart/form-data; boundary=x", b"x", frozenset(("model",)), AT, AT + 2)


def request() -> EngineRequest:
    return EngineRequest(Kind.TRANSCRIPTIONS, "up", stream=False, parsed={}, raw=RAW, form=FORM)


def test_a_piece_is_its_bytes_and_says_its_type() -> None:
    piece = Media(b"abc", "audio/wav")
    assert (piece, piece.content_type, Media(b"").content_type) == (b"abc", "audio/wav", OCTETS)


def test_a_piece_counts_as_output_whatever_it_says() -> None:
    assert tokens_in(Media(b": ping\n\n")) == 1


def test_what_is_answered_with_media_does_not_generate() -> None:
    assert not any(map(generates, MEDIA))


def test_a_form_is_renamed_in_one_place() -> None:
    body, form = FORM.renamed(RAW, "möbel")
    assert body == RAW.replace(b"up", "möbel".encode())
    assert form.renamed(body, "up") == (RAW, FORM)


def test_defaults_of_a_form_are_texts_or_json_and_no_name_breaks_out() -> None:
    asked = with_defaults(request(), {"a": "x y", "b": True, "c": [1], 'd"\r\n': "e"})
    head = b"--x\r\nContent-Disposition: form-data; name="
    parts = [b'"a"\r\n\r\nx y', b'"b"\r\n\r\ntrue', b'"c"\r\n\r\n[1]', b'"d%22%0D%0A"\r\n\r\ne']
    assert asked.raw == b"".join(head + part + b"\r\n" for part in parts) + RAW
    assert asked.form is not None
    assert asked.raw[asked.form.start : asked.form.end] == b"up"


def test_a_form_that_lacks_no_default_is_the_same_request() -> None:
    asked = request()
    assert with_defaults(asked, {"model": "never"}) is asked
