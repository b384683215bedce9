"""Who may do what on the listener of operators: one table of roles, and the browser's own words.

SECURITY: a page of a stranger's may have an operator's browser send requests here. There are no
cookies, so it has no key to send; but without keys, everyone on this machine is an operator, and
so is the browser. What it says of itself (Fetch Metadata, RFC 6454's ``Origin``) tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import falcon

from http_service.api.api_keys import ApiKeys, Role, authorization_of
from http_service.api.validation import check_content_type
from http_service.errors import MalformedRequest

__all__ = ["SAFE", "Access", "Caller", "Forbidden", "caller_of", "origin_problem"]

SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))
"""Methods that change nothing (RFC 9110, 9.2.1)."""

OWN_SITES: Final = frozenset((None, "none", "same-origin"))
"""What ``Sec-Fetch-Site`` says of a request that no other page made; none of a program's."""

KEYLESS: Final = "anyone on this machine"


class Forbidden(falcon.HTTPForbidden):
    """The request is understood, and its sender may not do that."""

    def __init__(self, message: str) -> None:
        super().__init__(description=message)


class Caller(NamedTuple):
    """Who sent a request: what they are called in the audit, and their role."""

    name: str
    role: Role


def caller_of(environ: Mapping[str, Any], keys: ApiKeys | None) -> Caller | None:
    """Who sent the request of this WSGI environment; ``None`` if its key is none of ``keys``."""
    if keys is None:
        return Caller(KEYLESS, Role.OPERATOR)
    try:
        holder = keys.holder(authorization_of(environ))
    except MalformedRequest:
        return None
    return None if holder is None else Caller(holder.name, holder.role)


def origin_problem(site: str | None, origin: str | None, host: str | None) -> str | None:
    """Why a request that changes something is not from our own pages; ``None`` if it may be. Pure.

    ``site``, ``origin`` and ``host`` are its headers ``Sec-Fetch-Site``, ``Origin`` and ``Host``.
    """
    if site not in OWN_SITES:
        return "A page of another site sent this request. Use the console, or a program."
    if origin is not None and urlsplit_host(origin) != (host or "").lower():
        return "This request comes from a page of another origin. Use the console, or a program."
    return None


def urlsplit_host(origin: str) -> str:
    """The host and port of an ``Origin``, in lower case; "" if it has none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


class Access:
    """Falcon middleware: what changes something needs the right page, media type and role.

    ``keys`` are those that are let in; ``prefix`` begins the paths of the admin API, where a
    change needs an operator. It runs after the check of the key itself.
    """

    def __init__(self, keys: ApiKeys | None, prefix: str) -> None:
        self._keys: Final = keys
        self._prefix: Final = f"{prefix}/"

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raises :class:`Forbidden` or ``UnsupportedMediaType``."""
        del resp
        if req.method in SAFE:
            return
        env = req.env
        problem = origin_problem(
            env.get("HTTP_SEC_FETCH_SITE"), env.get("HTTP_ORIGIN"), env.get("HTTP_HOST")
        )
        if problem is not None:
            raise Forbidden(problem)
        if not req.path.startswith(self._prefix):
            return
        caller = caller_of(env, self._keys)
        if caller is None or caller.role is not Role.OPERATOR:
            raise Forbidden(
                "Changing the service needs an operator's key: one of --operator-key-file, in a "
                "line that does not begin with viewer."
            )
        if req.method == "POST":
            check_content_type(req.content_type)
