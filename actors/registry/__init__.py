"""The registry: which model is served by which engine, owned by one actor.

Reads and writes are messages (``messages``), the state is an immutable value (``model_engines``),
the owner is a turn actor (``registry``): asking costs microseconds and survives its death.
"""

from actors.registry.errors import ModelAlreadyExists, ModelNotFound, RegistryError
from actors.registry.messages import (
    AddModel,
    DropInstance,
    GetEngine,
    HasModel,
    ListModels,
    PutInstance,
    ReadRegistry,
    RegistryState,
    RemoveModel,
)
from actors.registry.model_engines import ModelEngines
from actors.registry.registry import RegistryActor, UnknownMessage

__all__ = [
    "AddModel",
    "DropInstance",
    "GetEngine",
    "HasModel",
    "ListModels",
    "ModelAlreadyExists",
    "ModelEngines",
    "ModelNotFound",
    "PutInstance",
    "ReadRegistry",
    "RegistryActor",
    "RegistryError",
    "RegistryState",
    "RemoveModel",
    "UnknownMessage",
]
