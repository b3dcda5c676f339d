"""Sizes of memory on the command line, and what does not fit."""

import pytest

from patchcore_dual.errors import SettingsError
from patchcore_dual.utils.memory import UNLIMITED, Memory, parse_memory, resident


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("800MiB", 800 * 2**20),
        ("4GiB", 4 * 2**30),
        (" 1.5 gib ", 3 * 2**29),
        ("2GB", 2 * 10**9),
        ("700mb", 700 * 10**6),
    ],
)
def test_sizes(text, size):
    assert parse_memory(text).limit == size


@pytest.mark.parametrize("text", ["", "4", "GiB", "-1GiB", "0GiB", "4KB", "1e3MiB"])
def test_what_is_no_size(text):
    with pytest.raises(SettingsError, match="800MiB or 4GiB"):
        parse_memory(text)


def test_what_fits():
    assert resident() > 2**20
    assert UNLIMITED.fits(2**60)
    small = Memory(resident() + 2**30)
    assert small.fits(2**20)
    assert not small.fits(2**30)
    small.require(2**20)
    with pytest.raises(SettingsError, match=r"at least \d+MiB are needed"):
        small.require(2**30)
