"""How an upstream is spoken to over TLS: whom we trust, and who we are."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Tls"]


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
