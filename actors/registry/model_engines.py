"""The seed's ``ModelEngines`` (section 4.3): which engine serves which model, and the default.

Copy on write: the mapping inside is never changed in place, so :meth:`ModelEngines.copy` is one
allocation, and whoever holds a copy never sees a half-applied change. That is what lets the
registry publish its state without a lock.
"""

from __future__ import annotations

import builtins
from typing import Final

from actors.engines.contract import Engine
from actors.registry.errors import ModelAlreadyExists, ModelNotFound

__all__ = ["ModelEngines"]

_NO_ENGINES: Final[dict[str, Engine]] = {}


class ModelEngines:
    """A mapping from model to engine, in the order of adding, with a default model.

    Invariant: ``default`` is ``None`` exactly when there is no model; otherwise it is a model that
    is present: the first one added, re-selected (the oldest left) when that one is removed.

    Not synchronised: it has one owner, the registry actor; everybody else gets copies.
    """

    __slots__ = ("_engines", "default")

    def __init__(self) -> None:
        self._engines = _NO_ENGINES
        self.default: str | None = None

    def add(self, model: str, engine: Engine) -> None:
        """Serve ``model`` with ``engine``. Raises :class:`ModelAlreadyExists`."""
        if model in self._engines:
            raise ModelAlreadyExists(model)
        self._engines = {**self._engines, model: engine}
        if self.default is None:
            self.default = model

    def replace(self, model: str, engine: Engine) -> None:
        """Put ``engine`` in the place of the one that serves ``model``; the order stays.

        Raises :class:`ModelNotFound`.
        """
        if model not in self._engines:
            raise ModelNotFound(model)
        self._engines = {**self._engines, model: engine}

    def remove(self, model: str) -> None:
        """Serve ``model`` no more. Raises :class:`ModelNotFound`."""
        if model not in self._engines:
            raise ModelNotFound(model)
        self._engines = {name: each for name, each in self._engines.items() if name != model}
        if self.default == model:
            self.default = next(iter(self._engines), None)

    def get(self, model: str) -> Engine | None:
        """The engine that serves ``model``, or ``None``."""
        return self._engines.get(model)

    def list(self) -> builtins.list[str]:
        """The models, in the order they were added."""
        return [*self._engines]

    def contains(self, model: str) -> bool:
        """Whether ``model`` is served."""
        return model in self._engines

    def copy(self) -> ModelEngines:
        """An independent copy, in constant time."""
        twin = ModelEngines()
        twin._engines, twin.default = self._engines, self.default
        return twin

    def __contains__(self, model: object) -> bool:
        return model in self._engines

    def __len__(self) -> int:
        return len(self._engines)

    def __repr__(self) -> str:
        return f"ModelEngines({', '.join(self._engines) or 'none'}; default={self.default!r})"
