"""What must hold whatever goes wrong: each a pure function from evidence to what broke it.

The common ones are **C** of the fault catalogue, and :data:`COMMON` gives each its letter; the
others are made by small factories, so that a scenario reads as a sentence.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from tests.faults.evidence import Evidence, Request

__all__ = [
    "COMMON",
    "Check",
    "Invariant",
    "all_failures_are",
    "at_least",
    "at_most",
    "common",
    "fact_is",
    "no_failures",
]

Check = Callable[[Evidence], str | None]
"""``None`` if it holds, else one sentence that says how it broke."""

SPARE_THREADS: Final = 8
"""Threads beyond those before that are no leak: pools that had not grown to their size yet."""
SPARE_FILES: Final = 16
"""Descriptors likewise: idle connections that the pools of both sides keep."""
EXIT_BUDGET: Final = 15.0
"""Seconds from SIGTERM to the end, with nothing long in flight."""


@dataclass(frozen=True, slots=True)
class Invariant:
    """A promise and the function that judges it."""

    name: str
    check: Check
    evident: Callable[[Evidence], bool] = lambda _seen: True
    """Whether a run shows what it is about; one that nobody could look at is not *held*."""


def _lists_models(seen: Evidence) -> bool:
    return any(sample.values.get("models") for sample in seen.samples)


def _all_end(seen: Evidence) -> str | None:
    late = [r for r in seen.requests if r.outcome == "late"]
    return _told(late, f"no end within {seen.deadline:g} s")


def _no_5xx(seen: Evidence) -> str | None:
    bad = [r for r in seen.requests if r.outcome.startswith("status 5")]
    return _told(bad, "a server error for a model that the fault did not touch")


def _never_half(seen: Evidence) -> str | None:
    allowed = seen.fact("allowed_models", None)
    if allowed is None:
        return None
    for sample in seen.samples:
        models = sample.values.get("models")
        if models is not None and frozenset(models) not in allowed:
            return f"/v1/models showed {sorted(models)} at {sample.at:.2f} s"
    return None


def _first_stays(seen: Evidence) -> str | None:
    first = () if seen.found is None else (seen.found,)
    shown = [s.values["models"] for s in (*first, *seen.samples) if s.values.get("models")]
    changed = [b[0] for a, b in itertools.pairwise(shown) if b[0] != a[0] and a[0] in b]
    return f"the first model changed to {changed[0]!r}" if changed else None


def _inflight_zero(seen: Evidence) -> str | None:
    left = seen.after.inflight
    return f"{left} requests are still counted as in flight" if left else None


def _no_leaks(seen: Evidence) -> str | None:
    excused = seen.fact("abandoned")
    threads = seen.after.threads - seen.before.threads - excused
    files = seen.after.files - seen.before.files
    actors = seen.after.actors - seen.before.actors
    if threads > SPARE_THREADS:
        return f"{threads} threads more than before"
    if files > SPARE_FILES:
        return f"{files} descriptors more than before"
    return f"{actors} actors more than before" if actors > 0 else None


def _one_log_line(seen: Evidence) -> str | None:
    wanted, found = seen.fact("faults_injected"), seen.fact("lines_logged", None)
    if found is None or found == wanted:
        return None
    return f"{found} log lines tell of {wanted} injected faults"


def _exits(seen: Evidence) -> str | None:
    code, seconds = seen.fact("exit_code", None), seen.fact("exit_seconds", 0.0)
    if code is None:
        return None
    if code != 0:
        return f"the process ended with {code}"
    return f"the process took {seconds:.1f} s to end" if seconds > EXIT_BUDGET else None


COMMON: Final = {
    "C1": Invariant("every request ends within its deadline", _all_end),
    "C2": Invariant("no 5xx for models that the fault did not touch", _no_5xx),
    "C3": Invariant(
        "/v1/models never shows a half-applied update",
        _never_half,
        lambda seen: seen.fact("allowed_models", None) is not None and _lists_models(seen),
    ),
    "C4": Invariant("the first model stays first until it is removed", _first_stays, _lists_models),
    "C5": Invariant(
        "nothing is left in flight",
        _inflight_zero,
        lambda seen: not seen.fact("inflight_unknown", False),
    ),
    "C6": Invariant(
        "threads, descriptors and actors are as before",
        _no_leaks,
        lambda seen: seen.before.threads + seen.before.files > 0,
    ),
    "C7": Invariant(
        "one structured log line for each injected fault",
        _one_log_line,
        lambda seen: seen.fact("lines_logged", None) is not None,
    ),
    "C8": Invariant(
        "the process exits within its budget, with 0",
        _exits,
        lambda seen: seen.fact("exit_code", None) is not None,
    ),
    "C9": Invariant("the steady state comes back", lambda e: None if e.steady else "it did not"),
}
"""The common invariants by their letters in the reports."""


def common(*letters: str) -> tuple[Invariant, ...]:
    """The common invariants of these letters."""
    return tuple(
        replace(COMMON[letter], name=f"{letter} {COMMON[letter].name}") for letter in letters
    )


def no_failures(target: str = "", but: str = "") -> Invariant:
    """Every request to ``target`` (all, if empty) is answered right, unless ``but`` matches."""

    def check(seen: Evidence) -> str | None:
        bad = seen.failed(lambda r: target in r.target and not (but and re.match(but, r.outcome)))
        return _told(bad, "failed")

    what = f"requests to {target}" if target else "requests"
    return Invariant(f"no {what} fail" + (f", but {but}" if but else ""), check)


def all_failures_are(pattern: str, target: str = "") -> Invariant:
    """What fails, fails in one of the ways that ``pattern`` matches."""

    def check(seen: Evidence) -> str | None:
        bad = seen.failed(lambda r: target in r.target and not re.fullmatch(pattern, r.outcome))
        return _told(bad, f"failed otherwise than {pattern}")

    return Invariant(f"failures are {pattern}", check)


def fact_is(name: str, wanted: Any, sentence: str, *, always: bool = True) -> Invariant:
    """A noted fact has one value, in the control run too, unless nothing was noted in it.

    With ``always`` false, nothing is asked of the control run.
    """

    def check(seen: Evidence) -> str | None:
        found = seen.fact(name, None)
        if seen.control and (found is None or not always):
            return None
        return None if found == wanted else f"{name} is {found!r}, not {wanted!r}"

    return Invariant(sentence, check)


def at_most(of: Callable[[Evidence], float], limit: float, sentence: str) -> Invariant:
    """A figure is no larger than ``limit``."""

    def check(seen: Evidence) -> str | None:
        found = of(seen)
        return None if found <= limit else f"{found:g} is above {limit:g}"

    return Invariant(sentence, check)


def at_least(of: Callable[[Evidence], float], limit: float, sentence: str) -> Invariant:
    """A figure is no smaller than ``limit``; nothing is asked of the control run."""

    def check(seen: Evidence) -> str | None:
        found = of(seen)
        return None if seen.control or found >= limit else f"{found:g} is below {limit:g}"

    return Invariant(sentence, check)


def _told(requests: Iterable[Request], what: str) -> str | None:
    found = list(requests)
    if not found:
        return None
    kinds = Counter(f"{each.target} {each.outcome}" for each in found)
    listed = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common(3))
    return f"{len(found)} requests: {what} ({listed}; the first at {found[0].at:.2f} s)"
