"""How a resource hears that its client has left, where the server can tell.

A WSGI server knows no such thing. Ours puts a function under :data:`KEY` into the request's
environment; under any other server a client's leaving is noticed at the next write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

__all__ = ["KEY", "OnDisconnect", "when_client_leaves"]

KEY: Final = "http_service.on_disconnect"

OnDisconnect: TypeAlias = Callable[[Callable[[], None]], None]
"""Keeps one callback per request, to be called at most once, from the server's I/O thread."""


def when_client_leaves(environ: Mapping[str, Any], callback: Callable[[], None]) -> None:
    """Have ``callback``, which must be quick, called when the client leaves before its answer.

    At once if it has left already; never, where the server can't tell.
    """
    register: OnDisconnect | None = environ.get(KEY)
    if register is not None:
        register(callback)
