"""How an upstream is spoken to over TLS: whom we trust, and who we are."""

from __future__ import annotations

import logging
import os
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from actors.engines.upstream.dial import Wrapper

__all__ = ["RenewedContext", "Tls"]

_log: Final = logging.getLogger("actors.engines.upstream")

# Seconds between two looks at the files: new connections are rare, and so are new files.
_LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Tls:
    """Options of a TLS upstream; by default it is verified against the system's authorities."""

    ca_file: Path | None = None
    """Authorities to trust instead of the system's, PEM."""
    cert_file: Path | None = None
    """Our certificate, PEM, for upstreams that ask for one; may hold its key, too."""
    key_file: Path | None = None
    """The key of ``cert_file``, where that does not hold it."""
    insecure: bool = False
    """Trust whoever answers: for a laboratory, never across a network."""

    def context(self) -> ssl.SSLContext:
        """A context with these options. Raises ``ValueError`` that names the file it can't use.

        PERF: reading the system's authorities takes a tenth of a second: who only trusts them
        shares one context.
        """
        if self != Tls():
            return self.make()
        return _system(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))

    def wrapper(self) -> Wrapper:
        """What puts TLS with these options around sockets, one for all who have the same.

        Files are read again when they change. Raises ``ValueError`` as :meth:`context` does.
        """
        files = (self.ca_file, self.cert_file, self.key_file)
        return _renewed(self) if any(files) else self.context()

    def make(self) -> ssl.SSLContext:
        """:meth:`context`, read anew."""
        context = _trusting(self.ca_file)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert_file is not None:
            try:
                context.load_cert_chain(self.cert_file, self.key_file)
            except (OSError, ssl.SSLError) as error:
                raise ValueError(
                    f"{self.cert_file} is no usable client certificate: give a PEM file, and its"
                    f" key as key_file where it is in another ({error})"
                ) from error
        elif self.key_file is not None:
            raise ValueError("a key_file needs its cert_file")
        context.set_alpn_protocols(["http/1.1"])
        return context


class RenewedContext:
    """The context of ``tls``, made anew when its files change; loop's thread only.

    Connections that are open go on. While the new files can't be used (one of them is not yet
    there, say), the old context stays; that is logged once, and tried again each second.
    """

    def __init__(self, tls: Tls, clock: Callable[[], float] = time.monotonic) -> None:
        self._tls = tls
        self._clock = clock
        # NOTE: before the files are read, so that what changes meanwhile is read again.
        self._read = self._refused = _stamps(tls)
        self._context = tls.make()
        self._looked = clock()

    def wrap_socket(
        self,
        sock: socket.socket,
        *,
        do_handshake_on_connect: bool,
        suppress_ragged_eofs: bool,
        server_hostname: str | None,
    ) -> ssl.SSLSocket:
        """See ``ssl.SSLContext``."""
        if self._clock() - self._looked >= _LOOK_SECONDS:
            self._look()
        return self._context.wrap_socket(
            sock,
            do_handshake_on_connect=do_handshake_on_connect,
            suppress_ragged_eofs=suppress_ragged_eofs,
            server_hostname=server_hostname,
        )

    def _look(self) -> None:
        self._looked = self._clock()
        now = _stamps(self._tls)
        if now == self._read:
            return
        try:
            self._context = self._tls.make()
        except ValueError as error:
            if now != self._refused:
                _log.warning(
                    "changed TLS files can't be used; the old ones stay in force",
                    extra={"error": str(error)},
                )
            self._refused = now
        else:
            self._read = now
            _log.info("TLS files were read again")


def _stamps(tls: Tls) -> tuple[tuple[int, int, int] | None, ...]:
    """What changes when a file does, also where it is a link to another one."""
    return tuple(_stamp(path) for path in (tls.ca_file, tls.cert_file, tls.key_file))


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


_renewed: Final = cache(RenewedContext)


@cache
def _system(cert_file: str | None, cert_dir: str | None) -> ssl.SSLContext:
    """The context of OpenSSL's defaults, which its two variables may point elsewhere."""
    del cert_file, cert_dir
    return Tls().make()


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"{ca_file} holds no authority's certificate in PEM ({error})") from error
