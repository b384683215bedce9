"""Certificates of an authority that nobody trusts but the tests."""

from __future__ import annotations

from pathlib import Path

import trustme

from tests.support.etcd import TlsFiles

__all__ = ["make_tls_files"]


def make_tls_files(
    folder: Path, *, hosts: tuple[str, ...] = ("127.0.0.1", "localhost")
) -> TlsFiles:
    """A new authority and a certificate of it, for a server at ``hosts`` and for a client."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    issued = authority.issue_cert(*hosts)
    files = TlsFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    authority.cert_pem.write_to_path(str(files.ca))
    issued.private_key_pem.write_to_path(str(files.key))
    for number, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(str(files.cert), append=number > 0)
    return files
