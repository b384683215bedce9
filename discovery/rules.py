"""The rules that every field of an entry must keep, each with the sentence that refuses it. Pure.

Each check returns nothing or raises ``ValueError`` with a reason that an operator can act on; none
repeats a password, and none repeats more than ``MAX_SHOWN`` characters of a foreign text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from actors.engines.upstream.reach import check_host, check_path

__all__ = [
    "KEY_VARIABLE",
    "MAX_ADAPTERS",
    "MAX_ALIASES",
    "MAX_CONCURRENCY",
    "MAX_MIGRATIONS",
    "MAX_NAME",
    "MAX_PERCENTILE",
    "MAX_TIMEOUT",
    "MAX_TOKENS",
    "MAX_URL",
    "MAX_VALUE_BYTES",
    "MAX_WEIGHT",
    "ORDINARY_URL",
    "check_adapters",
    "check_aliases",
    "check_defaults",
    "check_fallback",
    "check_key_variable",
    "check_migration_limit",
    "check_name",
    "check_number",
    "check_size",
    "check_url",
    "check_url_in_parts",
    "shown",
]

MAX_VALUE_BYTES: Final = 256 * 1024
"""Bytes of one value; a real entry has a few hundred, etcd's own limit is 1.5 MiB."""
MAX_NAME: Final = 256
"""Characters in a model or instance name; they become metric labels."""
MAX_URL: Final = 2048
"""Characters in an endpoint's URL."""
MAX_CONCURRENCY: Final = 1_000_000
"""Requests in flight to one instance; more is a slip of the pen."""
MAX_WEIGHT: Final = 1_000_000.0
"""The heaviest instance's share relative to 1."""
MAX_ALIASES: Final = 32
"""Other names of one model."""
MAX_ADAPTERS: Final = 256
"""Adapters of one model."""
MAX_TOKENS: Final = 1_000_000_000
"""The longest context; more is bytes taken for tokens."""
CLIENTS_OWN: Final = frozenset(
    ("input", "messages", "model", "prompt", "stream", "stream_options", "user")
)
"""What no ``defaults`` can fill in: it says what is asked, by whom, and how it is answered."""
MAX_MIGRATIONS: Final = 100
"""How often other instances may go on with one answer: each time it is read once more."""
MAX_TIMEOUT: Final = 86_400.0
"""Seconds that any deadline may have: a day; more is milliseconds taken for seconds."""
MAX_PERCENTILE: Final = 99.9
"""The latest moment for a hedge; 100 would mean never, and leaving the field out says that."""
KEY_VARIABLE: Final = r"CALLBOARD_KEY_[A-Z0-9_]{1,64}"
"""What the environment variable of a bearer key must be called.

SECURITY: who may write entries chooses both the variable and where its content is sent. The
prefix keeps every other secret of the front-end's environment out of reach.
"""
ORDINARY_URL: Final = re.compile(
    r"https?://(?:[A-Za-z0-9]+[.-])*[A-Za-z][A-Za-z0-9]*(:[1-9][0-9]{0,3}|:[1-5][0-9]{4})?"
    r"(/[A-Za-z0-9_~-]+)*/?"
)
"""PERF: most URLs with a name; a look at each part costs a third of reading a whole entry."""
MAX_ORDINARY: Final = 70
"""Characters of an ordinary URL: none of its labels can be too long for the DNS."""
MAX_SHOWN: Final = 80
"""Characters of a foreign text that a reason repeats."""


def check_name(name: str, what: str) -> None:
    """A model or instance name, called ``what`` in the reason."""
    if not name:
        raise ValueError(f"the {what} is empty")
    if len(name) > MAX_NAME:
        raise ValueError(f"the {what} has {len(name)} characters, at most {MAX_NAME} are allowed")
    if "#" in name or not _is_plain(name):
        raise ValueError(f"the {what} {shown(name)} holds a blank, a control character or '#'")


def check_url(url: str) -> None:
    """The base URL of an OpenAI-compatible server."""
    if len(url) > MAX_URL:
        raise ValueError(f"the URL has {len(url)} characters, at most {MAX_URL} are allowed")
    if len(url) > MAX_ORDINARY or ORDINARY_URL.fullmatch(url) is None:
        check_url_in_parts(url)


def check_url_in_parts(url: str) -> None:
    """A URL that is not ordinary at first sight."""
    # SECURITY: urlsplit drops tabs and line ends silently, the HTTP client might not.
    if not url.isascii() or not _is_plain(url) or "\\" in url:
        raise ValueError("the URL holds a blank, a backslash, or a character beyond ASCII")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"the URL can't be read: {str(error)[:MAX_SHOWN]}") from None
    if "@" in parts.netloc:
        # SECURITY: the URL is not repeated here: it holds a password.
        raise ValueError("the URL holds credentials; they don't belong into etcd")
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f"the URL's scheme is {shown(parts.scheme)}, not http or https")
    if not parts.hostname or port == 0:
        raise ValueError("the URL names no host" if port != 0 else "the URL's port is 0")
    if parts.netloc.endswith(":"):
        raise ValueError("the URL has a ':' and no port")
    if "?" in url or "#" in url:
        raise ValueError("the URL has a query or fragment; give the base URL, as in http://H:P/v1")
    try:
        check_host(parts.hostname)
        check_path(parts.path)
    except ValueError as error:
        raise ValueError(f"the URL can't be used: {str(error)[:MAX_SHOWN]}") from None


def check_number(number: float, what: str, most: float) -> None:
    """A number above 0 and not above ``most``; no boolean, no NaN."""
    if isinstance(number, bool) or not math.isfinite(number) or not 0 < number <= most:
        raise ValueError(f"{what} must be above 0 and at most {most:g}")


def check_aliases(aliases: Sequence[str], name: str) -> None:
    """The other names of the model ``name``."""
    if len(aliases) > MAX_ALIASES:
        raise ValueError(f"there are {len(aliases)} aliases, at most {MAX_ALIASES} are allowed")
    for alias in aliases:
        check_name(alias, "alias")
    if len({name, *aliases}) <= len(aliases):
        raise ValueError("an alias stands twice, or is the model's own name")


def check_adapters(adapters: Sequence[str], name: str, aliases: Sequence[str]) -> None:
    """The adapters of the model ``name``, which has these aliases."""
    if len(adapters) > MAX_ADAPTERS:
        raise ValueError(f"there are {len(adapters)} adapters, at most {MAX_ADAPTERS} are allowed")
    for adapter in adapters:
        check_name(adapter, "adapter")
    if len({name, *aliases, *adapters}) <= len(aliases) + len(adapters):
        raise ValueError("an adapter stands twice, or is the model's own name or an alias")


def check_defaults(defaults: Mapping[str, Any]) -> None:
    """The fields that are filled in where a request lacks them."""
    for name in defaults:
        if name in CLIENTS_OWN:
            raise ValueError(f"defaults holds {name!r}, which only a client can say")
    try:
        orjson.dumps(dict(defaults))
    except TypeError as error:
        raise ValueError(f"defaults can't be written as JSON: {str(error)[:MAX_SHOWN]}") from None


def check_fallback(fallback: str, name: str) -> None:
    """The model that answers while ``name`` has no instance."""
    check_name(fallback, "fallback")
    if fallback == name:
        raise ValueError("the fallback is the model itself")


def check_migration_limit(limit: int) -> None:
    """How often other instances may go on with one answer."""
    if not 0 <= limit <= MAX_MIGRATIONS:
        raise ValueError(f"migration_limit is {limit}: give 0 to {MAX_MIGRATIONS}")


def check_key_variable(variable: str) -> None:
    """The name of the front-end's environment variable that holds a bearer key."""
    if not re.fullmatch(KEY_VARIABLE, variable):
        raise ValueError(
            f"api_key_env is {shown(variable)}: it must name a variable of the front-end that "
            "begins with CALLBOARD_KEY_ (never the key itself)"
        )


def check_size(value: bytes) -> None:
    """A whole value as bytes."""
    if len(value) > MAX_VALUE_BYTES:
        raise ValueError(f"the value has {len(value)} bytes, at most {MAX_VALUE_BYTES} are allowed")


def shown(text: str) -> str:
    """``text`` quoted and cut to a length that fits a log line."""
    return repr(text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…")


def _is_plain(text: str) -> bool:
    return text.isprintable() and " " not in text
