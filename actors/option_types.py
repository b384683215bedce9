"""Turns the text of an option into its value, or says in one sentence what is wrong and allowed.

Pure functions from ``str``; each raises ``ValueError`` with the sentence that the user reads.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

import orjson

from actors.suggestion import suggestion

__all__ = [
    "admin_url",
    "alias",
    "bucket",
    "byte_count",
    "console",
    "count",
    "engine",
    "etcd_root",
    "etcd_url",
    "file_path",
    "host",
    "instance",
    "key_variable",
    "llama_model",
    "metrics_prefix",
    "model_name",
    "network",
    "one_of",
    "port",
    "profile",
    "request_default",
    "seconds",
    "some",
    "status_range",
    "target",
    "temperature",
    "tokens",
    "ttl",
    "upstream_url",
    "user_name",
    "weight",
    "weight_or_announced",
]

MAX_WEIGHT: Final = 1_000_000
MIN_TTL: Final = 2
"""Seconds; etcd itself raises a lease of one second to two (minimum election timeout)."""
MAX_TTL: Final = 3600
"""Seconds; a worker that died an hour ago must not be announced any more."""
MAX_TOKENS: Final = 1_000_000_000
"""As an entry's ``context_length`` has it."""
MAX_TEMPERATURE: Final = 2
MAX_NAME: Final = 256
"""Characters in a model or instance name; they become etcd keys and metric labels."""
_UNITS: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def one_of(*allowed: str) -> Callable[[str], str]:
    """A check that accepts these words only, and suggests the nearest."""

    def check(text: str) -> str:
        if text not in allowed:
            raise ValueError(
                f"{text!r} is not one of {', '.join(allowed)}{suggestion(text, allowed)}"
            )
        return text

    return check


def port(text: str) -> int:
    """A TCP port, 0 to 65535."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise ValueError(f"{text!r} is not a port: give a whole number from 0 to 65535")
    return int(text)


def host(text: str) -> str:
    """An address to listen on: a name or an IP address, without a port."""
    bare = text.removeprefix("[").removesuffix("]")
    if not bare or not re.fullmatch(r"[A-Za-z0-9._:%-]+", bare):
        raise ValueError(f"{text!r} is not an address: give a name or an IP, as in 127.0.0.1")
    if bare.count(":") == 1:
        name, number = bare.split(":")
        raise ValueError(f"{text!r} holds a port: give --host {name} --port {number}")
    return bare


def host_name(text: str) -> str:
    """A host name without a port, or ``*``."""
    if text == "*" or re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:]+", text):
        return text
    raise ValueError(f"{text!r} is not a host name: give it without a port, as in chat.example.org")


def console(text: str) -> str:
    """An address to listen on with its port, as in ``127.0.0.1:8788``; or ``off``."""
    if text == "off":
        return text
    name, colon, number = text.rpartition(":")
    if not colon or not name:
        raise ValueError(f"{text!r} is not an address with a port: give 127.0.0.1:8788, or off")
    if ":" in name and not (name.startswith("[") and name.endswith("]")):
        raise ValueError(f"{text!r} is an IPv6 address without brackets: give [{name}]:{number}")
    host(name)
    port(number)
    return text


def seconds(text: str) -> float:
    """A duration in seconds, finite and not negative."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{text!r} is not a duration: give seconds, as in 30 or 2.5")
    return value


def ttl(text: str) -> int:
    """A lease's time to live in whole seconds."""
    if not text.isascii() or not text.isdigit() or not MIN_TTL <= int(text) <= MAX_TTL:
        raise ValueError(f"{text!r} is not a lease time: give {MIN_TTL} to {MAX_TTL} seconds")
    return int(text)


def bucket(text: str) -> float:
    """The upper end of a histogram's bucket: seconds above 0."""
    found = seconds(text)
    if not found:
        raise ValueError(f"{text!r} can't be a bucket's bound: give seconds above 0, as in 0.25")
    return found


def byte_count(text: str) -> int:
    """A size in bytes; ``k``, ``m`` and ``g``, or ``KiB`` and so on, mean 1024, 1024² and 1024³."""
    match = re.fullmatch(r"([0-9]{1,15})(?:([kmg])(?:ib)?)?", text.strip().lower())
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{text!r} is not a size: give bytes above 0, as in 1048576, 512k or 45m")
    return int(match[1]) * _UNITS[match[2] or ""]


def byte_count_or_zero(text: str) -> int:
    """:func:`byte_count`, or 0 for none."""
    return 0 if text.strip() == "0" else byte_count(text)


def count(text: str) -> int:
    """How many: a whole number, 0 or more, below a million."""
    if not text.isascii() or not text.isdigit() or len(text) > len("999999"):
        raise ValueError(f"{text!r} is not a count: give a whole number from 0 to 999999")
    return int(text)


def some(text: str) -> int:
    """:func:`count`, but 1 at least."""
    value = count(text)
    if not value:
        raise ValueError("'0' is too few: give 1 or more")
    return value


def tokens(text: str) -> int:
    """A number of tokens: 0 or more, at most a billion."""
    if not text.isascii() or not text.isdigit() or int(text[:11]) > MAX_TOKENS:
        raise ValueError(f"{text!r} is not a number of tokens: give 0 to {MAX_TOKENS}")
    return int(text)


def etcd_url(text: str) -> str:
    """An etcd member: ``http://HOST:PORT``, ``https://HOST:PORT`` or ``HOST:PORT``."""
    url = text if "://" in text else f"http://{text}"
    parts = _split(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"}:
        raise ValueError(f"{text!r} is not an etcd address: give http://HOST:PORT")
    return f"{parts.scheme}://{parts.netloc}"


def upstream_url(text: str) -> str:
    """The base URL of an OpenAI-compatible server, its ``/v1`` included."""
    parts = _split(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{text!r} is not a server's URL: give http://HOST:PORT/v1")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("the URL must hold no user name, query or fragment: http://HOST:PORT/v1")
    return text.rstrip("/")


def admin_url(text: str) -> str:
    """Where an admin API is: ``http://HOST:PORT``."""
    parts = _split(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"}:
        raise ValueError(f"{text!r} is not an admin API's address: give http://HOST:PORT")
    return text.rstrip("/")


def network(text: str) -> IPv4Network | IPv6Network:
    """A network in CIDR notation, or one address."""
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(
            f"{text!r} is not a network: give CIDR, as in 10.0.0.0/8 ({error})"
        ) from None


def etcd_root(text: str) -> str:
    """A key prefix without a slash at its end; may be empty."""
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError(f"{text!r} is not a key prefix: leave out blanks and control characters")
    return text.rstrip("/")


def file_path(text: str) -> str:
    """The path of a file (looked for when the command starts)."""
    if not text or "\0" in text:
        raise ValueError(f"{text!r} is not a path")
    return text


def metrics_prefix(text: str) -> str:
    """A Prometheus metric name without a colon."""
    if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", text):
        raise ValueError(f"{text!r} can't begin a metric's name: use letters, digits and _")
    return text


def model_name(text: str) -> str:
    """A model's name: printable, no blanks, no ``#`` (it separates the instance in etcd's key)."""
    return _name(text, "model")


def instance(text: str) -> str:
    """An instance's name: printable, no blanks, no ``#``, no ``/``."""
    if "/" in text:
        raise ValueError(f"{text!r} is not an instance name: leave out '/'")
    return _name(text, "instance")


def llama_model(text: str) -> str:
    """``smollm2``, or the path of a GGUF file (looked for when the worker starts)."""
    if text != "smollm2" and not text.endswith(".gguf"):
        raise ValueError(
            f"{text!r} is neither 'smollm2' nor a .gguf file{suggestion(text, ['smollm2'])}"
        )
    return text


def engine(text: str) -> str:
    """``ENGINE`` or ``ENGINE=MODEL``, one of the built-in ones; returns the second form.

    One that loads a file may be ``ENGINE:PATH``; its model is then called as the file is.
    """
    from actors.engines.builtin import ENGINES  # PERF: 80 ms that only this option needs

    given, separator, name = text.partition("=")
    chosen, colon, path = given.partition(":")
    if chosen not in ENGINES:
        raise ValueError(
            f"there is no engine {chosen!r}: give {', '.join(ENGINES)} "
            f"or {next(iter(ENGINES))}=MODEL{suggestion(chosen, ENGINES)}"
        )
    if colon and not (path and ENGINES[chosen].loads):
        what = (
            "the path of a file after the colon" if not path else f"{chosen}, which loads no file"
        )
        raise ValueError(f"{given!r} is not an engine: give {what}")
    return f"{given}={model_name(name if separator else Path(path).stem or chosen)}"


def alias(text: str) -> str:
    """``ALIAS`` or ``ALIAS=MODEL``, as it was given."""
    other, separator, model = text.partition("=")
    if separator:
        model_name(model)
    _name(other, "model")
    return text


def weight(text: str) -> float:
    """A share relative to 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= MAX_WEIGHT:
        raise ValueError(f"{text!r} is not a weight: give a number above 0, as in 2 or 0.5")
    return value


def weight_or_announced(text: str) -> float | None:
    """A :func:`weight`, or ``announced``: None, what the worker announced."""
    return None if text == "announced" else weight(text)


def target(text: str) -> str:
    """``MODEL``, or ``MODEL#INSTANCE``."""
    model, separator, instance = text.partition("#")
    model_name(model)
    if separator and not instance:
        raise ValueError(f"{text!r} names no instance: give MODEL, or MODEL#INSTANCE")
    return text


def status_range(text: str) -> str:
    """A status of HTTP, or all that begin with a digit: ``404``, ``5xx``."""
    if not re.fullmatch(r"[1-5](?:xx|[0-9][0-9])", text):
        raise ValueError(f"{text!r} is not a status: give one, as in 404, or 5xx")
    return text


def temperature(text: str) -> float:
    """How freely a model chooses, 0 to 2."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= MAX_TEMPERATURE:
        raise ValueError(f"{text!r} is not a temperature: give a number from 0 to 2")
    return value


def profile(text: str) -> str:
    """A profile's name: letters, digits, ``-`` and ``_``."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
        raise ValueError(f"{text!r} is not a profile's name: use letters, digits, - and _")
    return text


def request_default(text: str) -> str:
    """``FIELD=JSON``, as it was given."""
    field, _, value = text.partition("=")
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        field = ""
    if not field:
        raise ValueError(
            f"{text!r} is not a default: give FIELD=JSON, as in temperature=0.2 or "
            'stop=["END"]; a text is in quotes: reasoning_effort="low"'
        )
    return text


def key_variable(text: str) -> str:
    """The name of an environment variable that holds a bearer key."""
    if not re.fullmatch(r"CALLBOARD_KEY_[A-Z0-9_]{1,64}", text):
        raise ValueError(
            "give the name of a variable that begins with CALLBOARD_KEY_, as in "
            "CALLBOARD_KEY_OPENAI, and never the key itself"
        )
    return text


def user_name(text: str) -> str:
    """A user's name: one line, without a colon."""
    if not text.isprintable() or ":" in text:
        # SECURITY: the text is not repeated here: it may hold a password.
        raise ValueError("give the user's name only: its password has a variable and a file")
    return text


def _name(text: str, what: str) -> str:
    bad = any(character.isspace() or not character.isprintable() for character in text)
    if not text or bad or "#" in text or len(text) > MAX_NAME:
        raise ValueError(
            f"{text!r} is not a {what} name: give 1 to {MAX_NAME} characters, no blanks, no '#'"
        )
    return text


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # parsed on access: raises ValueError for a port that is none
    except ValueError as error:
        raise ValueError(f"{url!r} is not a URL: {error}") from None
    return parts
