"""What a worker asks of its model server: does it answer yet, and what is still in flight?

Over HTTP with the standard library alone, and directly, whatever proxies the environment names: the
server is our own or a neighbour.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import msgspec

from actors.supervision import CancellationToken

__all__ = [
    "START_ASK_TIMEOUT",
    "Unanswered",
    "api_url",
    "ask_server",
    "busy_slots",
    "is_serving",
    "wait_until_idle",
    "wait_until_serving",
]

_log = logging.getLogger("actors.worker")

MAX_RESPONSE_BYTES: Final = 1_048_576
"""How much of a response is read: lists of slots and models have a few hundred bytes."""

START_ASK_TIMEOUT: Final = 5.0
"""Seconds for one response: slow from a server that loads a model, not from one that has."""
START_POLL_SECONDS: Final = 0.5
"""Seconds between two requests while the server starts."""
START_LOG_SECONDS: Final = 30.0
"""Seconds between two log lines that say what is waited for."""

_JSON: Final = {"content-type": "application/json"}

IDLE_ASK_TIMEOUT: Final = 2.0
"""Seconds for the listener to say what is in flight."""
IDLE_POLL_SECONDS: Final = 0.1
"""Seconds between two such requests."""
IDLE_POLLS: Final = 2
"""Polls in a row that must find nothing: between a queued request and its slot lies a moment."""


class Unanswered(Exception):
    """The server gave no HTTP response; the text says why in a few words."""


class _Slot(msgspec.Struct):
    is_processing: bool


_SLOTS: Final = msgspec.json.Decoder(list[_Slot])


def wait_until_serving(
    url: str, token: CancellationToken, ask: Callable[[str, float], tuple[int, bytes]] | None = None
) -> None:
    """Block until the server of the base URL ``url`` answers, or ``token`` is cancelled.

    Without a deadline: some models take an hour to load. The log says every half minute what is
    waited for, and when the wait is over.
    """
    over = threading.Event()
    # A thread of its own: no name server and no silent server may delay the end of the process.
    threading.Thread(
        target=_poll,
        args=(url, token, ask or ask_server, over.set),
        name="server-start",
        daemon=True,
    ).start()
    with token.on_cancel(over.set):
        over.wait()


def _poll(
    url: str,
    token: CancellationToken,
    ask: Callable[[str, float], tuple[int, bytes]],
    done: Callable[[], object],
) -> None:
    models = f"{api_url(url)}/models"
    last_log: float | None = None
    while not token.cancelled:
        try:
            status, _ = ask(models, START_ASK_TIMEOUT)
        except Unanswered as error:
            why = str(error)
        else:
            if is_serving(status):
                break
            why = f"it answers with status {status}"
        now = time.monotonic()
        if last_log is None or now - last_log >= START_LOG_SECONDS:
            last_log = now
            _log.info("waiting until the server answers", extra={"url": url, "now": why})
        token.wait(START_POLL_SECONDS)
    if last_log is not None and not token.cancelled:
        _log.info("the server answers", extra={"url": url})
    done()


def is_serving(status: int) -> bool:
    """Whether this status comes from a server that is up.

    One that wants a key or has no such path is up; 503 says that a model loads, and 500, 502 and
    504 come from a proxy whose server is not up.
    """
    return status < HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.NOT_IMPLEMENTED


def api_url(url: str) -> str:
    """Where the paths of the API begin: at ``url``, or below its ``/v1`` if it has no path."""
    return url.rstrip("/") if urlsplit(url).path.strip("/") else f"{url.rstrip('/')}/v1"


def wait_until_idle(busy: Callable[[], int | None], timeout: float) -> bool:
    """Block until ``busy()`` returned 0 twice in a row; ``False`` after ``timeout`` seconds.

    ``None``, from a server that does not say, ends the wait too: nothing is known.
    """
    deadline = time.monotonic() + timeout
    quiet = 0
    while quiet < IDLE_POLLS:
        running = busy()
        if running is None:
            return False
        quiet = 0 if running else quiet + 1
        if quiet < IDLE_POLLS:
            if time.monotonic() + IDLE_POLL_SECONDS > deadline:
                return False
            time.sleep(IDLE_POLL_SECONDS)
    return True


def busy_slots(url: str) -> int | None:
    """How many requests llama.cpp behind the base URL ``url`` computes; ``None`` if unknown."""
    try:
        status, body = ask_server(url.removesuffix("/v1") + "/slots", IDLE_ASK_TIMEOUT)
        if status == HTTPStatus.OK:
            return sum(slot.is_processing for slot in _SLOTS.decode(body))
    except (Unanswered, msgspec.DecodeError) as error:
        _log.warning("the model server does not say what is in flight: %s", type(error).__name__)
    return None


def ask_server(url: str, timeout: float, posted: bytes | None = None) -> tuple[int, bytes]:
    """Status and body of ``GET url``, or with ``posted``, a JSON text, of ``POST url``.

    Blocks for twice ``timeout`` seconds at most.

    Once to connect and once for the response; looking the name up takes what the system's resolver
    takes. A certificate is not verified: nothing secret is sent, and nothing in the response is
    trusted. Raises :class:`Unanswered`.
    """
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=timeout, context=unverified
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    # The connection's own timeout is for each read: a server may trickle for as long as it likes.
    late = threading.Event()
    alarm = threading.Timer(timeout, _hang_up, (connection, late))
    alarm.daemon = True
    try:
        connection.connect()
        alarm.start()
        method, headers = ("GET", {}) if posted is None else ("POST", _JSON)
        connection.request(method, parts.path or "/", posted, headers)
        response = connection.getresponse()
        body = response.read(MAX_RESPONSE_BYTES)
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unanswered(why) from error
    finally:
        alarm.cancel()
        connection.close()
    if late.is_set():  # what was read until then looks like the end of the response
        raise Unanswered("no whole answer in time")
    return response.status, body


def _hang_up(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError, AttributeError):  # it was closed meanwhile
        connection.sock.shutdown(socket.SHUT_RDWR)
