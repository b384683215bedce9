"""Waits until a hosted model has nothing in flight: llama.cpp's own listener says, ``/slots``."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

import msgspec

from actors.commands.asking import Unanswered, ask_server

__all__ = ["busy_slots", "wait_until_idle"]

_log = logging.getLogger("actors.worker")

LOOK_AGAIN: Final = 0.1
"""Seconds between two looks."""
QUIET_LOOKS: Final = 2
"""Looks in a row that must find nothing: between a queued request and its slot lies a moment."""
ASK: Final = 2.0
"""Seconds for the listener to answer one look."""
OK: Final = 200


class _Slot(msgspec.Struct):
    is_processing: bool


_SLOTS: Final = msgspec.json.Decoder(list[_Slot])


def wait_until_idle(busy: Callable[[], int | None], timeout: float) -> bool:
    """Block until ``busy()`` said 0 twice in a row, or ``timeout`` seconds passed; tells which.

    ``None``, the answer of a server that does not say, ends the waiting too: nothing is known.
    """
    deadline = time.monotonic() + timeout
    quiet = 0
    while quiet < QUIET_LOOKS:
        running = busy()
        if running is None:
            return False
        quiet = 0 if running else quiet + 1
        if quiet < QUIET_LOOKS:
            if time.monotonic() + LOOK_AGAIN > deadline:
                return False
            time.sleep(LOOK_AGAIN)
    return True


def busy_slots(url: str) -> int | None:
    """How many requests the server behind the base URL ``url`` computes; ``None`` if unknown."""
    try:
        status, body = ask_server(url.removesuffix("/v1") + "/slots", ASK)
        if status == OK:
            return sum(slot.is_processing for slot in _SLOTS.decode(body))
    except (Unanswered, msgspec.DecodeError) as error:
        _log.warning("the model server does not say what is in flight: %s", type(error).__name__)
    return None
