"""The upstream's script: the client's message tells the mock upstream what to do.

A gateway may drop unknown headers and fields, or rename known ones; it must pass on what the user
said. So the user says ``tokens=64 pace=10 tag=7``, and the mock looks for that in the raw body.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, Self

__all__ = ["Script", "post"]

_FIELD: Final = re.compile(rb"(tokens|pace|tag|silent|size)=(\d+)")


@dataclass(frozen=True, slots=True)
class Script:
    """What one answer shall be.

    ``pace``: milliseconds between two tokens, 0 for all at once; ``silent``: say nothing until the
    other side leaves; ``tag``: the name under which its end is remembered, 0 for not at all;
    ``size``: bytes by which a paced token is longer, as only the engine in the process has them.
    """

    tokens: int
    pace: int = 0
    silent: bool = False
    tag: int = 0
    size: int = 0

    @property
    def text(self) -> str:
        """What the user says."""
        return (
            f"tokens={self.tokens} pace={self.pace} silent={int(self.silent)} tag={self.tag} "
            f"size={self.size} please, and take your time"
        )

    @classmethod
    def find(cls, body: bytes) -> Self:
        """The script in a request's raw body; one token where there is none."""
        found = {name: int(value) for name, value in _FIELD.findall(body)}
        return cls(
            found.get(b"tokens", 1),
            found.get(b"pace", 0),
            bool(found.get(b"silent", 0)),
            found.get(b"tag", 0),
            found.get(b"size", 0),
        )


def post(
    script: Script, *, model: str = "mock", stream: bool = False, text: str | None = None
) -> bytes:
    """The bytes of a chat request, head and body; ``text`` instead of the script's."""
    body: dict[str, object] = {
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": script.text if text is None else text},
        ],
        "max_tokens": script.tokens,
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    content = json.dumps(body).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: application/json\r\nAccept: */*\r\nContent-Length: %d\r\n\r\n%s"
        % (len(content), content)
    )
