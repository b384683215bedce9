"""The id under which a request is known to the client, the engine and the log."""

from __future__ import annotations

import random
import re
from typing import Final

__all__ = ["HEADER", "request_id_from"]

HEADER: Final = "x-request-id"

# Visible ASCII only, and short: the id is written into headers and log lines.
_ACCEPTABLE: Final = re.compile(r"[\x21-\x7e]{1,128}")


def request_id_from(given: str | None) -> str:
    """The client's own id if it is printable and at most 128 characters long, else a new one."""
    if given is not None and _ACCEPTABLE.fullmatch(given):
        return given
    # PERF: no secret, only unlikely to come twice: the system's entropy costs ten times as much.
    return f"{random.getrandbits(128):032x}"
