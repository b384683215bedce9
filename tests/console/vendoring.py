"""Fetches what the console does not write itself: ``make vendor`` (needs npm).

Each file is npm's own, byte for byte, but for one line behind uPlot, which has no small ES module.
``MANIFEST`` says what it is and its digest; a test compares them, so that nothing needs npm later.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from http_service.admin.console import FOLDER

__all__ = ["AXE", "VENDOR", "main"]

VENDOR: Final = FOLDER / "vendor"

AXE: Final = Path(__file__).with_name("axe.min.js.gz")
"""axe-core, which only the tests run; compressed, for it is large."""


@dataclass(frozen=True, slots=True)
class Vendored:
    """One file of an npm package, and the name that modules import it by, "" where none does."""

    package: str
    version: str
    source: str
    name: str
    imported_as: str = ""
    appended: str = ""


FILES: Final = (
    Vendored("preact", "11.2.0", "dist/preact.mjs", "preact-{}.mjs", "preact"),
    Vendored("preact", "11.2.0", "hooks/dist/hooks.mjs", "preact-hooks-{}.mjs", "preact/hooks"),
    Vendored("htm", "3.1.1", "dist/htm.mjs", "htm-{}.mjs", "htm"),
    Vendored(
        "@preact/signals", "2.11.4", "dist/signals.module.js", "signals-{}.mjs", "@preact/signals"
    ),
    Vendored(
        "@preact/signals-core",
        "1.14.5",
        "dist/signals-core.module.js",
        "signals-core-{}.mjs",
        "@preact/signals-core",
    ),
    Vendored(
        "uplot",
        "1.6.32",
        "dist/uPlot.iife.min.js",
        "uplot-{}.mjs",
        "uplot",
        "export default uPlot;\n",
    ),
    Vendored("uplot", "1.6.32", "dist/uPlot.min.css", "uplot-{}.css"),
)

AXE_VERSION: Final = "4.14.1"


def main() -> int:
    """Renew the vendored files, their manifest and the page's import map; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="callboard-vendor-") as folder:
        wanted = {f"{each.package}@{each.version}" for each in FILES}
        subprocess.run(
            [
                *("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"),
                *("--prefix", folder, *sorted(wanted), f"axe-core@{AXE_VERSION}"),
            ],
            check=True,
        )
        modules = Path(folder) / "node_modules"
        for old in VENDOR.iterdir():
            old.unlink()
        lines = [_copied(modules, each) for each in FILES]
        (VENDOR / "LICENSE.txt").write_text(_licences(modules))
        AXE.write_bytes(gzip.compress((modules / "axe-core/axe.min.js").read_bytes(), mtime=0))
    (VENDOR / "MANIFEST").write_text("".join(lines))
    _write_names()
    return 0


def _copied(modules: Path, each: Vendored) -> str:
    """Copy one file; returns its line of the manifest."""
    package = modules / each.package
    content = (package / each.source).read_bytes() + each.appended.encode()
    name = each.name.format(each.version)
    (VENDOR / name).write_bytes(content)
    licence = json.loads((package / "package.json").read_text())["license"]
    digest = sha256(content).hexdigest()
    return f"{name} {each.package} {each.version} {licence} {digest}\n"


def _licences(modules: Path) -> str:
    packages = {each.package: each.version for each in FILES}
    return "\n".join(
        f"{name} {version}\n\n{(modules / name / 'LICENSE').read_text()}"
        for name, version in packages.items()
    )


def _write_names() -> None:
    imports = {
        each.imported_as: f"/console/vendor/{each.name.format(each.version)}"
        for each in FILES
        if each.imported_as
    }
    text = json.dumps({"imports": imports}, indent=2)
    index = FOLDER / "index.html"
    style = next(each.name.format(each.version) for each in FILES if each.name.endswith(".css"))
    linked = re.sub(r'vendor/[^"]+\.css"', f'vendor/{style}"', index.read_text())
    found = re.sub(
        r'(<script type="importmap">).*?(</script>)',
        lambda match: f"{match[1]}\n{text}\n{match[2]}",
        linked,
        flags=re.DOTALL,
    )
    index.write_text(found)


if __name__ == "__main__":
    sys.exit(main())
