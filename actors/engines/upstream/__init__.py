"""The relay to OpenAI-compatible servers: bytes in, bytes out, failures told in our own words.

From the outside in: :mod:`~actors.engines.upstream.engine` is the engine that the registry holds;
``exchange`` is one request and its answer; ``links`` are the connections, kept and new; ``names``,
``dial`` and ``tls`` make one, and ``wire`` moves its bytes; ``request`` writes what is asked;
``answer`` reads HTTP, ``body`` and ``stream`` what is in it; ``errors`` puts failures in our own
words; and ``probe`` asks whether the upstream is there.
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
