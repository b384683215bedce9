"""What is asked of an upstream: where its URL points, the request's head, the request's body.

Pure. The head is built once for each upstream; a request adds its id and its length (``engine``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

import orjson

from actors.engines.contract import EngineRequest, with_model
from actors.engines.dialect import KeyHeader
from actors.engines.llama_dialect import missing_defaults
from actors.engines.upstream.reach import check_path
from actors.engines.via import PSEUDONYM

__all__ = [
    "ANYTHING",
    "LENGTH",
    "VIA",
    "Target",
    "body_of",
    "key_line",
    "parse_url",
    "probe_request",
    "renamed",
    "request_head",
]

ANYTHING: Final = "*/*"
"""Accept any type."""

LENGTH: Final = b"content-length: "
"""How a head ends that :func:`request_head` makes."""
_V1: Final = "/v1/"
VIA: Final = f"via: 1.1 {PSEUDONYM}".encode()

_KEY_PREFIXES: Final[Mapping[KeyHeader, str]] = {"authorization": "Bearer ", "x-api-key": ""}

_PORTS: Final = {"http": 80, "https": 443}
_ACCEPTS: Final = {False: "application/json", True: "text/event-stream"}

# What a URL may hold besides letters and digits; quoted already or not, it stays as it is.
_URL_SAFE: Final = "%/:=&?~+!$,;'@()*[]-._"
# What no host holds (RFC 3986, 3.2.2). Names that can't exist are found out by looking them up.
_NO_HOST: Final = re.compile(r"""[\s"'<>\\^`{|}()*,;&$!+=]""")


@dataclass(frozen=True, slots=True)
class Target:
    """An upstream's URL, taken apart."""

    host: str
    port: int
    tls: bool
    base_path: str
    query: str
    """Empty, or with its ``?``."""

    @property
    def authority(self) -> str:
        """The value of ``Host``."""
        host = self.host if self.host.isascii() else self.host.encode("idna").decode()
        host = f"[{host}]" if ":" in host else host
        return (
            host if self.port == _PORTS["https" if self.tls else "http"] else f"{host}:{self.port}"
        )


def parse_url(url: str) -> Target:
    """The parts of an upstream's URL. Raises ``ValueError`` that says what to give instead."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{url!r} is no upstream's URL: give it as http://host:port/v1")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an upstream's URL must hold no credentials: give them as its api_key")
    if _NO_HOST.search(parts.hostname):
        raise ValueError("an upstream's host must be a name or an address")
    check_path(parts.path)
    return Target(
        host=parts.hostname,
        port=parts.port or _PORTS[parts.scheme],  # ValueError if it is no number up to 65535
        tls=parts.scheme == "https",
        base_path=parts.path.rstrip("/") or "/v1",
        query=f"?{parts.query}" if parts.query else "",
    )


def _below(target: Target, path: str) -> str:
    """Where ``target`` has the endpoint ``path``: below its base, or beside it (``/rerank``)."""
    if path.startswith(_V1):
        return f"{target.base_path}/{path[len(_V1) :]}"
    return target.base_path.removesuffix(_V1[:-1]) + path


def key_line(api_key: str | None, header: KeyHeader) -> str | None:
    """The header with the key of an upstream; ``None`` without a key.

    Raises ``ValueError`` for a key that can't be one: it is not repeated.
    """
    if api_key is None:
        return None
    if not (api_key.isascii() and api_key.isprintable() and api_key):
        raise ValueError("an api_key must be one line of printable ASCII")
    return f"{header}: {_KEY_PREFIXES[header]}{api_key}"


def request_head(
    target: Target,
    path: str,
    key: str | None,
    *,
    stream: bool,
    accept: str = "",
    content_type: str = "application/json",
) -> bytes:
    """The head of a request on the endpoint ``path``, up to the value of ``content-length``.

    ``key`` is the whole header with the upstream's key: see :func:`key_line`; ``accept`` is what
    follows from ``stream``, unless it is given.
    """
    place = quote(f"{_below(target, path)}{target.query}", safe=_URL_SAFE)
    lines = [
        f"POST {place} HTTP/1.1",
        f"host: {target.authority}",
        f"accept: {accept or _ACCEPTS[stream]}",
        "accept-encoding: identity",
        f"content-type: {content_type}",
        "user-agent: callboard",
        VIA.decode(),
        *([] if key is None else [key]),
        LENGTH.decode(),
    ]
    return "\r\n".join(lines).encode()


def probe_request(target: Target, key: str | None) -> bytes:
    """A whole ``GET …/models``; ``key`` as in :func:`request_head`."""
    place = quote(f"{target.base_path}/models{target.query}", safe=_URL_SAFE)
    lines = [
        f"GET {place} HTTP/1.1",
        f"host: {target.authority}",
        "accept: application/json",
        "accept-encoding: identity",
        "user-agent: callboard",
        *([] if key is None else [key]),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def body_of(request: EngineRequest, *, model: str | None, fold: bool) -> bytes:
    """The client's own bytes, unless the upstream needs another model name or a stream.

    ``model`` is the upstream's name, ``None`` for the client's. ``fold`` is for servers like
    llama.cpp: a stream is asked for where the client did not, and a completion without a prompt
    gets OpenAI's default, an empty one.
    """
    other = model if model != request.model else None
    changes: dict[str, Any] = {}
    if fold:
        changes = missing_defaults(request)
        if not request.stream:
            changes |= {"stream": True, "stream_options": {"include_usage": True}}
    if changes:
        return orjson.dumps({**request.body, **changes, "model": other or request.model})
    if other is None:
        return request.raw
    if request.form is not None:
        return request.form.renamed(request.raw, other)[0]
    return renamed(request.raw, other)


def renamed(raw: bytes, model: str) -> bytes:
    """``raw``, a JSON object, for ``model``; where that can be, no other byte changes."""
    return with_model(raw, model) or orjson.dumps({**orjson.loads(raw), "model": model})
