"""The real openai client: speech, transcriptions, translations, images and decisions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from actors.engines.contract import Kind
from actors.engines.upstream import UpstreamEngine
from http_service import HttpService
from tests.engines.raw_server import RawServer
from tests.http_service.media_upstream import PICTURE, SOUND, MediaUpstream, fields_of
from tests.http_service.serving import Running

old_api = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
"""For what the client itself calls deprecated, and still offers."""

KINDS = (Kind.SPEECH, Kind.TRANSCRIPTIONS, Kind.IMAGES, Kind.DECISIONS)


@pytest.fixture
def worker() -> Iterator[RawServer]:
    with RawServer(MediaUpstream()) as server:
        yield server


@pytest.fixture
def sdk(worker: RawServer, service: HttpService, live: Running) -> Iterator[openai.OpenAI]:
    engine = UpstreamEngine(worker.url)
    for kind in KINDS:
        service.model_manager().add_model(kind, "up", engine)
    made = openai.OpenAI(base_url=f"{live.service.url}/v1", api_key="k", max_retries=0, timeout=10)
    with made:
        yield made
    engine.close()


def test_a_sound_is_written_down(sdk: openai.OpenAI, worker: RawServer) -> None:
    heard = sdk.audio.transcriptions.create(
        model="up", file=("a sound.wav", SOUND, "audio/wav"), language="en",
        timestamp_granularities=["word", "segment"],
    )  # fmt: skip

    assert heard.text == f"{len(SOUND)} bytes for up"
    fields = fields_of(worker.received[-1])
    assert (fields["file"], fields["language"]) == ([SOUND], [b"en"])
    assert fields["timestamp_granularities[]"] == [b"word", b"segment"]


def test_a_sound_is_written_down_as_text(sdk: openai.OpenAI) -> None:
    heard = sdk.audio.transcriptions.create(
        model="up", file=("a.wav", SOUND), response_format="srt"
    )
    assert heard == "1\n00:00 --> 00:01\nhello\n"


def test_a_sound_is_written_down_event_by_event(sdk: openai.OpenAI) -> None:
    events = [*sdk.audio.transcriptions.create(model="up", file=("a.wav", SOUND), stream=True)]
    assert [each.type for each in events] == ["transcript.text.delta", "transcript.text.done"]


@old_api
def test_a_sound_is_translated(sdk: openai.OpenAI, worker: RawServer) -> None:
    translations: Any = sdk.audio.translations  # deprecated there, and still offered
    heard = translations.create(model="up", file=("a.wav", SOUND))
    assert heard.text == f"{len(SOUND)} bytes for up"
    assert worker.received[-1].line.startswith("POST /v1/audio/translations ")


def test_a_raw_response_is_read_piece_by_piece(sdk: openai.OpenAI) -> None:
    with sdk.audio.transcriptions.with_streaming_response.create(
        model="up", file=("a.wav", SOUND), response_format="srt"
    ) as response:
        assert response.headers["content-type"] == "text/plain"
        assert b"".join(response.iter_bytes()) == b"1\n00:00 --> 00:01\nhello\n"


def test_a_text_is_said_byte_for_byte(sdk: openai.OpenAI, tmp_path: Path) -> None:
    with sdk.audio.speech.with_streaming_response.create(
        model="up", input="hello", voice="alloy"
    ) as response:
        assert response.headers["content-type"] == "audio/mpeg"
        response.stream_to_file(tmp_path / "a.mp3")
    assert (tmp_path / "a.mp3").read_bytes() == SOUND
    assert sdk.audio.speech.create(model="up", input="hello", voice="alloy").content == SOUND


def test_a_text_is_said_event_by_event(sdk: openai.OpenAI) -> None:
    with sdk.audio.speech.with_streaming_response.create(
        model="up", input="hello", voice="alloy", stream_format="sse"
    ) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        lines = [line for line in response.iter_lines() if line]
    assert ["delta" in lines[0], "done" in lines[1], len(lines)] == [True, True, 2]


@old_api
def test_pictures_are_made_edited_and_varied(sdk: openai.OpenAI, worker: RawServer) -> None:
    picture = ("a.png", SOUND, "image/png")
    images: Any = sdk.images  # a method of it is deprecated there, and still offered
    for made in (
        images.generate(model="up", prompt="a cat"),
        images.edit(model="up", image=[picture, picture], prompt="a hat", mask=picture),
        images.create_variation(model="up", image=picture),
    ):
        assert made.data[0].b64_json == PICTURE
    assert fields_of(worker.received[-2])["image[]"] == [SOUND, SOUND]


def test_pictures_are_shown_while_they_are_made(sdk: openai.OpenAI) -> None:
    made = [*sdk.images.generate(model="up", prompt="a cat", stream=True, partial_images=1)]
    picture = ("a.png", SOUND, "image/png")
    edited = [*sdk.images.edit(model="up", image=picture, prompt="a hat", stream=True)]

    assert [each.type for each in made] == [
        "image_generation.partial_image", "image_generation.completed",
    ]  # fmt: skip
    assert [each.type for each in edited] == ["image_edit.partial_image", "image_edit.completed"]


def test_questions_are_decided(sdk: openai.OpenAI, worker: RawServer) -> None:
    sdk.decisions.create(model="up", input="It rains.", questions=[])
    assert worker.received[-1].line.startswith("POST /v1/decisions ")


def test_an_unknown_model_is_not_found(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.audio.transcriptions.create(model="ghost", file=("a.wav", SOUND))
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
