"""The worker's side of a folder of entries: one file, there for as long as the worker runs.

For one machine, or a folder that machines share. There is no lease: the file of a worker that was
killed stays until its successor of the same instance replaces it; front-ends find out by probing.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from actors.supervision.cancellation import CancellationToken
from discovery.codec import encode
from discovery.entry import Entry, State
from discovery.loop_actor import RegistrationStatus

__all__ = ["FileRegistration"]


class FileRegistration:
    """Announces ``entries`` of one instance in ``folder`` while :meth:`run` runs.

    The same promises as :class:`~discovery.etcd.registration.EtcdRegistration`, without a lease.
    """

    def __init__(self, folder: Path, entries: Sequence[Entry]) -> None:
        self._entries: Final = tuple(entries)
        self._file: Final = folder / f"worker-{entries[0].instance}.json"
        self._registered: Final = threading.Event()
        self._status = RegistrationStatus()

    @property
    def status(self) -> RegistrationStatus:
        """The latest record. One attribute load."""
        return self._status

    def wait_registered(self, timeout: float) -> bool:
        """Block until the file is there or ``timeout`` seconds passed; returns whether it is."""
        return self._registered.wait(timeout)

    def drain(self, timeout: float) -> bool:
        """Mark the entries as draining, now; returns whether that was written."""
        del timeout
        if not self._status.registered:
            return False
        try:
            self._write("draining")
        except OSError:
            return False
        self._status = replace(self._status, draining=True)
        return True

    def run(self, token: CancellationToken) -> None:
        """Write the file, wait for ``token``, remove it. Raises ``OSError`` if it can't."""
        self._write("serving")
        self._status = RegistrationStatus(registered=True, last_error=None)
        self._registered.set()
        try:
            token.wait()
        finally:
            self._registered.clear()
            self._status = RegistrationStatus(last_error="stopped")
            self._file.unlink(missing_ok=True)

    def _write(self, state: State) -> None:
        """Replace the file in one step: a reader sees it whole."""
        values = [encode(replace(entry, state=state))[1] for entry in self._entries]
        part = self._file.with_suffix(".part")
        part.write_bytes(b"[%s]" % b",".join(values))
        part.replace(self._file)
