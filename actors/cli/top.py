"""``top``: a running front-end live. Short: what needs textual is in ``top_screen``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from actors.cli.admin import opened, printed
from actors.cli.parsing import parse_settings
from actors.cli.signals import FAILED
from actors.settings.admin import AdminSettings

__all__ = ["DESCRIPTION", "run"]

DESCRIPTION: Final = """
Watch a running front-end live: its traffic, its supervision tree, and the instances of each model.
Needs the extra: pip install 'callboard[top]'

The head shows requests and errors a second, the time to the first token (p50 / p99), tokens a
second, requests in flight and connections, and the share of a core with the event loop's lag.

d drains the instance under the cursor, or undrains it, w changes its weight, r restarts the child
of the tree under the cursor, / filters by model, p pauses, q quits.
"""

_MISSING: Final = "top needs textual: pip install 'callboard[top]', or see callboard tree --watch"


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Show it until the user quits; returns the exit code. Raises ``UsageError``."""
    settings = parse_settings(AdminSettings, "top", DESCRIPTION, arguments, environment)
    if importlib.util.find_spec("textual") is None:
        print(f"callboard: {_MISSING}", file=sys.stderr)
        return FAILED
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("callboard: top needs a terminal: see callboard status for a pipe", file=sys.stderr)
        return FAILED

    def show() -> int:
        with opened(settings) as client:
            client.get("/admin/v1/overview")  # what is wrong is told before the screen changes
        from actors.cli.top_screen import TopApp  # PERF: 200 ms, and an extra

        return TopApp(settings).run() or 0

    return printed(show)
