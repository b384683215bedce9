"""The JSON Schema that our OpenAPI document uses: what a schema allows, and values to try."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from hypothesis import strategies as st

__all__ = ["ANY_JSON", "TEXT", "fits", "values"]

Schema = Mapping[str, Any]

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def fits(value: Any, schema: Schema, schemas: Mapping[str, Schema]) -> bool:
    """Whether ``schema`` allows ``value``; ``schemas`` are those that it may refer to by name."""
    if "$ref" in schema:
        return fits(value, schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "if" in schema and fits(value, schema["if"], schemas):
        rest = {key: each for key, each in schema.items() if key not in ("if", "then")}
        return fits(value, schema["then"], schemas) and fits(value, rest, schemas)
    if "anyOf" in schema:
        return any(fits(value, each, schemas) for each in schema["anyOf"])
    if "const" in schema and (value != schema["const"] or type(value) is not type(schema["const"])):
        return False
    types = schema.get("type", [])
    allowed = [types] if isinstance(types, str) else types
    if allowed and not any(_TYPES[each](value) for each in allowed):
        return False
    if isinstance(value, str):
        return len(value) >= int(schema.get("minLength", 0))
    if isinstance(value, list):
        items = cast("list[object]", value)
        of = schema.get("items", {})
        enough = len(items) >= int(schema.get("minItems", 0))
        return enough and all(fits(each, of, schemas) for each in items)
    if isinstance(value, dict):
        return _members_fit(cast("dict[str, Any]", value), schema, schemas)
    return True


def _members_fit(value: dict[str, Any], schema: Schema, schemas: Mapping[str, Schema]) -> bool:
    known: Schema = schema.get("properties", {})
    others: Any = schema.get("additionalProperties", {})
    others = {} if others is True else others
    return all(name in value for name in schema.get("required", [])) and all(
        fits(each, known.get(name, others), schemas) for name, each in value.items()
    )


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: type(value) is int or (type(value) is float and value.is_integer()),
    "number": lambda value: type(value) in (int, float),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def values(schema: Schema, schemas: Mapping[str, Schema]) -> st.SearchStrategy[Any]:
    """Values that ``schema`` allows, but for its ``if``."""
    if "$ref" in schema:
        return values(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        return st.one_of([values(each, schemas) for each in schema["anyOf"]])
    kind = schema.get("type")
    if kind == "object":
        known: Mapping[str, Schema] = schema.get("properties", {})
        required: list[str] = schema.get("required", [])
        parts = {name: values(each, schemas) for name, each in known.items()}
        needed = {name: parts.pop(name) for name in required}
        free = st.dictionaries(TEXT, ANY_JSON, max_size=2)
        fixed = st.fixed_dictionaries(needed, optional=parts)
        return fixed if known else free
    if kind == "array":
        items = values(schema.get("items", {}), schemas)
        return st.lists(items, min_size=schema.get("minItems", 0), max_size=3)
    simple: Mapping[Any, st.SearchStrategy[Any]] = {
        "null": st.none(),
        "boolean": st.booleans(),
        "integer": st.integers(-(2**63), 2**63) | st.integers(-5, 999).map(float),
        "number": NUMBERS,
        "string": TEXT.filter(lambda text: len(text) >= schema.get("minLength", 0)),
        None: ANY_JSON,
    }
    return simple[kind]
