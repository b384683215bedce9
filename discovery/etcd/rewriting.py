"""Changes one announcement in etcd, if it is still at the revision at which it was read.

Short: the client does the work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from actors.engines.contract import Kind
from discovery.codec import key_for
from discovery.etcd.access import Endpoints
from discovery.etcd.client import EtcdClient
from discovery.etcd.records import EtcdError, EtcdUnavailable
from discovery.rewriting import (
    AnnouncementMoved,
    Fields,
    NotAnnounced,
    NotWritten,
    with_fields,
)

__all__ = ["EtcdRewriter"]


class EtcdRewriter:
    """Writes under ``root``, to whichever member of ``endpoints`` answers; a ``Rewriter``.

    The announcement stays on its worker's lease.
    """

    def __init__(
        self, endpoints: Endpoints, root: str, connect: Callable[..., EtcdClient] = EtcdClient
    ) -> None:
        self._endpoints: Final = endpoints
        self._root: Final = root
        self._connect: Final = connect

    def rewrite(self, kind: Kind, model: str, instance: str, fields: Fields) -> Fields:
        """See :class:`~discovery.rewriting.Rewriter`."""
        key = key_for(kind, model, instance, self._root)
        reason = "etcd can't be reached"
        for member in self._endpoints.members:
            client = self._connect(member)
            try:
                return self._rewrite(client, key, fields)
            except EtcdUnavailable as error:
                reason = error.summary
            except EtcdError as error:
                raise NotWritten(error.summary) from error
            finally:
                client.close()
        raise NotWritten(reason)

    def _rewrite(self, client: EtcdClient, key: bytes, fields: Fields) -> Fields:
        found = client.get(key)
        if found is None:
            raise NotAnnounced("etcd holds no such announcement any more")
        try:
            value, before = with_fields(found.value, fields)
        except ValueError as error:
            raise NotWritten(f"the announcement in etcd can't be read: {error}") from None
        if not client.replace(key, value, found.mod_revision):
            raise AnnouncementMoved("the announcement in etcd has changed just before")
        return before
