"""The seed's ``ModelEngines`` (section 4.3): which engine serves which model, and the default.

The mapping inside is persistent, so :meth:`ModelEngines.copy` is one allocation, whoever holds a
copy never sees a half-applied change, and ten thousand models are added in linear time. That is
what lets the registry publish its state without a lock.
"""

from __future__ import annotations

import builtins
from operator import itemgetter

from actors.engines.contract import Engine
from actors.registry.errors import ModelAlreadyExists, ModelNotFound
from actors.registry.persistent import PersistentMap

__all__ = ["ModelEngines"]


class ModelEngines:
    """A mapping from model to engine, in the order of adding, with a default model.

    Not synchronised: it has one owner, the registry actor; everybody else gets copies.
    """

    __slots__ = ("_added", "_engines", "_names")

    def __init__(self) -> None:
        # Each engine with the number of its adding: the map inside keeps no order.
        self._engines: PersistentMap[str, tuple[int, Engine]] = PersistentMap()
        self._added = 0
        # PERF: sorted when somebody asks; ``None`` from a change until then.
        self._names: builtins.list[str] | None = []

    @property
    def default(self) -> str | None:
        """The oldest model, ``None`` exactly when there is none.

        So it is the first one added, and re-selected when that one is removed.
        """
        return next(iter(self._ordered()), None)

    def add(self, model: str, engine: Engine) -> None:
        """Serve ``model`` with ``engine``. Raises :class:`ModelAlreadyExists`."""
        if model in self._engines:
            raise ModelAlreadyExists(model)
        self._added += 1
        self._change(self._engines.with_item(model, (self._added, engine)))

    def replace(self, model: str, engine: Engine) -> None:
        """Put ``engine`` in the place of the one that serves ``model``; the order stays.

        Raises :class:`ModelNotFound`.
        """
        found = self._engines.get(model)
        if found is None:
            raise ModelNotFound(model)
        self._engines = self._engines.with_item(model, (found[0], engine))

    def remove(self, model: str) -> None:
        """Serve ``model`` no more. Raises :class:`ModelNotFound`."""
        if model not in self._engines:
            raise ModelNotFound(model)
        self._change(self._engines.without(model))

    def get(self, model: str) -> Engine | None:
        """The engine that serves ``model``, or ``None``."""
        found = self._engines.get(model)
        return None if found is None else found[1]

    def list(self) -> builtins.list[str]:
        """The models, in the order they were added."""
        return [*self._ordered()]

    def contains(self, model: str) -> bool:
        """Whether ``model`` is served."""
        return model in self._engines

    def copy(self) -> ModelEngines:
        """An independent copy, in constant time."""
        twin = ModelEngines()
        twin._engines, twin._added, twin._names = self._engines, self._added, self._names
        return twin

    def __contains__(self, model: object) -> bool:
        return model in self._engines

    def __len__(self) -> int:
        return len(self._engines)

    def __repr__(self) -> str:
        return f"ModelEngines({', '.join(self._ordered()) or 'none'}; default={self.default!r})"

    def _ordered(self) -> builtins.list[str]:
        names = self._names
        if names is None:
            added = sorted((number, name) for name, (number, _) in self._engines.items())
            names = self._names = [*map(itemgetter(1), added)]
        return names

    def _change(self, engines: PersistentMap[str, tuple[int, Engine]]) -> None:
        self._engines = engines
        self._names = None
