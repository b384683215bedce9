"""The items of a stored response's input: how they are named and listed. Pure.

Source: OpenAI's API reference, ``GET /v1/responses/{response_id}/input_items``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from http_service.errors import InvalidValue

__all__ = ["MAX_PAGE", "PAGE", "named_items", "page_of"]

Json: TypeAlias = dict[str, Any]

PAGE: Final = 20
"""Items of a page unless the client wants more or fewer."""

MAX_PAGE: Final = 100
"""Items of the longest page."""


def named_items(items: str | Iterable[Mapping[str, Any]], token: str) -> list[Json]:
    """A request's input as a list of whole items, each with an id, which ``token`` makes."""
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    return [_named(item, f"{token}_in{number}") for number, item in enumerate(items)]


def _named(item: Mapping[str, Any], rest: str) -> Json:
    kind = item.get("type") or "message"
    if kind != "message":
        return {**item, "id": item.get("id") or f"item_{rest}"}
    content = item.get("content")
    if isinstance(content, str):
        part: Json = {"type": "input_text", "text": content}
        if item.get("role") == "assistant":
            part = {"type": "output_text", "text": content, "annotations": [], "logprobs": []}
        content = [part]
    named = {**item, "type": "message", "id": item.get("id") or f"msg_{rest}", "content": content}
    return {"status": "completed", **named}


def page_of(
    items: Sequence[Json], *, order: str = "desc", limit: int = PAGE, after: str | None = None
) -> Json:
    """One page of ``items``, the last ones first unless ``order`` is "asc".

    ``after`` is the id of the item before the page. Raises ``InvalidValue`` if there is no such
    item, or the order or the limit can't be.
    """
    if order not in ("asc", "desc"):
        raise InvalidValue("order must be asc or desc", "order")
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidValue(f"limit must be from 1 to {MAX_PAGE}", "limit")
    listed = [*items] if order == "asc" else [*reversed(items)]
    if after is not None:
        places = [place for place, item in enumerate(listed, 1) if item.get("id") == after]
        if not places:
            raise InvalidValue("after names no item of this response", "after")
        listed = listed[places[-1] :]
    page = listed[:limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0].get("id") if page else None,
        "last_id": page[-1].get("id") if page else None,
        "has_more": len(listed) > limit,
    }
