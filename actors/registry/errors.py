"""The errors of the registry, the reference API's two. Short, because it imports nothing."""

from __future__ import annotations

__all__ = ["ModelAlreadyExists", "ModelNotFound", "RegistryError"]


class RegistryError(Exception):
    """The base of the registry's errors; ``model`` is the name that was asked about."""

    def __init__(self, message: str, model: str) -> None:
        super().__init__(message)
        self.model = model


class ModelNotFound(RegistryError):
    """No engine of that kind serves the model."""

    def __init__(self, model: str) -> None:
        super().__init__(f"model {model!r} is not registered", model)


class ModelAlreadyExists(RegistryError):
    """An engine of that kind already serves the model; remove it first."""

    def __init__(self, model: str) -> None:
        super().__init__(f"model {model!r} is registered already; remove it first", model)
