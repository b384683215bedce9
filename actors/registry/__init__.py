"""The registry: which model is served by which engine, owned by one actor.

Reads and writes are messages (``messages``), the state is an immutable value (``catalog``), the
owner is a turn actor (``registry``): asking costs microseconds and works across its restarts.
"""

from actors.registry.catalog import (
    ModelAlreadyExists,
    ModelEngines,
    ModelNotFound,
    RegistryError,
    ResolvedModel,
)
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
from actors.registry.registry import PoolFactory, RegistryActor, UnknownMessage

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
    "PoolFactory",
    "PutInstance",
    "ReadRegistry",
    "RegistryActor",
    "RegistryError",
    "RegistryState",
    "RemoveModel",
    "ResolveModel",
    "ResolvedModel",
    "UnknownMessage",
]
