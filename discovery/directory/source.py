"""A folder of JSON files as a source: for a machine without an etcd, and for a mounted ConfigMap.

Only regular files (or links to such) whose name ends with ``.json`` and begins with no dot count,
so a temporary file that is renamed into place is seen whole or not at all. On any change the folder
is looked through again and compared; the notice only tells when. It comes from watchfiles: from
inotify and its like, or by polling where the system has none to give. Besides, the folder is looked
through every ``Times.rescan`` seconds, because a network file system does not report what others
write.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from actors.supervision.cancellation import CancellationToken
from discovery.directory.scan import (
    NOTHING,
    Content,
    DirectoryUnavailable,
    File,
    merged,
    scan,
    steps,
)
from discovery.source import Deliver, Stale, Synced

__all__ = ["DirectorySource", "DirectoryTimes"]

_log = logging.getLogger("discovery.directory")

AWAY: Final = "the directory can't be read"


@dataclass(frozen=True, slots=True)
class DirectoryTimes:
    """Every duration, in seconds."""

    rescan: float = 5.0
    """Between two looks when no change is reported."""
    away: float = 0.2
    """Between two looks for a folder that is not there."""
    step: float = 0.02
    """How long a change waits for others to be taken with it; also how soon a stop is noticed."""
    poll: float = 0.3
    """Between two looks at each file where the system gives no notice."""


class DirectorySource:
    """The entries in the files of one folder, which need not exist yet.

    ``polling`` forces looking over being told; the source falls back to it by itself.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        times: DirectoryTimes | None = None,
        polling: bool = False,
        name: str = "directory",
    ) -> None:
        self._directory: Final = Path(directory)
        self._times: Final = times or DirectoryTimes()
        self._polling: Final = polling
        self._name: Final = name

    @property
    def name(self) -> str:
        """``directory``."""
        return self._name

    def run(self, deliver: Deliver, token: CancellationToken) -> None:
        """Deliver events until ``token`` is cancelled; see :class:`~discovery.source.Source`."""
        run = _Run(self._directory, deliver)
        while not token.cancelled:
            try:
                notices = _Notices(self._directory, self._times, token, polling=self._polling)
                try:
                    run.look()
                    while notices.wait():
                        run.look()
                finally:
                    notices.close()
            except DirectoryUnavailable as error:
                run.lose(error)
                token.wait(self._times.away)


class _Run:
    """The state of one run: what it read, and what it delivered."""

    def __init__(self, directory: Path, deliver: Deliver) -> None:
        self._directory: Final = directory
        self._deliver: Final = deliver
        self._files: dict[str, File] = {}
        self._content: Content = NOTHING
        self._revision = 0
        self._synced = False
        self._said: str | None = None

    def look(self) -> None:
        """Read what changed, deliver the difference; ``Synced`` if there was one, or at first."""
        files = scan(self._directory, self._files)
        if self._synced and files == self._files:
            return
        self._files = files
        content = merged(files)
        events = [*steps(self._content, content)]
        self._content = content
        for event in events:
            self._deliver(event)
        if events or not self._synced:
            self._regain()

    def lose(self, error: DirectoryUnavailable) -> None:
        """Say that the folder is away, once for each reason."""
        if str(error) != self._said:
            self._said = str(error)
            _log.warning("the entries of the directory stay as they are: %s", error)
            self._deliver(Stale(AWAY))
        self._synced = False

    def _regain(self) -> None:
        self._revision += 1
        if not self._synced:
            _log.info("in sync with the directory", extra={"files": len(self._files)})
        self._synced, self._said = True, None
        self._deliver(Synced(self._revision))


class _Notices:
    """Tells that something may have changed in the folder. One thread; close it."""

    def __init__(
        self, directory: Path, times: DirectoryTimes, token: CancellationToken, *, polling: bool
    ) -> None:
        self._token: Final = token
        self._directory: Final = directory
        self._inode: Final = _inode(directory)
        self._step: Final = int(times.step * 1000)
        self._rescan: Final = int(times.rescan * 1000)
        self._stop: Final = _Stop(token)
        self._notify: Final = _watch(directory, times, polling=polling)

    def wait(self) -> bool:
        """Block until it is time for a look.

        False if ``token`` was cancelled, or the path leads to another folder now: watch that one.
        """
        try:
            self._notify.watch(self._step * 5, self._step, self._rescan, self._stop)
        except (WatchfilesRustInternalError, OSError) as error:
            raise DirectoryUnavailable(f"{self._directory}: {error}") from None
        return not self._token.cancelled and _inode(self._directory) == self._inode

    def close(self) -> None:
        """End the watching thread."""
        self._notify.close()


@dataclass(frozen=True, slots=True)
class _Stop:
    """The token as watchfiles asks for it."""

    token: CancellationToken

    def is_set(self) -> bool:
        return self.token.cancelled


def _watch(directory: Path, times: DirectoryTimes, *, polling: bool) -> RustNotify:
    """Notices of the system, or if it has none to give, of a thread that polls."""
    poll = int(times.poll * 1000)

    def start(*, by_polling: bool) -> RustNotify:
        return RustNotify(
            watch_paths=[str(directory)],
            debug=False,
            force_polling=by_polling,
            poll_delay_ms=poll,
            recursive=False,
            ignore_permission_denied=True,
        )

    try:
        return start(by_polling=polling)
    except FileNotFoundError as error:
        raise DirectoryUnavailable(f"{directory}: {error}") from None
    except (WatchfilesRustInternalError, OSError) as error:
        _log.warning("no notices of the system (%s): looking every %s s", error, times.poll)
    try:
        return start(by_polling=True)
    except (WatchfilesRustInternalError, OSError) as error:
        raise DirectoryUnavailable(f"{directory}: {error}") from None


def _inode(directory: Path) -> tuple[int, int]:
    try:
        found = directory.stat()
    except OSError as error:
        raise DirectoryUnavailable(f"{directory}: {error.strerror}") from None
    return found.st_dev, found.st_ino
