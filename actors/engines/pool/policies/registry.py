"""The policies by name: each registers itself, so that adding one is one file in this folder.

A file holds a class with the methods of :class:`Policy`, decorated with its word in ``PolicyName``.
Every module of the folder is imported with the package.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, TypeVar

from actors.engines.contract import Context, EngineRequest
from actors.engines.pool.instance import Instance
from actors.engines.pool.spec import PolicyName

__all__ = [
    "Key",
    "KeyFn",
    "Policy",
    "RandomFn",
    "draw",
    "key_of",
    "new_policy",
    "policy",
    "registered",
]

RandomFn = Callable[[], float]
"""Draws from [0, 1), as ``random.random`` does."""

draw: Final[RandomFn] = random.Random().random  # noqa: S311  # spreads load, keeps no secret
"""From a generator of this package's own: a program that seeds ``random`` must not have all of its
front-ends choose alike, nor find its own numbers disturbed."""

Key: TypeAlias = str | tuple[int, ...]
"""What keeps a request to an instance; empty for a request that may go to any."""

KeyFn = Callable[[EngineRequest, Context], Key]


class Policy(Sized, Protocol):
    """Selects from the instances that it was given; its pool's lock is held for each call.

    Not synchronised. No method looks at every instance: a pool may have thousands. The slots
    ``bucket``, ``position``, ``turn``, ``serial`` and ``seen`` of an instance are the policy's own
    notes.
    """

    def add(self, instance: Instance) -> None:
        """``instance`` may be selected from now on."""
        ...

    def remove(self, instance: Instance) -> None:
        """``instance`` may not be selected any more; it may come back."""
        ...

    def update(self, instance: Instance) -> None:
        """The load or weight of ``instance``, which was added, has changed."""
        ...

    def forget(self, instance: Instance) -> None:
        """``instance``, which was removed, is gone for good."""
        ...

    def pick(self, key: Key = "") -> Instance | None:
        """The instance for the next request; ``None`` if there is none.

        Policies that were registered with a key function get the request's ``key``.
        """
        ...


PolicyFactory = Callable[[RandomFn], Policy]
_Factory = TypeVar("_Factory", bound=PolicyFactory)


@dataclass(frozen=True, slots=True)
class _Registration:
    make: PolicyFactory
    key: KeyFn | None


_registered: Final[dict[PolicyName, _Registration]] = {}


def policy(name: PolicyName, *, key: KeyFn | None = None) -> Callable[[_Factory], _Factory]:
    """Register the decorated class, which is made with a :data:`RandomFn`, as the policy ``name``.

    ``key`` computes what :meth:`Policy.pick` is given. Raises ``ValueError`` for a name that is
    taken.
    """

    def register(make: _Factory) -> _Factory:
        if name in _registered:
            raise ValueError(f"the policy {name.value!r} is registered twice")
        _registered[name] = _Registration(make, key)
        return make

    return register


def registered() -> frozenset[PolicyName]:
    """The names that have a policy: all of them, as a test proves."""
    return frozenset(_registered)


def new_policy(name: PolicyName, random_fn: RandomFn) -> Policy:
    """A new, empty policy."""
    return _registered[name].make(random_fn)


def key_of(name: PolicyName) -> KeyFn | None:
    """How the policy computes a request's key; ``None`` if it does not use keys."""
    return _registered[name].key
