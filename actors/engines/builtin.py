"""The engines that come with Callboard and need no more than a name: the table behind ``--engine``.

A short file on purpose: a new engine is its own file and one row here. The command line, its help,
its suggestions for a misspelt name and the service all read this table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from actors.engines.contract import GENERATING, AnyEngine, Kind
from actors.engines.echo import EchoEngine

__all__ = ["ENGINES", "BuiltInEngine"]


@dataclass(frozen=True, slots=True)
class BuiltInEngine:
    """One built-in engine: its ``name``, how to ``make`` it, and what ``help`` says it does.

    ``kinds`` are the kinds of model that it can be. ``make`` is called once for each ``--engine``,
    at the start; what only this engine needs is best imported there. With ``loads`` it is given the
    path that stands behind the engine's name and a colon, "" for none, and the model's name.
    """

    name: str
    make: Callable[..., AnyEngine]
    help: str
    kinds: tuple[Kind, ...] = GENERATING
    loads: bool = False


def _llama(path: str, model: str) -> AnyEngine:
    from actors.engines.llama.engine import LlamaEngine
    from actors.engines.llama.host import BUNDLED_NAME, resolve_model

    return LlamaEngine(resolve_model(path or BUNDLED_NAME), model, embedding=True)


_ANY: Final = (*GENERATING, Kind.EMBEDDINGS)
_ROWS: Final = (
    BuiltInEngine("echo", EchoEngine, "answers with the question", _ANY),
    BuiltInEngine("llama", _llama, "hosts a GGUF file, or SmolLM2", _ANY, loads=True),
)  # fmt: skip

ENGINES: Final[Mapping[str, BuiltInEngine]] = MappingProxyType({row.name: row for row in _ROWS})
