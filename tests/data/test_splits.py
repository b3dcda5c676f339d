from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchcore_dual.data.splits import read_split_file, split_by_group
from patchcore_dual.errors import DataError, SettingsError

images = st.lists(
    st.tuples(st.sampled_from("abcdefghijklmnop"), st.sampled_from(["", "", "crack", "hole"])),
    min_size=1,
)


@given(images, st.floats(0.05, 0.95), st.integers(0, 5))
def test_every_group_has_one_side_and_the_share_is_right(
    pairs: list[tuple[str, str]], fraction: float, seed: int
) -> None:
    groups, kinds = zip(*pairs, strict=True)
    sides = split_by_group(groups, kinds, fraction, seed)
    assert set(sides) == set(groups)
    assert set(sides.values()) <= {"train", "test"}
    n_train = Counter(sides.values())["train"]
    # Each of three strata can be off by the one group that it must keep on either side.
    assert abs(n_train - fraction * len(sides)) <= 3.5
    # The order of the images does not matter.
    assert split_by_group(groups[::-1], kinds[::-1], fraction, seed) == sides


def test_half_of_each_stratum() -> None:
    groups = [f"g{i}" for i in range(40)]
    kinds = ["crack"] * 8 + ["hole"] * 2 + [""] * 30
    for seed in range(5):
        sides = split_by_group(groups, kinds, 0.5, seed)
        train = Counter(kinds[i] for i, g in enumerate(groups) if sides[g] == "train")
        assert train == {"crack": 4, "hole": 1, "": 15}


def test_rounding_is_carried_on() -> None:
    groups = [f"g{i}" for i in range(12)]
    kinds = ["a"] * 3 + ["b"] * 3 + ["c"] * 3 + [""] * 3
    sides = split_by_group(groups, kinds, 0.5, 0)
    assert Counter(sides.values()) == {"train": 6, "test": 6}


def test_rare_strata_lie_on_both_sides_even_with_a_small_fraction() -> None:
    groups = [f"g{i}" for i in range(50)]
    kinds = ["rare"] * 2 + [""] * 48
    sides = split_by_group(groups, kinds, 0.05, 3)
    assert {sides["g0"], sides["g1"]} == {"train", "test"}


def test_seed_decides() -> None:
    groups = [f"g{i}" for i in range(20)]
    kinds = [""] * 20
    assert split_by_group(groups, kinds, 0.5, 1) == split_by_group(groups, kinds, 0.5, 1)
    assert split_by_group(groups, kinds, 0.5, 1) != split_by_group(groups, kinds, 0.5, 2)


def test_a_fraction_of_one_keeps_nothing_for_testing() -> None:
    assert set(split_by_group(["a", "b", "c"], ["", "x", ""], 1).values()) == {"train"}


@pytest.mark.parametrize("fraction", [0, 1.1, -1, float("nan")])
def test_impossible_fraction_is_refused(fraction: float) -> None:
    with pytest.raises(SettingsError, match="above 0 and at most 1"):
        split_by_group(["a"], [""], fraction)


def test_split_file(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("group,split\na,train\nb,test\n")
    assert read_split_file(path, {"a", "b"}) == {"a": "train", "b": "test"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("group:split\n", "line 1: expected the columns group,split"),
        ("group,split\na,train\nz,test\n", "line 3: the data set has no group 'z'"),
        ("group,split\na,train\nb,validation\n", "line 3: the split is 'validation'"),
        ("group,split\na,train\na,test\n", "line 3: the group 'a' is named a second time"),
        ("group,split\na,train\n", "does not say where 1 groups belong: b"),
        ("group,split\na\n", "line 2: 1 values where 2 are expected"),
    ],
)
def test_bad_split_file_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "s.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_split_file(path, {"a", "b"})


def test_missing_split_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_split_file(tmp_path / "none.csv", {"a"})
