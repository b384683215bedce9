"""Looks at certificate files before anything starts, while somebody still watches."""

from __future__ import annotations

from actors.engines.upstream import Tls
from discovery.etcd_access import EtcdAccess

__all__ = ["check_files"]


def check_files(access: EtcdAccess) -> None:
    """Refuse what is no certificate or no key. Raises ``ValueError`` that names the file.

    gRPC would tell only by never connecting.
    """
    tls = Tls(ca_file=access.ca, cert_file=access.cert, key_file=access.key)
    if tls != Tls():
        tls.make()
