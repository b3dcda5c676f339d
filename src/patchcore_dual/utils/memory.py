"""How much memory fitting may take: resident memory of the whole process, interpreter included."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from patchcore_dual.errors import SettingsError

_UNITS = {"MB": 10**6, "GB": 10**9, "MIB": 2**20, "GIB": 2**30}
_SPARE = 256 * 2**20  # what one image in the network and blocks of distances take


@dataclass(frozen=True)
class Memory:
    """A limit in bytes; None for none."""

    limit: int | None = None

    def fits(self, *sizes: int) -> bool:
        """Whether arrays of so many bytes can be added to what the process holds now."""
        return self.limit is None or resident() + sum(sizes) + _SPARE <= self.limit

    def require(self, *sizes: int) -> None:
        """Raise SettingsError where so much has to be held and cannot, saying what is needed."""
        if not self.fits(*sizes):
            least = resident() + sum(sizes) + _SPARE
            raise SettingsError(
                f"--memory {_told(self.limit or 0)} is too little for these images and rates: it "
                f"takes at least {_told(least + 2**20)}. A lower --normal-rate takes less."
            )


UNLIMITED = Memory()


def parse_memory(text: str) -> Memory:
    """`800MiB`, `4GiB`, `3.5GB` as a limit."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]i?B)\s*", text, re.IGNORECASE | re.ASCII)
    if match is None or match[2].upper() not in _UNITS or not float(match[1]):
        raise SettingsError(f"--memory {text!r}: give a size, as 800MiB or 4GiB.")
    return Memory(int(float(match[1]) * _UNITS[match[2].upper()]))


def resident() -> int:
    """Bytes of this process in memory now (where that is not told, the most so far)."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _told(size: int) -> str:
    return f"{size / 2**20:.0f}MiB"
