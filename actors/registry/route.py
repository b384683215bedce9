"""Where a request for a name goes: the model that answers, and the pool that serves it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import orjson

from actors.engines.contract import EngineRequest
from actors.engines.pool import Pool
from actors.engines.upstream.request import with_model

__all__ = ["Route"]


@dataclass(frozen=True, slots=True)
class Route:
    """``model`` is the primary name of what answers; ``asked`` is the name that was asked for.

    They differ for an alias, and for a model whose fallback answers.
    """

    asked: str
    model: str
    engine: Pool

    def readdress(self, request: EngineRequest) -> EngineRequest:
        """``request`` under the primary name; itself, byte for byte, where that was asked for."""
        if request.model == self.model:
            return request
        parsed = request.parsed
        if parsed is not None:
            parsed = {**parsed, "model": self.model}
        raw = with_model(request.raw, self.model)
        if raw is None:
            raw = orjson.dumps(parsed or {**request.body, "model": self.model})
        return replace(request, model=self.model, parsed=parsed, raw=raw)
