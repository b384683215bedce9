"""Writes the JSON Schema of an entry into ``docs/reference/discovery.md``, between two markers.

Run ``python -m tests.discovery.schema_page`` after changing a field; a test holds page and code
together.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from discovery.codec import schema

__all__ = ["PAGE", "with_schema"]

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "discovery.md"
BEGIN: Final = "<!-- schema: written by python -m tests.discovery.schema_page -->"
END: Final = "<!-- end of schema -->"


def with_schema(page: str) -> str:
    """``page`` with the schema as the code has it. Raises ``ValueError`` without the markers."""
    block = f"{BEGIN}\n```json\n{json.dumps(schema(), indent=2)}\n```\n{END}"
    changed, count = re.subn(
        f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: block, page, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"the page must hold {BEGIN!r} and {END!r} once")
    return changed


if __name__ == "__main__":
    PAGE.write_text(with_schema(PAGE.read_text()))
