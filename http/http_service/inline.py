"""Whether the code that runs now may wait, and what to do where it would have to.

Our server handles requests on its event loop's own thread: every resource only looks things up and
hands work over. Where one would have to wait after all, it raises :class:`WouldBlock`, and the
request runs again, from its beginning: on a worker thread or, for :class:`RetrySoon`, on the loop
in a moment (``Connection.park``). So nothing may have been counted or started before.
Under any other WSGI server all may wait.
"""

from __future__ import annotations

import threading
from typing import Final

__all__ = ["CURRENT_THREAD", "RetrySoon", "WouldBlock", "may_block"]


class WouldBlock(Exception):
    """This request can't be handled without waiting."""


class RetrySoon(WouldBlock):
    """It can be handled in a moment, by running it again on the loop.

    ``timeout`` is how many seconds that may take; ``cause`` becomes the response then.
    """

    def __init__(self, timeout: float, cause: Exception) -> None:
        super().__init__(str(cause))
        self.timeout: Final = timeout
        self.cause: Final = cause


class _Thread(threading.local):
    """What is known of the calling thread."""

    inline = False


CURRENT_THREAD: Final = _Thread()
"""``CURRENT_THREAD.inline``: the calling thread may not wait. PERF: set by two stores a request, no
call."""


def may_block() -> bool:
    """Whether the calling thread may wait for something."""
    return not CURRENT_THREAD.inline
