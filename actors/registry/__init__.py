"""The registry: which model is served by which engine, owned by one actor.

Reads and writes are messages (``messages``), the state is an immutable value (``model_engines``),
the owner is a turn actor (``registry``): asking costs microseconds and survives its death.
"""

from actors.registry.errors import ModelAlreadyExists, ModelNotFound, RegistryError
from actors.registry.messages import (
    AddModel,
    DropInstance,
    FindPools,
    GetEngine,
    HasModel,
    ListModels,
    PutInstance,
    ReadRegistry,
    RegistryState,
    RemoveModel,
    ResolveModel,
)
from actors.registry.model_engines import ModelEngines
from actors.registry.pools import PoolMaker
from actors.registry.registry import RegistryActor, UnknownMessage
from actors.registry.route import Route

__all__ = [
    "AddModel",
    "DropInstance",
    "FindPools",
    "GetEngine",
    "HasModel",
    "ListModels",
    "ModelAlreadyExists",
    "ModelEngines",
    "ModelNotFound",
    "PoolMaker",
    "PutInstance",
    "ReadRegistry",
    "RegistryActor",
    "RegistryError",
    "RegistryState",
    "RemoveModel",
    "ResolveModel",
    "Route",
    "UnknownMessage",
]
