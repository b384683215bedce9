"""Dynamo's ``HttpService`` in front of the mock upstream: ``python dynamo_front.py PORT UPSTREAM``.

Runs in Dynamo's own environment, not in ours. No discovery, no request plane: its HTTP front-end
alone, with a Python engine that relays, which is the shape closest to ours.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any, Final

# By name, as neither mypy nor pyright can see the environment that this runs in.
aiohttp: Final[Any] = importlib.import_module("aiohttp")
llm: Final[Any] = importlib.import_module("dynamo.llm")
runtime: Final[Any] = importlib.import_module("dynamo.runtime")
uvloop: Final[Any] = importlib.import_module("uvloop")

MODEL: Final = "mock"


async def serve(port: int, upstream: str) -> None:
    """Serve until killed."""
    timeout = aiohttp.ClientTimeout(total=None)
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)

    async def relay(request: dict[str, Any], context: object = None) -> AsyncIterator[Any]:
        body = {name: value for name, value in request.items() if value is not None}
        body["stream"] = True
        async with session.post(f"{upstream}/v1/chat/completions", json=body) as answer:
            async for line in answer.content:
                if line.startswith(b"data: {"):
                    yield json.loads(line[6:])

    loop = asyncio.get_running_loop()
    distributed = runtime.DistributedRuntime(loop, "mem", "tcp")
    service = llm.HttpService(port=port)
    service.add_chat_completions_model(MODEL, "0", llm.HttpAsyncEngine(relay, loop))
    service.enable_endpoint("chat", True)  # theirs has no name for it
    await service.run(distributed)


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2]))
