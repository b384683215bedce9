"""Where a request for a name goes: the question that every request asks, and its answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import orjson

from actors.engines.contract import EngineRequest, Kind
from actors.engines.pool import Pool
from actors.engines.upstream.request import with_model
from actors.supervision.address import Question

__all__ = ["ResolveModel", "Route"]


class Route(NamedTuple):
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


@dataclass(slots=True, unsafe_hash=True)
class ResolveModel(Question[Route]):
    """Who answers a request for ``model``, which may be an alias, or a model whose fallback does?

    Answers with the primary name and the pool. Raises ``ModelNotFound``. Not to be changed. PERF:
    it is not frozen, as the other messages are: that would cost as much as all the rest of the ask.
    """

    kind: Kind
    model: str
