"""``python -m tests.faults``: arguments in, exit code out."""

from __future__ import annotations

import signal
import sys

from tests.faults.command import main

if __name__ == "__main__":
    # As an interrupt, both of them, even where a shell had the one ignored: all must be healed.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
