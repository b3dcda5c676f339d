"""axe-core, which finds what keeps people from using a page; installed by npm when it is needed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

VERSION = "4.14.1"  # MPL-2.0; not part of this repository


def axe_source(cache: Path) -> str:
    """The script of axe-core, from the file that PATCHCORE_DUAL_TEST_AXE names or from `cache`."""
    named = os.environ.get("PATCHCORE_DUAL_TEST_AXE")
    path = Path(named) if named else cache / "node_modules/axe-core/axe.min.js"
    if not path.is_file():
        npm = shutil.which("npm")
        if named or npm is None:
            pytest.skip("axe-core is not there: install npm, or name it by PATCHCORE_DUAL_TEST_AXE")
        command = [npm, "install", "--no-save", "--silent", "--prefix", cache]
        done = subprocess.run([*command, f"axe-core@{VERSION}"], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"npm cannot install axe-core: {done.stderr.strip()[-200:]}")
    return path.read_text(encoding="utf-8")
