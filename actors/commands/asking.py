"""Asks a model server one short question over HTTP, with the standard library alone.

Directly, whatever proxies the environment names: the server is ours, or our neighbour.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from typing import Final
from urllib.parse import urlsplit

__all__ = ["Unanswered", "ask_server"]

LONGEST: Final = 1_048_576
"""Bytes of an answer that are read: lists of slots and models have a few hundred."""


class Unanswered(Exception):
    """The server gave no HTTP answer; the text says why in a few words."""


def ask_server(url: str, timeout: float) -> tuple[int, bytes]:
    """Status and body of ``GET url``; blocks for twice ``timeout`` seconds at most.

    Once to connect and once to answer; looking the name up takes what the system's resolver takes.
    A certificate is not verified: nothing secret is sent, and nothing of the answer is believed.
    Raises :class:`Unanswered`.
    """
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=timeout, context=trusting
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
        connection.request("GET", parts.path or "/")
        answer = connection.getresponse()
        body = answer.read(LONGEST)
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unanswered(why) from error
    finally:
        alarm.cancel()
        connection.close()
    if late.is_set():  # what was read until then looks like the end of the answer
        raise Unanswered("no whole answer in time")
    return answer.status, body


def _hang_up(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError, AttributeError):  # it was closed meanwhile
        connection.sock.shutdown(socket.SHUT_RDWR)
