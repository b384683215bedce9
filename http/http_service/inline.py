"""Whether the code that runs now may block, and what to do where it would have to.

Our server answers requests on its event loop's own thread: every resource only looks things up and
hands work over. Where one would have to wait after all (the registry restarts just now), it raises
:class:`NeedsWorker`, and the server runs the request again, from its beginning, on a worker thread.
So nothing may have been counted or started before. Under any other WSGI server all may block.
"""

from __future__ import annotations

import threading
from typing import Final

__all__ = ["NeedsWorker", "may_block", "set_inline"]


class NeedsWorker(BaseException):
    """This request can't be answered without waiting. No ``Exception``: Falcon must not answer."""


class _Thread(threading.local):
    """What is known of the calling thread."""

    inline = False


_here: Final = _Thread()


def may_block() -> bool:
    """Whether the calling thread may wait for something."""
    return not _here.inline


def set_inline(inline: bool) -> None:  # noqa: FBT001  # a setter
    """Say whether the calling thread may not wait from now on."""
    _here.inline = inline
