"""Which known word a misspelt one was meant to be. Short: options, kinds and policies share it."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["suggestion"]


def suggestion(word: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the known word nearest to ``word``, or nothing."""
    import difflib  # PERF: only a refused word needs it

    near = difflib.get_close_matches(word, map(str, known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
