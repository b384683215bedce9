"""What is not JSON: forms with files in them, and answers that are sound, pictures or plain text.

Both pass as they came. Of a form is known where the model's name stands, of an answer its type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import orjson

__all__ = ["OCTETS", "Form", "Media"]

OCTETS: Final = "application/octet-stream"


class Media(bytes):
    """A piece of an answer of the type ``content_type``, which the answer's first piece decides.

    It reaches the client as it is. Pieces of ``text/event-stream`` are whole events.
    """

    content_type: str

    def __new__(cls, data: bytes, content_type: str = OCTETS) -> Self:
        made = super().__new__(cls, data)
        made.content_type = content_type
        return made


@dataclass(frozen=True, slots=True)
class Form:
    """How a body is written that is ``multipart/form-data`` (RFC 7578).

    ``content_type`` is the header as it came, ``boundary`` the one in it; ``names`` are those of
    its fields; the value of its one field ``model`` is ``raw[start:end]``.
    """

    content_type: str
    boundary: bytes
    names: frozenset[str]
    start: int
    end: int

    def renamed(self, raw: bytes, model: str) -> tuple[bytes, Form]:
        """``raw`` for ``model``, no other byte changed; and the form that it then is."""
        name = model.encode()
        body = raw[: self.start] + name + raw[self.end :]
        return body, replace(self, end=self.start + len(name))

    def completed(self, raw: bytes, fields: Mapping[str, Any]) -> tuple[bytes, Form]:
        """``raw`` with those of ``fields`` that it lacks before its own; and the form it then is.

        A value that is not a text is written as JSON.
        """
        missing = {name: value for name, value in fields.items() if name not in self.names}
        parts = b"".join(
            b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
            % (
                self.boundary,
                _quoted(name),
                value.encode() if isinstance(value, str) else orjson.dumps(value),
            )
            for name, value in missing.items()
        )
        begin = len(raw) - len(raw.lstrip(b"\r\n"))
        form = replace(
            self,
            names=self.names | missing.keys(),
            start=self.start + len(parts),
            end=self.end + len(parts),
        )
        return raw[:begin] + parts + raw[begin:], form


def _quoted(name: str) -> bytes:
    """``name`` as a form writes it (WHATWG HTML, 4.10.21.8)."""
    for text, escape in (('"', "%22"), ("\r", "%0D"), ("\n", "%0A")):
        name = name.replace(text, escape)
    return name.encode()
