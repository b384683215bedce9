"""Whether the code that runs now may wait, and what to do where it would have to.

Our server answers requests on its event loop's own thread: every resource only looks things up and
hands work over. Where one would have to wait after all, it raises :class:`WouldBlock`, and the
request runs again, from its beginning: on a worker thread or, where it is :class:`Later`, on the
loop in a moment (``Connection.park``). So nothing may have been counted or started before.
Under any other WSGI server all may wait.
"""

from __future__ import annotations

import threading
from typing import Final

__all__ = ["HERE", "Later", "WouldBlock", "may_block"]


class WouldBlock(Exception):
    """This request can't be answered without waiting."""


class Later(WouldBlock):
    """It can be answered in a moment, by running it again on the loop.

    ``patience`` is how many seconds that may take; ``cause`` is what a client is told then.
    """

    def __init__(self, patience: float, cause: Exception) -> None:
        super().__init__(str(cause))
        self.patience: Final = patience
        self.cause: Final = cause


class _Thread(threading.local):
    """What is known of the calling thread."""

    inline = False


HERE: Final = _Thread()
"""``HERE.inline`` says that the calling thread may not wait. PERF: set twice a request by two
stores, and no call."""


def may_block() -> bool:
    """Whether the calling thread may wait for something."""
    return not HERE.inline
