"""Engines: whatever turns an OpenAI request into tokens, behind one contract.

Here is what every engine needs. An engine that needs a library has a package of its own, which is
imported on demand: ``actors.engines.upstream`` (httptools), ``actors.engines.llama`` (xllamacpp,
the extra ``llama``).
"""

from actors.engines.adapters import as_push_engine
from actors.engines.contract import (
    AnyEngine,
    AsyncGeneratorEngine,
    Chunk,
    Context,
    Engine,
    EngineRequest,
    GeneratorEngine,
    Kind,
    Sink,
)
from actors.engines.echo import EchoEngine
from actors.engines.errors import (
    DeadlineExceeded,
    EngineBusy,
    EngineError,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
    LocalShortage,
)
from actors.engines.media import Media
from actors.engines.pool import Pool
from actors.engines.tokens import tokens_in

__all__ = [
    "AnyEngine",
    "AsyncGeneratorEngine",
    "Chunk",
    "Context",
    "DeadlineExceeded",
    "EchoEngine",
    "Engine",
    "EngineBusy",
    "EngineError",
    "EngineRejected",
    "EngineRequest",
    "EngineTimeout",
    "EngineUnavailable",
    "GeneratorEngine",
    "Kind",
    "LocalShortage",
    "Media",
    "Pool",
    "Sink",
    "as_push_engine",
    "tokens_in",
]
