"""What the service has to know of a response that an engine wrote in the client's own API. Pure.

Nothing is decoded: in JSON the quotes of these names would be escaped within a text, so what is
found is a member. Where a name stands several times the last one counts.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["NativeEvents"]

_OUTPUT_TOKENS: Final = re.compile(rb'"output_tokens"\s*:\s*([0-9]{1,15})\s*[,}]')
_NUMBER: Final = re.compile(rb'"sequence_number"\s*:\s*([0-9]{1,15})\s*[,}]')
_RESPONSE_ID: Final = re.compile(rb'"id"\s*:\s*"(resp[-_][\x21\x23-\x5b\x5d-\x7e]{1,200})"')


class NativeEvents:
    """The events of one response as they passed: what is needed to count it, and to end it."""

    __slots__ = ("_last", "output_tokens", "response_id")

    def __init__(self) -> None:
        self._last = b""
        self.output_tokens: int | None = None
        """The engine's own count, if an event carried one."""
        self.response_id: str | None = None
        """What the first event calls the response, in OpenAI's Responses API."""

    def passed(self, events: bytes) -> None:
        """These went to the client."""
        if not self._last and (found := _RESPONSE_ID.search(events)) is not None:
            self.response_id = found[1].decode("ascii")
        self._last = events
        if b'"output_tokens"' in events:
            counts = _OUTPUT_TOKENS.findall(events)
            self.output_tokens = int(counts[-1]) if counts else self.output_tokens

    @property
    def next_number(self) -> int:
        """The sequence number of the next event."""
        numbers = _NUMBER.findall(self._last)
        return int(numbers[-1]) + 1 if numbers else 0
