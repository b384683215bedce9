"""Endpoints of sound and pictures: relayed, too, with a form in or anything out.

One row each. A form passes byte for byte, whatever files are in it; an answer that is not JSON
passes as it comes.
"""

from __future__ import annotations

from typing import Final

from actors.engines.contract import Kind
from http_service.api.context import EVENTS, TEXT
from http_service.api.endpoints.endpoint import ApiEndpoint
from http_service.api.endpoints.relayed import Document, RelayedRequest

__all__ = ["ENDPOINTS"]


def _row(
    kind: Kind,
    path: str,
    operation: str,
    summary: str,
    *media: str,
    form: bool = False,
    label: str = "",
) -> ApiEndpoint:
    return ApiEndpoint(
        kind=kind,
        label=label or str(kind),
        path=path,
        operation=operation,
        summary=summary,
        body=RelayedRequest,
        response=Document,
        form=form,
        media=media,
    )


_HEARD: Final = (TEXT, EVENTS)

ENDPOINTS: Final = (
    _row(Kind.SPEECH, "/v1/audio/speech", "createSpeech", "Say a text", "audio/*", EVENTS),
    _row(
        Kind.TRANSCRIPTIONS, "/v1/audio/transcriptions", "createTranscription",
        "Write down what is said", *_HEARD, form=True,
    ),
    _row(
        Kind.TRANSCRIPTIONS, "/v1/audio/translations", "createTranslation",
        "Write down in English what is said", *_HEARD, form=True, label="translations",
    ),
    _row(Kind.IMAGES, "/v1/images/generations", "createImage", "Make pictures of a text", EVENTS),
    _row(
        Kind.IMAGES, "/v1/images/edits", "createImageEdit", "Make pictures of pictures and a text",
        EVENTS, form=True, label="image_edits",
    ),
    _row(
        Kind.IMAGES, "/v1/images/variations", "createImageVariation",
        "Make pictures that are like one", EVENTS, form=True, label="image_variations",
    ),
)  # fmt: skip
