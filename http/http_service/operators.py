"""Who is an operator: may see where things run, and not only how they are."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final

from http_service.api_keys import ApiKeys

__all__ = ["RELAYED", "Operators"]

RELAYED: Final = "callboard.relayed"
"""Set in WSGI's environment by our server where a proxy says that it speaks for somebody else."""

_PROXY_HEADERS: Final = (
    RELAYED,
    "HTTP_FORWARDED",
    "HTTP_VIA",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_REAL_IP",
)


class Operators:
    """Tells operators from clients: by the keys of ``operators``, if there are any keys at all.

    A service without keys can't tell who asks: there, an operator is who asks from the machine
    itself, and through no proxy. Thread-safe.
    """

    def __init__(self, clients: ApiKeys | None = None, operators: ApiKeys | None = None) -> None:
        self._keys = operators
        self._locked = clients is not None or operators is not None

    def include(self, environ: Mapping[str, Any]) -> bool:
        """Whether the request of this WSGI environment is an operator's."""
        if self._locked:
            return self.bear_key(environ.get("HTTP_AUTHORIZATION"))
        if any(name in environ for name in _PROXY_HEADERS):
            return False
        try:
            # Without any address nobody asks by network: another part of this process does.
            address = ip_address(str(environ.get("REMOTE_ADDR", "::1")).partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return bool((mapped or address).is_loopback)

    def bear_key(self, authorization: str | None) -> bool:
        """Whether the value of an ``Authorization`` header bears an operator's key."""
        return self._keys is not None and self._keys.allow(authorization)
