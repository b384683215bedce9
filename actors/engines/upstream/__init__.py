"""The relay to OpenAI-compatible servers: bytes in, bytes out, failures told in our own words.

In the order of a request: :mod:`~actors.engines.upstream.engine` is what the registry holds;
``request`` writes what is asked; ``call`` is one request and its response; ``connection_pool`` has
the connections, kept and new, ``connection`` is one of them and reads HTTP; ``response`` is what
becomes of the bytes, ``stream_relay`` of a stream's. ``names``, ``dial``, ``reach`` and ``tls``
open a connection, and ``probe`` asks whether the upstream is there.
"""

from actors.engines.upstream.engine import (
    CONNECT_TIMEOUT,
    ENGINE_TIMEOUT,
    Timeouts,
    Tls,
    UpstreamEngine,
)

__all__ = [
    "CONNECT_TIMEOUT",
    "ENGINE_TIMEOUT",
    "Timeouts",
    "Tls",
    "UpstreamEngine",
]
