"""``drain``, ``undrain``, ``eject``, ``readmit``, ``weight``: what operators do to instances."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from actors.cli.admin import opened, printed
from actors.cli.client import Client, Unreachable
from actors.cli.output import document, in_words, painter, progress, table
from actors.cli.parsing import parse_settings
from actors.cli.signals import FAILED, OK
from actors.settings.admin import DrainSettings, EverywhereSettings, TargetSettings, WeightSettings

__all__ = ["DESCRIPTIONS", "drain", "eject", "readmit", "undrain", "weight"]

POLL: Final = 0.25
"""Seconds between two looks at what is in flight."""

_HERE: Final = (
    "\n\nThis is an override of this front-end, which ends with its process; it is audited."
)
_EVERYWHERE: Final = (
    "\n\nThis is an override of this front-end, which ends with its process; --everywhere writes "
    "it\nto the source of discovery instead. Each change is audited."
)

DESCRIPTIONS: Final = {
    "drain": "Give an instance, or all of a model, no further requests; what is in flight goes on."
    + _EVERYWHERE,
    "undrain": "Give a drained instance requests again." + _EVERYWHERE,
    "eject": "Ask an instance only where no other is left, as its breaker does after failures."
    + _HERE,
    "readmit": "Take an instance back, however it was ejected." + _HERE,
    "weight": "Change the share of a model's requests that an instance gets, as in:\n"
    "weight llama-3#gpu-7 0.5" + _EVERYWHERE,
}


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance, as the admin API names it."""

    kind: str
    model: str
    id: str

    @property
    def path(self) -> str:
        """Where it stands in the admin API; each part is encoded by itself."""
        return "/".join(quote(part, safe="") for part in (self.kind, self.model, self.id))


def drain(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """``drain``: and wait until it is idle, if that is asked for."""
    settings = parse_settings(DrainSettings, "drain", DESCRIPTIONS["drain"], arguments, environment)

    def run() -> int:
        with opened(settings) as client:
            body = {"everywhere": settings.everywhere}
            changed = _changed(client, settings.target, "drain", body)
            _show(changed, settings.output)
            if not settings.wait:
                return OK
            return _idle(client, [instance for instance, _ in changed], settings.timeout)

    return printed(run)


def undrain(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """``undrain``."""
    settings = parse_settings(
        EverywhereSettings, "undrain", DESCRIPTIONS["undrain"], arguments, environment
    )
    return _change(settings, "undrain", {"everywhere": settings.everywhere})


def _eject(verb: str, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    settings = parse_settings(TargetSettings, verb, DESCRIPTIONS[verb], arguments, environment)
    return _change(settings, verb, {})


eject, readmit = partial(_eject, "eject"), partial(_eject, "readmit")


def weight(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """``weight``: of one instance, or of all of a model."""
    settings = parse_settings(
        WeightSettings, "weight", DESCRIPTIONS["weight"], arguments, environment
    )

    body = {"weight": settings.weight, "everywhere": settings.everywhere}
    return _change(settings, "weight", body)


def _change(settings: TargetSettings, verb: str, body: Mapping[str, Any]) -> int:
    """Change each instance that is meant, and show that."""

    def run() -> int:
        with opened(settings) as client:
            _show(_changed(client, settings.target, verb, body), settings.output)
        return OK

    return printed(run)


def _changed(
    client: Client, target: str, verb: str, body: Mapping[str, Any]
) -> Sequence[tuple[Instance, Any]]:
    """Each instance of ``target`` with the answer to its change. Raises :class:`Unreachable`."""
    sent = {name: value for name, value in body.items() if name != "everywhere" or value}
    return [
        (each, client.post(f"/admin/v1/instances/{each.path}:{verb}", sent))
        for each in _instances(client, target)
    ]


def _instances(client: Client, target: str) -> Sequence[Instance]:
    """The instances that ``target`` means. Raises :class:`Unreachable` if there is none."""
    model, _, wanted = target.partition("#")
    answer = client.get(f"/admin/v1/models/{quote(model, safe='')}")
    found = [Instance(each["kind"], model, each["id"]) for each in answer["instances"]]
    chosen = [each for each in found if not wanted or each.id == wanted]
    if not chosen:
        known = ", ".join(dict.fromkeys(each.id for each in found)) or "none"
        raise Unreachable(f"{model!r} has no instance {wanted!r}: there are {known}")
    return chosen


def _show(changed: Sequence[tuple[Instance, Any]], output: str) -> None:
    if output != "table":
        records = [
            {"kind": each.kind, "model": each.model, "instance": each.id, **answer}
            for each, answer in changed
        ]
        print(document({"changed": records}, output), flush=True)
        return
    rows = [
        (each.model, each.kind, each.id, in_words(answer["before"]), in_words(answer["after"]))
        for each, answer in changed
    ]
    lines = table([("MODEL", "KIND", "INSTANCE", "BEFORE", "AFTER"), *rows], painter(sys.stdout))
    print("\n".join(lines), flush=True)


def _idle(client: Client, wanted: Sequence[Instance], timeout: float) -> int:
    """Wait until none of the instances has a request in flight: 0, or 1 after ``timeout`` s."""
    inflight = wait_idle(lambda: _inflight(client, wanted), timeout)
    progress("")
    if inflight == 0:
        print("nothing is in flight there any more", flush=True)
        return OK
    print(
        f"callboard: {inflight} still in flight after {timeout:g} s: wait longer with --timeout, "
        "or cut them by stopping the instance",
        file=sys.stderr,
    )
    return FAILED


def wait_idle(
    look: Callable[[], int],
    timeout: float,
    pause: Callable[[float], object] = time.sleep,
) -> int:
    """What ``look`` sees in flight once that is 0, or ``timeout`` seconds have passed."""
    until = time.monotonic() + timeout
    while (inflight := look()) and time.monotonic() < until:
        progress(f"{inflight} in flight …")
        pause(POLL)
    return inflight


def _inflight(client: Client, wanted: Sequence[Instance]) -> int:
    """Requests in flight at the instances; one that has gone has none."""
    (model,) = {each.model for each in wanted}
    try:
        answer = client.get(f"/admin/v1/models/{quote(model, safe='')}")
    except Unreachable as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return 0  # the model has gone with its last instance
    named = {(each.kind, each.id) for each in wanted}
    return sum(
        each["inflight"] for each in answer["instances"] if (each["kind"], each["id"]) in named
    )
