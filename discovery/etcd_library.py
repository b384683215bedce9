"""Tells in one sentence why ``import etcd3`` failed, for there are many ways to get it wrong.

Three distributions install a package ``etcd3`` over one another without a word from pip: the one
we need (``cslab-etcd3``), the registry's own ``etcd3`` (can't be imported beside a current
protobuf) and ``python3-etcd3``.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from importlib import metadata
from typing import Final

from discovery.errors import DiscoveryError

__all__ = ["WANTED", "WrongLibrary", "check_one_distribution"]

_log = logging.getLogger("discovery.etcd")

WANTED: Final = "cslab-etcd3"
"""The distribution this package is written for."""
_RIVALS: Final = ("etcd3", "python3-etcd3", "etcd3-rs")
"""Distributions that own the same directory."""


class WrongLibrary(DiscoveryError):
    """The package ``etcd3`` can't be imported, or it is not the one that we need."""


@contextmanager
def check_one_distribution() -> Generator[None]:
    """Import ``etcd3`` inside: failures become :class:`WrongLibrary` and name the cure."""
    rivals = [name for name in _RIVALS if _is_installed(name)]
    try:
        yield
    except (ImportError, TypeError, NameError) as error:
        raise WrongLibrary(_explain(rivals, error)) from error
    if rivals:
        _log.warning("several distributions own the package etcd3: %s", [WANTED, *rivals])


def _explain(rivals: list[str], error: Exception) -> str:
    if rivals:
        cure = f"pip uninstall {' '.join(rivals)}; pip install --force-reinstall {WANTED}"
        return f"etcd3 was installed over by {', '.join(rivals)} ({error}); run: {cure}"
    return f"the etcd client can't be imported ({error}); run: pip install {WANTED}"


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True
