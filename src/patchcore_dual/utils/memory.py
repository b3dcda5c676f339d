"""How much memory fitting may take: resident memory of the whole process, interpreter included."""

import sys
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from pydantic import ByteSize, TypeAdapter, ValidationError

from patchcore_dual.errors import SettingsError

_RESERVE = 256 * 2**20  # for one image in the network, and for blocks of distances


@dataclass(frozen=True)
class Memory:
    """A limit in bytes; None for none.

    >>> Memory(10**15).fits(10**6)
    True
    """

    limit: int | None = None

    def fits(self, *sizes: int) -> bool:
        """Whether arrays of these sizes in bytes can be added to what the process holds now."""
        return self.limit is None or resident() + sum(sizes) + _RESERVE <= self.limit

    def require(self, *sizes: int) -> None:
        """Raise SettingsError, with what is needed, unless arrays of these sizes fit."""
        if not self.fits(*sizes):
            least = resident() + sum(sizes) + _RESERVE
            raise SettingsError(
                f"--memory {_in_mib(self.limit or 0)} is too little for these images and rates: "
                f"at least {_in_mib(least + 2**20)} are needed. A lower --normal-rate needs less."
            )


UNLIMITED = Memory()


def parse_memory(text: str) -> Memory:
    """A limit written as `800MiB`, `4GiB` or `3.5GB`.

    >>> parse_memory("4GiB").limit == 4 * 2**30
    True

    Raises:
        SettingsError: for anything else.
    """
    try:
        limit = int(TypeAdapter(ByteSize).validate_python(text.strip()))
    except ValidationError:
        limit = 0
    if limit < 2**20 or text.strip().isdigit():
        raise SettingsError(f"--memory {text!r}: give a size, as 800MiB or 4GiB.")
    return Memory(limit)


def resident() -> int:
    """Bytes of this process in physical memory now."""
    return int(psutil.Process().memory_info().rss)


def peak() -> int:
    """The most bytes that this process has had in physical memory so far."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    if sys.platform == "linux":  # `getrusage` begins with the peak of whatever started the process
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _in_mib(size: int) -> str:
    return f"{size / 2**20:.0f}MiB"
