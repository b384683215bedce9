"""Ask a hosted model in both of our ways, and llama.cpp's own HTTP server; compare each field.

``python -m tests.faults.long.hosted_model`` prints the table. What may differ says why: nothing
else does.
"""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from actors.engines import EngineRequest, Kind
from actors.engines.contract import generates
from actors.engines.llama import LlamaEngine
from actors.engines.llama.host import LlamaServer, bundled_model
from actors.engines.upstream import UpstreamEngine
from http_service.streaming.fold import Fold
from tests.engines.asking import ask, request
from tests.engines.recording import DEADLINE

__all__ = ["CASES", "Row", "compare", "main"]

NAME: Final = "m"
PARIS: Final = {"role": "user", "content": "What is the capital of France? One sentence."}
_PATHS: Final = {Kind.CHAT: "/chat/completions", Kind.COMPLETIONS: "/completions"}
_BASE: Final[Mapping[str, Any]] = {"model": NAME, "temperature": 0, "max_tokens": 3}

CASES: Final[Mapping[str, tuple[Kind, dict[str, Any]]]] = {
    "list of prompts": (Kind.COMPLETIONS, {"prompt": ["a b c", "The capital of"]}),
    "n=2": (Kind.COMPLETIONS, {"prompt": "The capital of France is", "n": 2}),
    "n=2, chat": (Kind.CHAT, {"messages": [PARIS], "n": 2}),
    "list of prompts, n=2": (Kind.COMPLETIONS, {"prompt": ["a b c", "The capital of"], "n": 2}),
    "prefill": (
        Kind.CHAT,
        {"messages": [PARIS, {"role": "assistant", "content": "The capital"}]},
    ),
    "logprobs": (Kind.COMPLETIONS, {"prompt": "The capital of France is", "logprobs": 2}),
    "logprobs, chat": (Kind.CHAT, {"messages": [PARIS], "logprobs": True, "top_logprobs": 2}),
}

_OWN: Final = ("id", "created", "timings", "usage.prompt_tokens_details")
"""Of each answer its own: names, times, and what happened to be in the cache of prompts."""
_COUNTED_ONCE: Final = ("usage.prompt_tokens", "usage.completion_tokens", "usage.total_tokens")
"""llama.cpp counts the first choice only; OpenAI's usage is that of all prompts and choices."""
_OPENAIS: Final = "message.refusal"
"""A field of OpenAI's messages that llama.cpp leaves out."""


@dataclass(frozen=True)
class Row:
    """One field of one case: what llama.cpp said, and what we did."""

    case: str
    field: str
    theirs: object
    hosted: object
    relayed: object
    why: str = ""
    """Why it may differ; empty if it must not."""

    @property
    def equal(self) -> bool:
        """Whether both of our ways say what llama.cpp says; numbers of its own to 1e-3."""
        return _same(self.theirs, self.hosted) and _same(self.theirs, self.relayed)


def compare() -> list[Row]:
    """Ask each case in three ways."""
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        server = LlamaServer(bundled_model(), NAME, n_ctx=1024)
        url = server.start()
        stack.callback(server.close, DEADLINE)
        relay = UpstreamEngine(url, unary="fold")
        stack.callback(relay.close)
        hosted = LlamaEngine(bundled_model(), NAME, n_ctx=1024)
        stack.callback(hosted.close, DEADLINE)
        for case, (kind, fields) in CASES.items():
            asked = request(kind, {**_BASE, **fields}, stream=False)
            theirs = _flat(_post(url + _PATHS[kind], asked))
            ours = [_flat(_folded(engine, asked)) for engine in (hosted, relay)]
            rows += _rows(case, theirs, *ours, several=len(_choices(theirs)) > 1)
    return rows


def _rows(
    case: str,
    theirs: dict[str, Any],
    hosted: dict[str, Any],
    relayed: dict[str, Any],
    *,
    several: bool,
) -> Iterator[Row]:
    for field in dict.fromkeys([*theirs, *hosted, *relayed]):
        if field.startswith(_OWN):
            continue
        why = ""
        if several and field in _COUNTED_ONCE:
            why = "llama.cpp counts the first choice only"
        elif field.endswith(_OPENAIS):
            why = "OpenAI's field"
        missing = "absent"
        yield Row(
            case, field, theirs.get(field, missing), hosted.get(field, missing),
            relayed.get(field, missing), why,
        )  # fmt: skip


def _post(url: str, asked: EngineRequest) -> Any:
    sent = urllib.request.Request(url, asked.raw, {"content-type": "application/json"})  # our own
    with urllib.request.urlopen(sent, timeout=DEADLINE) as answer:  # our own
        return json.load(answer)


def _folded(engine: LlamaEngine | UpstreamEngine, asked: EngineRequest) -> Any:
    assert generates(asked.kind)
    fold = Fold(asked.kind, id="", created=0, model=NAME)
    sink = ask(engine, asked)
    if sink.error is not None:
        raise sink.error
    for chunk in sink.chunks:
        fold.add(chunk)
    return json.loads(fold.response())


def _flat(value: object, path: str = "") -> dict[str, Any]:
    """``value`` with one entry for each of its leaves."""
    inner: dict[Any, Any] = {}
    if isinstance(value, dict):
        inner = cast("dict[str, Any]", value)
    elif isinstance(value, list):
        inner = dict(enumerate(cast("list[object]", value)))
    if not inner:
        return {path: value}
    found: dict[str, Any] = {}
    for key, each in inner.items():
        found |= _flat(each, f"{path}.{key}" if path else str(key))
    return found


def _choices(flat: Mapping[str, Any]) -> set[str]:
    return {field.split(".")[1] for field in flat if field.startswith("choices.")}


def _same(theirs: object, ours: object) -> bool:
    if isinstance(theirs, float) and isinstance(ours, (int, float)):
        return abs(theirs - ours) < 1e-3  # batches of another size round otherwise
    return theirs == ours or (theirs == "absent" and ours is None)


def main() -> None:
    """Print the table: one line a case, and one for each field that differs."""
    rows = compare()
    print("| case | fields | equal | differ | why |\n|---|---|---|---|---|")  # its output
    for case in CASES:
        own = [row for row in rows if row.case == case]
        differ = [row for row in own if not row.equal]
        names = "; ".join(
            f"{row.field}: {row.theirs!r} ↔ {row.hosted!r}, {row.relayed!r}" for row in differ
        )
        why = "; ".join(sorted({row.why or "?" for row in differ}))
        print(f"| {case} | {len(own)} | {len(own) - len(differ)} | {names} | {why} |")  # its output


if __name__ == "__main__":
    main()
