"""From the ``--etcd-…`` options to what opens etcd, checked before anything starts.

A module of its own: the worker needs it without the HTTP service, the service without the worker.
"""

from __future__ import annotations

from actors.engines.upstream import Tls
from actors.settings.serve import ServeSettings
from actors.settings.worker import WorkerSettings
from discovery import Endpoints
from discovery.etcd.access import EtcdAccess

__all__ = ["etcd_access"]


def etcd_access(settings: ServeSettings | WorkerSettings) -> EtcdAccess:
    """The credentials and certificates for etcd, each file of them read once to check it.

    Raises ``ValueError`` with a sentence for the user that names the option or file at fault; gRPC
    would show an unusable file only by never connecting.
    """
    options = settings.etcd_access
    access = EtcdAccess.of(
        ca=options.ca,
        cert=options.cert,
        key=options.key,
        user=options.user,
        password=options.password,
        password_file=options.password_file,
    )
    access.check(Endpoints.parse(settings.etcd))
    tls = Tls(ca_file=access.ca, cert_file=access.cert, key_file=access.key)
    if tls != Tls():
        tls.make()
    return access
